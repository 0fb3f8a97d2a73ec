// `ixcap capture --share` and `ixcap read`: a reader in another process gets what the capture gets, and says so.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/process.hpp"
#include "tests/tools/capture_files.hpp"
#include "tests/tools/wait_until.hpp"

namespace ixcap::test {
namespace {

using testing::HasSubstr;

class ReadAlong : public testing::Test {
 protected:
  TemporaryFolder folder;
  const std::string socket = folder.file("share.sock");
  const std::string out = folder.file("out.pcapng");
};

TEST_F(ReadAlong, ReadsUntilTheCountAndTheCaptureGoesOn) {
  Process capture({IXCAP_COMMAND, "capture", "-v", "-i", "emulator:mix?rate=100kpps", "--share", socket});
  wait_until(capture, [&] { return std::filesystem::exists(socket); });
  const Result read = run({IXCAP_COMMAND, "read", socket, "-c", "50", "-w", out, "udp port 53"});
  EXPECT_EQ(read.status, 0) << read.err;
  EXPECT_THAT(read.err, HasSubstr("50 packets captured\n"));
  EXPECT_THAT(read.err, HasSubstr("\n0 packets dropped by kernel\n"));
  EXPECT_EQ(read_capture(out).frames.size(), 50u);
  EXPECT_TRUE(capture.running());
  capture.send(SIGINT);
  const Result result = capture.wait();
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("has joined, lossless"));
  EXPECT_THAT(result.err, HasSubstr("the sum is right"));
  EXPECT_FALSE(std::filesystem::exists(socket));
}

TEST_F(ReadAlong, EndsWithTheCapture) {
  Process capture({IXCAP_COMMAND, "capture", "-i", "emulator:mix?rate=100kpps", "--share", socket, "-w", out});
  wait_until(capture, [&] { return std::filesystem::exists(socket); });
  const std::string along = folder.file("along.pcapng");
  Process read({IXCAP_COMMAND, "read", socket, "--lossy", "-U", "-w", along});
  wait_until(read, [&] {
    return std::filesystem::exists(along + ".part") && std::filesystem::file_size(along + ".part") > 10'000;
  });
  capture.send(SIGINT);
  EXPECT_EQ(capture.wait().status, 0);
  const Result result = read.wait();
  EXPECT_EQ(result.status, 0) << result.err;
  const auto frames = read_capture(along).frames;
  EXPECT_THAT(result.err, HasSubstr(std::to_string(frames.size()) + " packets captured\n"));
  // It joined after the capture began, and read to its end.
  const auto all = read_capture(out).frames;
  ASSERT_GE(all.size(), frames.size());
  EXPECT_EQ(all.back(), frames.back());
}

TEST_F(ReadAlong, ACaptureThatIsKilledIsTold) {
  Process capture({IXCAP_COMMAND, "capture", "-i", "emulator:mix?rate=100kpps", "--share", socket});
  wait_until(capture, [&] { return std::filesystem::exists(socket); });
  Process read({IXCAP_COMMAND, "read", socket, "-U", "-w", out});
  wait_until(read, [&] {
    return std::filesystem::exists(out + ".part") && std::filesystem::file_size(out + ".part") > 10'000;
  });
  capture.send(SIGKILL);
  const Result result = read.wait();
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("the capture was killed"));
  EXPECT_GT(read_capture(out).frames.size(), 0u);
}

TEST_F(ReadAlong, KeepsLessOfAPacketThanTheCapture) {
  Process capture({IXCAP_COMMAND, "capture", "-i", "emulator:mix?rate=100kpps&size=512", "--share", socket});
  wait_until(capture, [&] { return std::filesystem::exists(socket); });
  const Result read = run({IXCAP_COMMAND, "read", socket, "-s", "60", "--pcap", "-c", "20", "-w", out});
  EXPECT_EQ(read.status, 0) << read.err;
  const auto frames = read_capture(out).frames;
  EXPECT_EQ(frames.size(), 20u);
  for (const CapturedFrame& frame : frames) {
    EXPECT_EQ(frame.bytes.size(), 60u);
    EXPECT_GT(frame.wire_length, 500u);
  }
}

TEST_F(ReadAlong, RefusesWithOneLine) {
  const auto expect_refusal = [](const Result& result, const std::string& part) {
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.err, HasSubstr(part));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  expect_refusal(run({IXCAP_COMMAND, "read", socket, "-w", out}), "ixcap capture --share");
  expect_refusal(run({IXCAP_COMMAND, "read", socket}), "no output file was given");
  expect_refusal(run({IXCAP_COMMAND, "read", socket, "-w", out, "--part", "2/2"}), "there is no such part");
}

}  // namespace
}  // namespace ixcap::test
