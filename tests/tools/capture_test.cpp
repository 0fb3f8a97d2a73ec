// `ixcap capture` against tcpdump, the standard that people know: for every capture file and expression the same
// frames, byte for byte and in order, in a file that others read without complaint, with a ledger that balances to the
// frame.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/process.hpp"
#include "tests/tools/capture_files.hpp"

namespace ixcap::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::uint32_t longest_frame = 15872 - 4;

/// The number that stands before `words` in `text`; 0 if they are not there.
std::uint64_t number_before(const std::string& text, const std::string& words) {
  const std::size_t at = text.find(words);
  if (at == std::string::npos) return 0;
  const std::size_t line = text.rfind('\n', at) + 1;
  return std::stoull(text.substr(line, at - line));
}

/// Files with Ethernet frames, none of them truncated: the generated ones first.
std::vector<std::string> ethernet_files(const TemporaryFolder& folder) {
  write_traffic(folder.file("imix.pcap"), "mix?count=3000&seed=11");
  write_traffic(folder.file("small.pcap"), "mix?count=3000&seed=12&size=64");
  std::vector<std::string> paths{folder.file("imix.pcap"), folder.file("small.pcap")};
  for (const std::string& path : real_captures()) {
    const CaptureFile file = read_capture(path);
    const bool truncated = std::any_of(file.frames.begin(), file.frames.end(), [](const CapturedFrame& frame) {
      return frame.bytes.size() < frame.wire_length;
    });
    if (file.link_type == DLT_EN10MB && !truncated) paths.push_back(path);
  }
  return paths;
}

class CaptureExpression : public testing::TestWithParam<std::string> {};

TEST_P(CaptureExpression, WritesTheFramesThatTcpdumpWrites) {
  if (!on_path("tcpdump")) GTEST_SKIP() << "tcpdump is not installed";
  const TemporaryFolder folder;
  const std::string& expression = GetParam();
  std::size_t compared = 0;
  for (const std::string& path : ethernet_files(folder)) {
    SCOPED_TRACE(path);
    const Result ours =
        run({IXCAP_COMMAND, "capture", "-v", "-i", "emulator:" + path, "-w", folder.file("ours.pcapng"), expression});
    ASSERT_EQ(ours.status, 0) << ours.err;
    const Result theirs = run({"tcpdump", "-Z", "root", "-r", path, "-w", folder.file("theirs.pcap"), expression});
    ASSERT_EQ(theirs.status, 0) << theirs.err;

    // What the card cannot receive: frames that an offload has merged to more than 15.5 KiB.
    const auto oversize = [](const CapturedFrame& frame) { return frame.wire_length > longest_frame; };
    const std::vector<CapturedFrame> sent = read_capture(path).frames;
    std::vector<CapturedFrame> expected = read_capture(folder.file("theirs.pcap")).frames;
    std::erase_if(expected, oversize);
    ASSERT_EQ(read_capture(folder.file("ours.pcapng")).frames, expected);
    compared += expected.size();

    EXPECT_THAT(ours.err, HasSubstr("the sum is right"));
    EXPECT_EQ(number_before(ours.err, "frames on the wire"), sent.size());
    EXPECT_EQ(number_before(ours.err, "rejected by the MAC"), std::count_if(sent.begin(), sent.end(), oversize));
    EXPECT_EQ(number_before(ours.err, "delivered"), expected.size());
    EXPECT_EQ(number_before(ours.err, " captured"), expected.size());
  }
  RecordProperty("frames", static_cast<int>(compared));
  EXPECT_GT(compared, 0u);
}

INSTANTIATE_TEST_SUITE_P(Issue, CaptureExpression,
                         testing::Values("", "tcp", "udp port 53", "ip6", "vlan", "tcp[tcpflags] & tcp-syn != 0",
                                         "host 8.8.8.8 or net 10.0.0.0/8", "ip[6:2] & 0x1fff != 0", "len > 1000"));

TEST(CaptureFileFormat, IsReadByOthersWithoutAComplaint) {
  if (!on_path("tshark") || !on_path("capinfos")) GTEST_SKIP() << "tshark is not installed";
  const TemporaryFolder folder;
  for (const std::string& path : ethernet_files(folder)) {
    SCOPED_TRACE(path);
    const std::string output = folder.file("out.pcapng");
    ASSERT_EQ(run({IXCAP_COMMAND, "capture", "-i", "emulator:" + path, "-w", output}).status, 0);
    const Result capinfos = run({"capinfos", output});
    EXPECT_EQ(capinfos.status, 0);
    EXPECT_THAT(capinfos.err, IsEmpty());
    EXPECT_THAT(capinfos.out, HasSubstr("Strict time order:   True"));
    const Result tshark = run({"tshark", "-n", "-r", output, "-T", "fields", "-e", "frame.number"});
    EXPECT_EQ(tshark.status, 0);
    EXPECT_EQ(static_cast<std::size_t>(std::count(tshark.out.begin(), tshark.out.end(), '\n')),
              read_capture(output).frames.size());
    EXPECT_THAT(tshark.err, Not(HasSubstr("appears to"))) << "truncated or damaged";
  }
}

