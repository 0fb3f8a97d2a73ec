// The message of an Error reads as one line with all four parts, whichever of them are given.

#include <gtest/gtest.h>

#include <cerrno>

#include <ixcap/driver/error.hpp>

namespace ixcap {
namespace {

TEST(Error, JoinsItsPartsIntoOneLine) {
  const Error error("cannot open capture file", "x.pcap", "it is a directory", "give the path of a file");
  EXPECT_STREQ(error.what(), "cannot open capture file 'x.pcap': it is a directory; give the path of a file");
  EXPECT_EQ(error.subject(), "x.pcap");
}

TEST(Error, LeavesOutAnEmptySubject) {
  EXPECT_STREQ(Error("cannot start", "", "no memory", "free some").what(), "cannot start: no memory; free some");
}

TEST(Error, TakesTheReasonFromErrno) {
  EXPECT_EQ(Error::from_errno("cannot open", "x", ENOENT, "create it").reason(), "No such file or directory");
}

}  // namespace
}  // namespace ixcap
