// What happens to the card during `ixcap capture` is said as it happens and stands in the file, and the summary
// accounts for what it cost.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/process.hpp"
#include "tests/tools/capture_files.hpp"

namespace ixcap::test {
namespace {

using testing::HasSubstr;
using testing::Not;

/// All that is in a file, comments of blocks that are no packets included.
std::string everything_in(const std::string& path) {
  const Result result = run({"tshark", "-r", path, "-V", "-X", "read_format:MIME Files Format"});
  EXPECT_EQ(result.status, 0) << result.err;
  return result.out;
}

TEST(Recovery, AQueueThatHangsCostsWhatItDropsAndNoMore) {
  const TemporaryFolder folder;
  const std::string out = folder.file("out.pcapng");
  const Result result = run(
      {IXCAP_COMMAND, "capture", "-i", "emulator:mix?rate=20kpps&fault=receive-hang=2000", "-c", "3000", "-w", out});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("ixcap: receive queue 0 hangs: it has room, and drops its frames\n"));
  EXPECT_THAT(
      result.err,
      HasSubstr("ixcap: the card was reset and set up again; 0 frames were lost in it, and what came meanwhile, for "));
  EXPECT_THAT(result.err, HasSubstr("\n3000 packets captured\n"));
  EXPECT_THAT(result.err, HasSubstr("dropped by interface\n"));
  EXPECT_THAT(result.err, HasSubstr("dropped on queue 0, no free descriptor"));
  EXPECT_THAT(result.err, HasSubstr("the sum is right\n"));
  EXPECT_EQ(read_capture(out).frames.size(), 3000u);
  if (!on_path("tshark")) GTEST_SKIP() << "tshark is not installed";
  const std::string text = everything_in(out);
  EXPECT_THAT(text, HasSubstr("receive queue 0 hangs: it has room, and drops its frames"));
  EXPECT_THAT(text, HasSubstr("the card was reset and set up again; 0 frames were lost in it"));
}

TEST(Recovery, ACardThatIsGoneIsOneErrorAndAWholeFile) {
  const TemporaryFolder folder;
  const std::string out = folder.file("out.pcapng");
  const Result result = run({IXCAP_COMMAND, "capture", "-v", "-i", "emulator:mix?fault=remove-after=5000", "-w", out});
  EXPECT_EQ(result.status, 1);
  const std::string error =
      "ixcap: lost the interface 'emulator:mix?fault=remove-after=5000': the card is not there any";
  EXPECT_THAT(result.err, HasSubstr(error));
  EXPECT_EQ(result.err.find(error), result.err.rfind(error)) << "once";
  EXPECT_THAT(result.err, HasSubstr("\n5000 packets captured\n"));
  EXPECT_THAT(result.err, HasSubstr("the sum is right\n"));
  EXPECT_EQ(read_capture(out).frames.size(), 5000u);
  if (!on_path("tshark")) GTEST_SKIP() << "tshark is not installed";
  EXPECT_THAT(everything_in(out), HasSubstr("the card is not there any more"));
}

TEST(Recovery, ACardThatNoResetMendsIsGivenUp) {
  const TemporaryFolder folder;
  const std::string out = folder.file("out.pcapng");
  const Result result =
      run({IXCAP_COMMAND, "capture", "-q", "-i", "emulator:mix?rate=20kpps&fault=receive-hang=500", "-w", out});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("the card was reset 3 times within a minute, and it is no better"));
  EXPECT_THAT(result.err, HasSubstr("\n2000 packets captured\n")) << "before each hang as many";
  EXPECT_THAT(result.err, HasSubstr("the sum is right\n"));
  EXPECT_THAT(result.err, Not(HasSubstr("queue 0 hangs"))) << "-q";
}

}  // namespace
}  // namespace ixcap::test