TEST(CaptureFileFormat, SaysWhatWasCapturedAndHow) {
  if (!on_path("tshark")) GTEST_SKIP() << "tshark is not installed";
  const TemporaryFolder folder;
  const std::string output = folder.file("out.pcapng");
  ASSERT_EQ(run({IXCAP_COMMAND, "capture", "-i", "emulator:mix?count=1000", "-w", output, "udp"}).status, 0);
  const std::string text = run({"capinfos", output}).out;
  EXPECT_THAT(text, HasSubstr("Name = emulator:mix?count=1000"));
  EXPECT_THAT(text, HasSubstr("Filter string = udp"));
  EXPECT_THAT(text, HasSubstr("Speed = 10000000000"));
  EXPECT_THAT(text, HasSubstr("Time precision = nanoseconds"));
  EXPECT_THAT(text, HasSubstr("Number of stat entries = 1"));
  const Result fields = run({"tshark", "-r", output, "-c", "1", "-T", "fields", "-e", "frame.packet_flags_direction",
                             "-e", "frame.interface_queue"});
  EXPECT_EQ(fields.out, "0x00000001\t0\n") << "inbound, and the queue";
}

TEST(CaptureTruncatedFrames, AreZeroFilledToTheirLengthOnTheWire) {
  const TemporaryFolder folder;
  write_capture(folder.file("in.pcap"), {{std::vector<std::uint8_t>(40, 0xAA), 100}});
  const Result result =
      run({IXCAP_COMMAND, "capture", "-i", "emulator:" + folder.file("in.pcap"), "-w", folder.file("out")});
  ASSERT_EQ(result.status, 0) << result.err;
  CapturedFrame expected{std::vector<std::uint8_t>(40, 0xAA), 100};
  expected.bytes.resize(100, 0);
  EXPECT_EQ(read_capture(folder.file("out")).frames, std::vector{expected});
  EXPECT_THAT(result.err, HasSubstr("1 frame was truncated in its file"));
}

TEST(CaptureJumboFrames, AreJoinedFromSeveralDescriptors) {
  const TemporaryFolder folder;
  std::vector<CapturedFrame> frames;
  for (const std::uint32_t length : {2048u, 2049u, 9000u, longest_frame}) {
    std::vector<std::uint8_t> bytes(length);
    for (std::uint32_t i = 0; i < length; ++i) bytes[i] = static_cast<std::uint8_t>(i / 7);
    frames.push_back({bytes, length});
  }
  write_capture(folder.file("in.pcap"), frames);
  ASSERT_EQ(
      run({IXCAP_COMMAND, "capture", "-i", "emulator:" + folder.file("in.pcap"), "-w", folder.file("out")}).status, 0);
  EXPECT_EQ(read_capture(folder.file("out")).frames, frames);
}

TEST(CaptureOversizeFrames, AreCountedAndExplained) {
  const TemporaryFolder folder;
  write_capture(folder.file("in.pcap"), {{std::vector<std::uint8_t>(longest_frame + 1), longest_frame + 1},
                                         {std::vector<std::uint8_t>(60), 60}});
  const Result result =
      run({IXCAP_COMMAND, "capture", "-i", "emulator:" + folder.file("in.pcap"), "-w", folder.file("out")});
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(number_before(result.err, "rejected by the MAC"), 1u) << result.err;
  EXPECT_EQ(number_before(result.err, " captured"), 1u);
}

TEST(CaptureAtARate, CountsWhatFindsNoDescriptorAndBalances) {
  const TemporaryFolder folder;
  const Result result = run({IXCAP_COMMAND, "capture", "-v", "-i", "emulator:mix?count=200000&rate=10G", "-w",
                             folder.file("out"), "--descriptors", "64"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(number_before(result.err, "frames on the wire"), 200'000u);
  EXPECT_THAT(result.err, HasSubstr("the sum is right"));
  EXPECT_EQ(number_before(result.err, "delivered") + number_before(result.err, "dropped on queue 0"), 200'000u);
}

}  // namespace
}  // namespace ixcap::test
