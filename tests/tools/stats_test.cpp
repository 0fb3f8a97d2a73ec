// `ixcap stats`: the counts are those of what was on the wire, interval by interval and in total.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "tests/process.hpp"

namespace ixcap::test {
namespace {

using testing::HasSubstr;

struct Line {
  std::string label;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::string filter;
};

/// The lines below the heading.
std::vector<Line> lines_of(const std::string& out) {
  std::istringstream text(out);
  std::string line;
  std::getline(text, line);
  std::vector<Line> lines;
  while (std::getline(text, line)) {
    std::istringstream words(line);
    double rate = 0;
    Line& read = lines.emplace_back();
    words >> read.label >> read.packets >> read.bytes >> rate >> rate >> std::ws;
    std::getline(words, read.filter);
  }
  return lines;
}

TEST(StatsCommand, IntervalsAddUpToTheTotalsAndTheseAreTheTraffics) {
  const Result result = run({IXCAP_COMMAND, "stats", "-i", "emulator:mix?count=24000&rate=100kpps&size=64",
                             "--interval", "0.05", "udp port 53", "arp", ""});
  EXPECT_EQ(result.status, 0) << result.err;
  const std::vector<Line> lines = lines_of(result.out);
  ASSERT_GE(lines.size(), 9u) << result.out;
  const std::vector<std::string> names = {"udp port 53", "arp", "every packet"};
  std::vector<Line> sums(3);
  for (std::size_t i = 0; i + 3 < lines.size(); ++i) {
    EXPECT_EQ(lines[i].filter, names[i % 3]);
    sums[i % 3].packets += lines[i].packets;
    sums[i % 3].bytes += lines[i].bytes;
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const Line& total = lines[lines.size() - 3 + i];
    EXPECT_EQ(total.label, "total");
    EXPECT_EQ(total.packets, sums[i].packets);
    EXPECT_EQ(total.bytes, sums[i].bytes);
  }
  EXPECT_EQ(sums[0].packets, 3000u);
  EXPECT_EQ(sums[1].packets, 1200u);
  EXPECT_EQ(sums[2].packets, 24'000u);
  EXPECT_GE(sums[2].bytes, 24'000u * 60);
}

TEST(StatsCommand, StopsAfterSoManyIntervals) {
  const Result result = run({IXCAP_COMMAND, "stats", "-i", "emulator:mix", "-c", "2", "--interval", "0.05"});
  EXPECT_EQ(result.status, 0) << result.err;
  const std::vector<Line> lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 3u) << result.out;
  EXPECT_EQ(lines[0].packets + lines[1].packets, lines[2].packets);
  EXPECT_GT(lines[2].packets, 0u);
  EXPECT_EQ(lines[2].filter, "every packet");
}

TEST(StatsCommand, PrintsJson) {
  const Result result =
      run({IXCAP_COMMAND, "stats", "-i", "emulator:mix?count=24000", "--queues", "2", "--json", "arp"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr(R"({"total":true,"seconds":)"));
  EXPECT_THAT(result.out,
              HasSubstr(R"("on_wire":24000,"dropped":0,"filters":[{"filter":0,"expression":"arp","packets":1200,)"));
}

TEST(StatsCommand, ASignalEndsItWithItsTotals) {
  Process stats({IXCAP_COMMAND, "stats", "-i", "emulator:mix?rate=1kpps"});
  while (stats.err().find("counting on") == std::string::npos) ASSERT_TRUE(stats.running());
  stats.send(SIGINT);
  const Result result = stats.wait();
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("    total "));
}

TEST(StatsCommand, RefusesWithOneLine) {
  const Result nothing = run({IXCAP_COMMAND, "stats"});
  EXPECT_EQ(nothing.status, 1);
  EXPECT_THAT(nothing.err, HasSubstr("no interface was given"));
  EXPECT_EQ(std::count(nothing.err.begin(), nothing.err.end(), '\n'), 1);
  std::vector<std::string> many = {IXCAP_COMMAND, "stats", "-i", "emulator:mix"};
  many.resize(many.size() + 65, "tcp");
  EXPECT_THAT(run(many).err, HasSubstr("there are 64 already"));
}

}  // namespace
}  // namespace ixcap::test
