// `ixcap filter` prints what tcpdump prints.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/process.hpp"

namespace ixcap::test {
namespace {

using testing::EndsWith;

TEST(FilterCommand, PrintsWhatTcpdumpPrints) {
  if (!on_path("tcpdump")) GTEST_SKIP() << "tcpdump is not installed";
  for (const std::string expression :
       {"", "tcp", "udp port 53", "ip6", "vlan", "tcp[tcpflags] & tcp-syn != 0", "host 8.8.8.8 or net 10.0.0.0/8",
        "ip[6:2] & 0x1fff != 0", "len > 1000", "vlan 5 and tcp port 80", "ether host 00:11:22:33:44:55"}) {
    for (const std::string flag : {"-d", "-dd", "-ddd"}) {
      SCOPED_TRACE(flag + " " + expression);
      const Result theirs = run({"tcpdump", "-y", "EN10MB", flag, expression});
      ASSERT_EQ(theirs.status, 0) << theirs.err;
      const Result ours = run({IXCAP_COMMAND, "filter", flag, expression});
      EXPECT_EQ(ours.status, 0) << ours.err;
      EXPECT_EQ(ours.out, theirs.out);
    }
  }
}

TEST(FilterCommand, TakesTheExpressionInOneWordOrMany) {
  EXPECT_EQ(run({IXCAP_COMMAND, "filter", "tcp", "port", "80"}).out, run({IXCAP_COMMAND, "filter", "tcp port 80"}).out);
}

TEST(FilterCommand, ShowsWhereABadExpressionIsWrong) {
  const Result result = run({IXCAP_COMMAND, "filter", "-d", "udp and port 99999"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, EndsWith("\nudp and port 99999\n             ^\n"));
}

TEST(DevicesCommand, ListsTheSoftwareNicEverywhere) {
  const Result table = run({IXCAP_COMMAND, "devices"});
  EXPECT_EQ(table.status, 0);
  EXPECT_THAT(table.out, testing::HasSubstr("emulator"));
  const Result json = run({IXCAP_COMMAND, "devices", "--json"});
  EXPECT_THAT(json.out, testing::StartsWith("[\n  {\"interface\":\"emulator\""));
}

}  // namespace
}  // namespace ixcap::test
