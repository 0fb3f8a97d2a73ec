// The names that tcpdump's -C, -G and -W give files, alone and combined.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <ixcap/capture/file_names.hpp>

namespace ixcap::capture {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

/// The first names, all rotations for the same reason, a second apart.
std::vector<std::string> names(FileNames names, Rotation rotation, unsigned count) {
  std::vector<std::string> result = {names.first(0)};
  for (unsigned i = 1; i < count; ++i) result.push_back(names.next(rotation, i));
  return result;
}

TEST(FileNames, NumbersBeginWithTheSecondFile) {
  EXPECT_THAT(names({"x.pcap", {.bytes = 1}}, Rotation::size, 3), ElementsAre("x.pcap", "x.pcap1", "x.pcap2"));
  EXPECT_THAT(names({"x.pcap", {}}, Rotation::request, 3), ElementsAre("x.pcap", "x.pcap1", "x.pcap2"));
}

TEST(FileNames, ARingHasLeadingZerosAndBeginsAnew) {
  EXPECT_THAT(names({"x", {.bytes = 1, .most_files = 3}}, Rotation::size, 5),
              ElementsAre("x0", "x1", "x2", "x0", "x1"));
  const auto twelve = names({"x", {.bytes = 1, .most_files = 12}}, Rotation::size, 13);
  EXPECT_EQ(twelve[0], "x00");
  EXPECT_EQ(twelve[11], "x11");
  EXPECT_EQ(twelve[12], "x00");
  EXPECT_EQ(names({"x", {.bytes = 1, .most_files = 10}}, Rotation::size, 10)[9], "x9");
  EXPECT_THAT(names({"x", {.bytes = 1, .most_files = 1}}, Rotation::size, 2), ElementsAre("x", "x"));
}

TEST(FileNames, TimesMakeNamesAndTheCountEndsTheCapture) {
  FileNames names("x-%s", {.interval = 1s, .most_files = 2});
  EXPECT_EQ(names.first(100), "x-100");
  EXPECT_FALSE(names.is_last());
  EXPECT_EQ(names.next(Rotation::time, 101), "x-101");
  EXPECT_TRUE(names.is_last());
  EXPECT_FALSE(names.is_ring());
}

TEST(FileNames, WithoutAnIntervalAPercentSignIsOne) {
  EXPECT_EQ(FileNames("100%s", {.bytes = 1}).first(100), "100%s");
}

TEST(FileNames, SizeNumbersWithinAnInterval) {
  FileNames names("x-%s.", {.bytes = 1, .interval = 10s});
  EXPECT_EQ(names.first(100), "x-100.");
  EXPECT_EQ(names.next(Rotation::size, 105), "x-105.1");
  EXPECT_EQ(names.next(Rotation::time, 110), "x-110.");
  EXPECT_EQ(names.next(Rotation::request, 110), "x-110.1");
}

TEST(FileNames, AllThreeAreARingOverIntervals) {
  FileNames names("x-%s.", {.bytes = 1, .interval = 10s, .most_files = 3});
  EXPECT_TRUE(names.is_ring());
  EXPECT_EQ(names.first(100), "x-100.0");
  EXPECT_EQ(names.next(Rotation::size, 105), "x-105.1");
  EXPECT_EQ(names.next(Rotation::time, 110), "x-110.2");
  EXPECT_FALSE(names.is_last());
  EXPECT_EQ(names.next(Rotation::size, 111), "x-111.0");
}

TEST(FileNames, ASuffixComesLastAndOnce) {
  EXPECT_THAT(names({"x", {.bytes = 1}, ".zst"}, Rotation::size, 2), ElementsAre("x.zst", "x1.zst"));
  EXPECT_THAT(names({"x.zst", {.bytes = 1}, ".zst"}, Rotation::size, 2), ElementsAre("x.zst", "x1.zst"));
}

TEST(FileNames, KnowWhetherTheyTellTheTime) {
  EXPECT_TRUE(FileNames("x-%H%M%S", {.interval = 1s}).tells_time());
  EXPECT_TRUE(FileNames("x-%d", {.interval = 1s}).tells_time());
  EXPECT_FALSE(FileNames("x%%", {.interval = 1s}).tells_time());
  EXPECT_FALSE(FileNames("x", {.interval = 1s}).tells_time());
  EXPECT_EQ(FileNames("%%", {.interval = 1s}).first(0), "%");
}

}  // namespace
}  // namespace ixcap::capture
