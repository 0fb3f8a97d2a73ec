// How `ixcap capture` behaves at its edges: tcpdump's flags and signals, and bad input, which gets one line that says
// what is wrong and how to mend it, exit status 1, and loses nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <thread>

#include "tests/process.hpp"
#include "tests/tools/capture_files.hpp"
#include "tests/tools/wait_until.hpp"

namespace ixcap::test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class CaptureManners : public testing::Test {
 protected:
  Result capture(std::vector<std::string> words, const std::function<void()>& before = {}) const {
    words.insert(words.begin(), {IXCAP_COMMAND, "capture"});
    return run(std::move(words), before);
  }
  std::size_t frames_in(const std::string& path) const { return read_capture(path).frames.size(); }

  TemporaryFolder folder;
  std::string out = folder.file("out.pcapng");
  std::string part = out + ".part";  // until it is finished
};

/// One line on standard error that starts as it should, has `part` in it, and exit status 1.
void expect_refusal(const Result& result, const std::string& part) {
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_THAT(result.err, StartsWith("ixcap: "));
  EXPECT_THAT(result.err, HasSubstr(part));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(CaptureManners, CountStopsTheCapture) {
  const Result result = capture({"-i", "emulator:mix", "-c", "17", "-w", out});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(frames_in(out), 17u);
  EXPECT_THAT(result.err, HasSubstr("\n17 packets captured\n"));
}

TEST_F(CaptureManners, SnapshotLengthCutsFrames) {
  const Result result = capture({"-i", "emulator:mix?count=100&size=1518", "-s", "96", "-w", out});
  EXPECT_EQ(result.status, 0);
  for (const CapturedFrame& frame : read_capture(out).frames) {
    EXPECT_EQ(frame.bytes.size(), 96u);
    EXPECT_GE(frame.wire_length, 1514u);
  }
}

TEST_F(CaptureManners, DashWritesToStandardOutputAndNothingElseDoes) {
  const Result result = capture({"-i", "emulator:mix?count=100", "-w", "-", "tcp"});
  EXPECT_EQ(result.status, 0);
  std::ofstream(out, std::ios::binary) << result.out;
  EXPECT_GT(frames_in(out), 10u);
}

TEST_F(CaptureManners, SummaryReadsLikeTcpdumps) {
  const Result result = capture({"-q", "-i", "emulator:mix?count=1", "-w", out});
  EXPECT_EQ(result.err, "1 packet captured\n1 packet received by filter\n0 packets dropped by kernel\n");
}

TEST_F(CaptureManners, SignalsFinishTheFile) {
  for (const int signal_number : {SIGINT, SIGTERM}) {
    Process process({IXCAP_COMMAND, "capture", "-v", "-U", "-i", "emulator:mix?rate=1Mpps", "-w", out});
    wait_until(process, [&] { return std::filesystem::exists(part) && std::filesystem::file_size(part) > 10'000; });
    process.send(signal_number);
    process.send(signal_number);  // timeout(1) sends it twice
    const Result result = process.wait();
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("the sum is right"));
    EXPECT_THAT(result.err, HasSubstr(std::to_string(frames_in(out)) + " packets captured\n"));
    EXPECT_THAT(result.err, Not(HasSubstr("left in"))) << "everything received was drained into the file";
    EXPECT_EQ(result.out, out + "\n");
    std::filesystem::remove(out);
  }
}

TEST_F(CaptureManners, AQuietPipeHoldsNothingUp) {
  write_traffic(folder.file("some.pcap"), "mix?count=5");
  const std::string pipe = folder.file("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  Process process({IXCAP_COMMAND, "capture", "-v", "-U", "-i", "emulator:" + pipe, "-w", out});
  std::ofstream writer(pipe, std::ios::binary);  // stays open: the capture waits for more
  writer << read_file(folder.file("some.pcap")) << std::flush;
  wait_until(process, [&] { return std::filesystem::exists(part) && std::filesystem::file_size(part) > 500; });
  process.send(SIGINT);
  const Result result = process.wait();
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(frames_in(out), 5u);
  EXPECT_THAT(result.err, HasSubstr("the sum is right"));
}

TEST_F(CaptureManners, ACountThatIsReachedLosesNothing) {
  const Result result = capture({"-v", "-B", "64", "-i", "emulator:mix", "-c", "50000", "-w", out});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("\n50000 packets captured\n"));
  EXPECT_THAT(result.err, HasSubstr("\n0 packets dropped by kernel\n"));
  EXPECT_THAT(result.err, Not(HasSubstr("lost by the reader")));
  EXPECT_THAT(result.err, HasSubstr("the sum is right"));
}

TEST_F(CaptureManners, FlagsThatFingersTypeAreAccepted) {
  const Result result = capture({"-nn", "-p", "-e", "-s", "96", "-s", "0", "-i", "emulator:mix?count=10", "-w", out});
  EXPECT_EQ(result.status, 0) << result.err;
}

TEST_F(CaptureManners, StatisticsOnRequest) {
  Process process({IXCAP_COMMAND, "capture", "-U", "-i", "emulator:mix?rate=1000pps", "-w", out});
  wait_until(process, [&] { return std::filesystem::exists(part) && std::filesystem::file_size(part) > 1'000; });
  process.send(SIGUSR1);
  wait_until(process, [&] { return process.err().find("packets received by filter") != std::string::npos; });
  process.send(SIGINT);
  EXPECT_EQ(process.wait().status, 0);
}

TEST_F(CaptureManners, ProgressIsForTerminalsOnly) {
  EXPECT_THAT(capture({"-i", "emulator:mix?count=100&rate=100pps", "-w", out}).err, Not(HasSubstr("0 dropped")));

  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(child, 0);
  if (child == 0) {
    execl(IXCAP_COMMAND, "ixcap", "capture", "-i", "emulator:mix?count=100&rate=100pps", "-w", out.c_str(), nullptr);
    _exit(127);
  }
  std::string shown;
  char buffer[4096];
  for (ssize_t count; (count = read(terminal, buffer, sizeof buffer)) > 0;) {
    shown.append(buffer, static_cast<std::size_t>(count));
  }
  close(terminal);
  waitpid(child, nullptr, 0);
  EXPECT_THAT(shown, HasSubstr(" pps, 0 dropped"));
  EXPECT_THAT(shown, HasSubstr("100 packets captured"));
}

TEST_F(CaptureManners, HelpIsEverywhere) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--help"},
                                                {"capture", "--help"},
                                                {"devices", "--help"},
                                                {"emulate", "--help"},
                                                {"filter", "--help"}}) {
    std::vector<std::string> command{IXCAP_COMMAND};
    command.insert(command.end(), words.begin(), words.end());
    const Result result = run(command);
    EXPECT_EQ(result.status, 0);
    EXPECT_THAT(result.out, HasSubstr("Usage:"));
    EXPECT_THAT(result.err, IsEmpty());
  }
}

TEST_F(CaptureManners, ListsTheTimeStampTypesAsTcpdumpDoes) {
  for (const char* flag : {"-J", "--list-time-stamp-types"}) {
    const Result result = capture({"-i", "emulator:mix", flag});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.out,
              "Time stamp types for emulator:mix (use option -j to set):\n"
              "  adapter_unsynced (Adapter, not synced with system time)\n"
              "  host (Host)\n");
    EXPECT_THAT(result.err, IsEmpty());
  }
  expect_refusal(capture({"-J"}), "no interface was given");
  expect_refusal(capture({"-J", "-i", "no-such-interface"}), "there is no such interface");
  expect_refusal(capture({"-J", "-i", "emulator:/no/such/file"}), "/no/such/file");
}

