// `ixcap send` puts the frames of a file on the wire: a capture at the other end of the cable has them all, byte for
// byte and in order; what cannot be sent is told; mistakes are refused with a sentence that mends them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "tests/driver/ptp_frames.hpp"
#include "tests/process.hpp"
#include "tests/tools/capture_files.hpp"

namespace ixcap::test {
namespace {

using testing::HasSubstr;
using testing::Not;

void wait_for_words(const Process& process, const std::string& words) {
  while (process.running() && process.err().find(words) == std::string::npos) std::this_thread::yield();
}

/// Two software NICs in another process, on one cable.
class CabledNics {
 public:
  CabledNics()
      : process_({IXCAP_COMMAND, "emulate", "--cable", "--socket", folder_.file("left.sock"), "--socket",
                  folder_.file("right.sock")}) {
    wait_for_words(process_, "is at vfio-user:" + folder_.file("right.sock"));
  }

  std::string left() const { return "vfio-user:" + folder_.file("left.sock"); }
  std::string right() const { return "vfio-user:" + folder_.file("right.sock"); }

 private:
  TemporaryFolder folder_;
  Process process_;
};

/// What a capture of `count` packets at the right end has while `words` send at the left. It has descriptors for all of
/// them, so that none is lost however busy the machine is.
std::vector<CapturedFrame> capture_while_sending(const std::string& count, std::vector<std::string> words) {
  const TemporaryFolder folder;
  const CabledNics nics;
  Process capture({IXCAP_COMMAND, "capture", "-i", nics.right(), "-c", count, "--descriptors", "8192", "-w",
                   folder.file("out.pcapng")});
  wait_for_words(capture, "listening on");
  words.insert(words.begin(), {IXCAP_COMMAND, "send", "-i", nics.left()});
  const Result sent = run(words);
  EXPECT_EQ(sent.status, 0) << sent.err;
  EXPECT_THAT(sent.err, HasSubstr(count + " packets sent\n0 packets not sent\n"));
  const Result captured = capture.wait();
  EXPECT_EQ(captured.status, 0) << captured.err;
  return read_capture(folder.file("out.pcapng")).frames;
}

TEST(Send, PutsTheFramesOfAFileOnTheWire) {
  const TemporaryFolder folder;
  write_traffic(folder.file("sent.pcap"), "mix?count=3000&seed=5");
  const std::vector<CapturedFrame> sent = read_capture(folder.file("sent.pcap")).frames;
  EXPECT_EQ(capture_while_sending("3000", {"--rate", "20kpps", folder.file("sent.pcap")}), sent);
  EXPECT_EQ(capture_while_sending("3000", {"--speed", "10000", folder.file("sent.pcap")}), sent);
}

TEST(Send, RepeatsAFileAndStopsAfterACount) {
  const TemporaryFolder folder;
  write_traffic(folder.file("sent.pcap"), "mix?count=100");
  const std::vector<CapturedFrame> file = read_capture(folder.file("sent.pcap")).frames;
  std::vector<CapturedFrame> expected;
  for (int i = 0; i < 250; ++i) expected.push_back(file[static_cast<std::size_t>(i) % 100]);
  EXPECT_EQ(capture_while_sending("250", {"--rate", "20kpps", "--loop", "0", "-c", "250", folder.file("sent.pcap")}),
            expected);
  const Result twice =
      run({IXCAP_COMMAND, "send", "-i", "emulator", "--loop", "2", "--rate", "max", folder.file("sent.pcap")});
  EXPECT_THAT(twice.err, HasSubstr("200 packets sent"));
}

TEST(Send, ReadsStandardInput) {
  const TemporaryFolder folder;
  write_traffic(folder.file("sent.pcap"), "mix?count=500");
  const std::string command = std::string(IXCAP_COMMAND) + " send -i emulator --rate max - <";
  EXPECT_THAT(output_of(command + folder.file("sent.pcap")), HasSubstr("500 packets sent\n0 packets not sent"));
  EXPECT_THAT(output_of("cat " + folder.file("sent.pcap") + " |" + command + "/dev/stdin"),
              HasSubstr("500 packets sent\n0 packets not sent"));
}

TEST(Send, GeneratesPackets) {
  const Result result = run({IXCAP_COMMAND, "send", "-q", "-i", "emulator", "--rate", "max", "mix?size=64&count=1000"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.err, "1000 packets sent\n0 packets not sent\n");
}

TEST(Send, TellsWhatItCouldNotSendAndWhatItChanged) {
  const TemporaryFolder folder;
  const auto frame = [](std::size_t captured, std::uint32_t wire) {
    return CapturedFrame{std::vector<std::uint8_t>(captured, 2), wire};
  };
  write_capture(folder.file("odd.pcap"),
                {frame(10, 10), frame(20, 20), frame(68, 1000), frame(20'000, 20'000), frame(15'868, 15'868)});
  const Result result = run({IXCAP_COMMAND, "send", "-v", "-i", "emulator", "--rate", "max", folder.file("odd.pcap")});
  EXPECT_EQ(result.status, 1) << "not everything was sent";
  EXPECT_THAT(result.err, HasSubstr("3 packets sent\n2 packets not sent\n"));
  EXPECT_THAT(result.err, HasSubstr("1  longer than 15868 bytes"));
  EXPECT_THAT(result.err, HasSubstr("1  shorter than 14 bytes"));
  EXPECT_THAT(result.err, HasSubstr("1 packet was padded with zeros to 60 bytes"));
  EXPECT_THAT(result.err, HasSubstr("1 frame was truncated in its file"));
}

TEST(Send, SendsWhatIsReadableOfADamagedFile) {
  const TemporaryFolder folder;
  write_traffic(folder.file("whole.pcap"), "mix?count=100&size=64");
  std::filesystem::resize_file(folder.file("whole.pcap"), 24 + 50 * (16 + 60) + 20);
  const Result result = run({IXCAP_COMMAND, "send", "-i", "emulator", "--rate", "max", folder.file("whole.pcap")});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("cannot read frame 51"));
  EXPECT_THAT(result.err, HasSubstr("50 packets sent\n"));
}

TEST(Send, TellsHowWellItKeptItsPace) {
  const TemporaryFolder folder;
  write_traffic(folder.file("sent.pcap"), "mix?count=100&size=64");
  const Result result = run({IXCAP_COMMAND, "send", "-i", "emulator", "--rate", "10kpps", folder.file("sent.pcap")});
  EXPECT_THAT(result.err, HasSubstr("on emulator, at 10kpps\n"));
  EXPECT_THAT(result.err, HasSubstr("asked for 0.009900 s; late by "));
  EXPECT_THAT(result.err, HasSubstr("bit/s on the wire\n"));
  const Result fast = run({IXCAP_COMMAND, "send", "-i", "emulator", "--rate", "max", folder.file("sent.pcap")});
  EXPECT_THAT(fast.err, HasSubstr("on emulator, as fast as possible\n"));
  EXPECT_THAT(fast.err, Not(HasSubstr("asked for")));
}

TEST(Send, FinishesCleanlyAtASignal) {
  const TemporaryFolder folder;
  write_traffic(folder.file("sent.pcap"), "mix?count=100&size=64");
  for (const int signal_number : {SIGINT, SIGTERM}) {
    Process process(
        {IXCAP_COMMAND, "send", "-i", "emulator", "--loop", "0", "--rate", "1kpps", folder.file("sent.pcap")});
    wait_for_words(process, "sending");
    process.send(signal_number);
    const Result result = process.wait();
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("\n0 packets not sent\n"));
  }
}

TEST(Send, WritesWhatTheCardHasStamped) {
  const TemporaryFolder folder;
  std::vector<CapturedFrame> frames;
  for (std::uint16_t sequence = 0; sequence < 5; ++sequence) {
    for (const auto& bytes : {PtpFrame{.sequence = sequence}.bytes(), std::vector<std::uint8_t>(60, 2)}) {
      frames.push_back({bytes, static_cast<std::uint32_t>(bytes.size())});
    }
  }
  write_capture(folder.file("sent.pcap"), frames);
  const Result result = run({IXCAP_COMMAND, "send", "-i", "emulator", "--rate", "10pps", "--stamps",
                             folder.file("stamps.pcapng"), folder.file("sent.pcap")});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("5 PTP messages stamped by the card, written to " + folder.file("stamps.pcapng")));
  const std::vector<CapturedFrame> stamped = read_capture(folder.file("stamps.pcapng")).frames;
  ASSERT_EQ(stamped.size(), 5u);
  for (std::size_t i = 0; i < stamped.size(); ++i) EXPECT_EQ(stamped[i].bytes, frames[2 * i].bytes);
}