TEST_F(CaptureManners, SaysInTheFileWhoseTimeItIs) {
  const auto contents = [this] {
    std::ifstream file(out, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_EQ(capture({"-i", "emulator:mix?count=100", "-w", out}).status, 0);
  EXPECT_THAT(contents(), HasSubstr("time stamps: the card's clock, set to UTC at the start"));
  EXPECT_THAT(contents(), HasSubstr("; the card's clock is known to "));
  EXPECT_EQ(capture({"-i", "emulator:mix?count=100", "-j", "host", "-w", out}).status, 0);
  EXPECT_THAT(contents(), HasSubstr("time stamps: the system's clock when a frame was polled"));
  EXPECT_THAT(contents(), HasSubstr("time stamps: frames came at most "));
  EXPECT_THAT(contents(), Not(HasSubstr("card's clock")));
  expect_refusal(capture({"-i", "emulator:mix", "-j", "adapter", "-w", out}), "give adapter_unsynced or host with -j");
}

TEST_F(CaptureManners, MistypedWordsAreRefused) {
  expect_refusal(capture({"-i", "emulator:mix", "--frobnicate"}), "--frobnicate");
  expect_refusal(capture({"-w", out}), "no interface was given");
  expect_refusal(capture({"-i", "emulator:mix"}), "no output file was given");
  expect_refusal(capture({"-i", "emulator:mix", "-w", out, "-c", "none"}), "-c");
  expect_refusal(capture({"-i", "emulator:mix", "-w", out, "--descriptors", "100"}), "power of two");
  expect_refusal(run({IXCAP_COMMAND, "captrue"}), "captrue");
  expect_refusal(run({IXCAP_COMMAND}), "subcommand");
}

TEST_F(CaptureManners, UnknownInterfacesAreRefused) {
  expect_refusal(capture({"-i", "no-such-interface", "-w", out}), "there is no such interface");
  expect_refusal(capture({"-i", "ffff:03:00.0", "-w", out}), "there is no PCI device");
  expect_refusal(capture({"-i", "emulator:mix?speed=10G", "-w", out}), "speed");
  expect_refusal(capture({"-i", "emulator:mix?rate=fast", "-w", out}), "rate");
}

TEST_F(CaptureManners, UnusableCaptureFilesAreRefused) {
  expect_refusal(capture({"-i", "emulator:" + folder.file("absent.pcap"), "-w", out}), "No such file or directory");
  std::ofstream(folder.file("noise.pcap")) << "this is no capture file, whatever its name says";
  expect_refusal(capture({"-i", "emulator:" + folder.file("noise.pcap"), "-w", out}), "noise.pcap");
  write_capture(folder.file("ppp.pcap"), {{std::vector<std::uint8_t>(60), 60}}, DLT_PPP);
  expect_refusal(capture({"-i", "emulator:" + folder.file("ppp.pcap"), "-w", out}), "PPP");
  EXPECT_FALSE(std::filesystem::exists(out)) << "nothing was captured, so nothing is written";
  EXPECT_FALSE(std::filesystem::exists(part));
}

TEST_F(CaptureManners, ABadExpressionIsShownWithACaret) {
  const Result result = capture({"-i", "emulator:mix", "-w", out, "tcp", "prot", "80"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("syntax error"));
  EXPECT_THAT(result.err, EndsWith("\ntcp prot 80\n    ^\n"));
}

TEST_F(CaptureManners, ATruncatedFileIsReadAsFarAsItGoes) {
  write_traffic(folder.file("whole.pcap"), "mix?count=100");
  std::string bytes = read_file(folder.file("whole.pcap"));
  bytes.resize(bytes.size() - 10);
  std::ofstream(folder.file("cut.pcap"), std::ios::binary) << bytes;
  const Result result = capture({"-v", "-i", "emulator:" + folder.file("cut.pcap"), "-w", out});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("truncated"));
  EXPECT_THAT(result.err, HasSubstr("99 packets captured"));
  EXPECT_EQ(frames_in(out), 99u);
}

TEST_F(CaptureManners, AnUnwritableOutputIsRefused) {
  expect_refusal(capture({"-i", "emulator:mix", "-w", folder.file("no/such/folder/out")}), "No such file or directory");
  expect_refusal(capture({"-i", "emulator:mix", "-w", folder.file(".")}), "directory");
}

TEST_F(CaptureManners, TheFileThatIsReadIsNotOverwritten) {
  write_traffic(out, "mix?count=10");
  expect_refusal(capture({"-i", "emulator:" + out + "?loop=2", "-w", folder.file("./out.pcapng")}),
                 "the file that is read");
  EXPECT_EQ(frames_in(out), 10u);
}

TEST_F(CaptureManners, AFullDiskLeavesAFileThatIsReadableUpToItsLastWholeBlock) {
  const auto limit_files = [] {
    const rlimit limit{8'000'000, 8'000'000};  // more than the rings in memory, less than the file
    setrlimit(RLIMIT_FSIZE, &limit);
  };
  const Result result = capture({"-v", "-i", "emulator:mix?count=100000", "-B", "1024", "-w", out}, limit_files);
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("File too large"));
  const std::size_t frames = frames_in(out);
  EXPECT_GT(frames, 10'000u);
  EXPECT_THAT(result.err, HasSubstr(std::to_string(frames) + " packets captured"));
  EXPECT_THAT(result.err, HasSubstr(std::to_string(frames) + "  delivered"));
  EXPECT_THAT(result.err, HasSubstr("lost by the reader"));
  EXPECT_THAT(result.err, HasSubstr("the sum is right"));
}

TEST_F(CaptureManners, AReaderThatGoesAwayIsAnError) {
  const Result result =
      run({"sh", "-c", std::string(IXCAP_COMMAND) + " capture -i emulator:mix -w - | head -c 100000 > /dev/null"});
  EXPECT_THAT(result.err, HasSubstr("Broken pipe"));
}

}  // namespace
}  // namespace ixcap::test