TEST(Send, RefusesMistakesWithTheirMend) {
  const TemporaryFolder folder;
  write_traffic(folder.file("sent.pcap"), "mix?count=10");
  write_capture(folder.file("cooked.pcap"), {{{1, 2, 3, 4}, 4}}, DLT_LINUX_SLL);
  const auto refusal = [](std::vector<std::string> words) {
    words.insert(words.begin(), {IXCAP_COMMAND, "send"});
    const Result result = run(words);
    EXPECT_EQ(result.status, 1) << result.err;
    EXPECT_THAT(result.err, testing::StartsWith("ixcap: "));
    EXPECT_THAT(result.err, Not(HasSubstr("sent\n"))) << "nothing was";
    return result.err;
  };
  const std::string file = folder.file("sent.pcap");
  EXPECT_THAT(refusal({file}), HasSubstr("add -i INTERFACE"));
  EXPECT_THAT(refusal({"-i", "emulator"}), HasSubstr("no file was given"));
  EXPECT_THAT(refusal({"-i", "no-such-interface", file}), HasSubstr("there is no such interface"));
  EXPECT_THAT(refusal({"-i", "emulator", folder.file("none.pcap")}), HasSubstr("No such file"));
  EXPECT_THAT(refusal({"-i", "emulator", folder.file("cooked.pcap")}), HasSubstr("not Ethernet"));
  EXPECT_THAT(refusal({"-i", "emulator", "--rate", "10", file}), HasSubstr("give max, bits per second"));
  EXPECT_THAT(refusal({"-i", "emulator", "--rate", "1G", "--speed", "2", file}), HasSubstr("--speed"));
  EXPECT_THAT(refusal({"-i", "emulator", "--speed", "0", file}), HasSubstr("--speed"));
  EXPECT_THAT(refusal({"-i", "emulator", "--rat", "1G", file}), HasSubstr("see 'ixcap send --help'"));
  EXPECT_THAT(refusal({"-i", "emulator", "-c", "0", file}), HasSubstr("--count"));
  EXPECT_THAT(refusal({"-i", "emulator", "--descriptors", "100", file}), HasSubstr("power of two"));
  EXPECT_THAT(refusal({"-i", "emulator", "mix"}), HasSubstr("add --rate"));
  EXPECT_THAT(refusal({"-i", "emulator", "--loop", "2", "mix"}), HasSubstr("leave --loop out"));
  EXPECT_THAT(refusal({"-i", "emulator", "--rate", "1G", "mix?sise=64"}), HasSubstr("did you mean size"));
}

}  // namespace
}  // namespace ixcap::test
