// Each block is, byte for byte, what the pcapng draft says, and a number that is not known leaves no trace in it.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include <ixcap/capture/pcapng.hpp>

namespace ixcap::capture::pcapng {
namespace {

using Bytes = std::vector<std::uint8_t>;

// Hexadecimal digits and, between quotes, characters: "0100 'a' 00".
Bytes bytes(const std::string& text) {
  Bytes result;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == ' ') {
      ++i;
    } else if (text[i] == '\'') {
      for (++i; text[i] != '\''; ++i) result.push_back(static_cast<std::uint8_t>(text[i]));
      ++i;
    } else {
      result.push_back(static_cast<std::uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
      i += 2;
    }
  }
  return result;
}

Bytes encoded(const EnhancedPacket& packet) {
  const std::size_t length = enhanced_packet_length(packet);
  Bytes out(100'000, 0xee);
  put_enhanced_packet(out.data(), packet, length);
  EXPECT_EQ(out[length], 0xee) << "written past the block's end";
  out.resize(length);
  return out;
}

TEST(Pcapng, EncodesTheSectionHeader) {
  Bytes out;
  append_section_header(out,
                        {.hardware = "Xeon", .operating_system = "Linux", .application = "ixcap", .comment = "hi"});
  EXPECT_EQ(out, bytes("0a0d0d0a 48000000 4d3c2b1a 0100 0000 ffffffffffffffff"
                       "0100 0200 'hi' 0000  0200 0400 'Xeon'  0300 0500 'Linux' 000000  0400 0500 'ixcap' 000000"
                       "0000 0000 48000000"));
}

TEST(Pcapng, EncodesTheInterfaceDescription) {
  Bytes out;
  append_interface_description(out, {.name = "0000:03:00.0",
                                     .description = "port 1",
                                     .mac = MacAddress{2, 0, 0, 0, 0, 1},
                                     .speed_bits_per_second = 10'000'000'000,
                                     .filter = "udp",
                                     .operating_system = "Linux",
                                     .hardware = "82599",
                                     .snaplen = 96,
                                     .fcs_bytes = 4});
  EXPECT_EQ(out, bytes("01000000 7c000000 0100 0000 60000000"
                       "0200 0c00 '0000:03:00.0'  0300 0600 'port 1' 0000  0600 0600 020000000001 0000"
                       "0800 0800 00e40b5402000000  0900 0100 09 000000  0b00 0400 00 'udp'"
                       "0c00 0500 'Linux' 000000  0d00 0100 04 000000  0f00 0500 '82599' 000000"
                       "0000 0000 7c000000"));
}

TEST(Pcapng, LeavesOutWhatIsNotKnownOfTheInterface) {
  Bytes out;
  append_interface_description(out, {});
  EXPECT_EQ(
      out, bytes("01000000 28000000 0100 0000 00000000  0900 0100 09 000000  0d00 0100 00 000000  0000 0000 28000000"));
}

TEST(Pcapng, EncodesAnEnhancedPacket) {
  const Bytes frame = bytes("ffffffffffff 01");
  EXPECT_EQ(encoded({.timestamp_ns = 0x1122334455667788,
                     .data = frame.data(),
                     .captured_length = 7,
                     .wire_length = 1500,
                     .reception = Reception::broadcast,
                     .queue = 3}),
            bytes("06000000 3c000000 00000000 44332211 88776655 07000000 dc050000 ffffffffffff0100"
                  "0200 0400 0d000000  0600 0400 03000000  0000 0000 3c000000"));
}

TEST(Pcapng, EncodesErrorsOfTheLinkLayer) {
  const Bytes frame = bytes("01020304");
  EXPECT_EQ(encoded({.timestamp_ns = 1,
                     .data = frame.data(),
                     .captured_length = 4,
                     .wire_length = 4,
                     .reception = Reception::promiscuous,
                     .queue = 0,
                     .errors = 0x81000000}),
            bytes("06000000 38000000 00000000 00000000 01000000 04000000 04000000 01020304"
                  "0200 0400 11000081  0600 0400 00000000  0000 0000 38000000"));
}

TEST(Pcapng, EncodesDropcountAndComment) {
  const Bytes frame = bytes("010203");
  EXPECT_EQ(encoded({.timestamp_ns = 1,
                     .data = frame.data(),
                     .captured_length = 3,
                     .wire_length = 3,
                     .reception = Reception::unknown,
                     .queue = 0,
                     .dropped = 0x100000001,
                     .comment = "hello"}),
            bytes("06000000 50000000 00000000 00000000 01000000 03000000 03000000 01020300"
                  "0400 0800 0100000001000000  0100 0500 'hello' 000000"
                  "0200 0400 01000000  0600 0400 00000000  0000 0000 50000000"));
}

TEST(Pcapng, PadsEveryLengthOfFrameAndCommentWithZeros) {
  const Bytes frame(200, 0xaa);
  for (std::uint32_t length = 0; length <= frame.size(); ++length) {
    const std::string comment(length % 7, 'c');
    const Bytes block = encoded({.timestamp_ns = 0,
                                 .data = frame.data(),
                                 .captured_length = length,
                                 .wire_length = 200,
                                 .reception = Reception::unknown,
                                 .queue = 0,
                                 .comment = comment});
    Bytes expected(frame.begin(), frame.begin() + length);
    expected.resize((length + 3) / 4 * 4);
    if (!comment.empty()) {
      const Bytes option = bytes("0100 0" + std::to_string(comment.size()) + "00 '" + comment + "'");
      expected.insert(expected.end(), option.begin(), option.end());
      expected.resize((expected.size() + 3) / 4 * 4);
    }
    ASSERT_EQ(Bytes(block.begin() + 28, block.end() - 24), expected) << length;
    ASSERT_EQ(Bytes(block.begin() + 24, block.begin() + 28), bytes("c8000000")) << length;
  }
}

TEST(Pcapng, EncodesOnlyTheStatisticsThatAreKnown) {
  Bytes out;
  append_interface_statistics(out, {.timestamp_ns = 0x1122334455667788, .received = 0, .delivered = 5});
  EXPECT_EQ(out, bytes("05000000 34000000 00000000 44332211 88776655"
                       "0400 0800 0000000000000000  0800 0800 0500000000000000  0000 0000 34000000"));
}

TEST(Pcapng, EncodesAllStatisticsAndEveryComment) {
  Bytes out;
  append_interface_statistics(out,
                              {.timestamp_ns = 0,
                               .start_ns = 0x100000002,
                               .end_ns = 0x300000004,
                               .received = 1,
                               .dropped_by_interface = 2,
                               .accepted_by_filter = 3,
                               .dropped_by_system = 4,
                               .delivered = 5},
                              {"one", "more"});
  EXPECT_EQ(out, bytes("05000000 80000000 00000000 00000000 00000000  0100 0300 'one' 00  0100 0400 'more'"
                       "0200 0800 0100000002000000  0300 0800 0300000004000000"
                       "0400 0800 0100000000000000  0500 0800 0200000000000000  0600 0800 0300000000000000"
                       "0700 0800 0400000000000000  0800 0800 0500000000000000  0000 0000 80000000"));
}

TEST(Pcapng, CutsTextThatNoOptionHoldsBetweenTwoCharacters) {
  std::string text(65534, 'x');
  text += "\u00e9\u00e9";  // the first one begins at the last byte that fits
  Bytes out;
  append_section_header(out, {.comment = text});
  EXPECT_EQ(out[26] | out[27] << 8, 65534);
  EXPECT_EQ(out.size() % 4, 0u);
  const Bytes packet = encoded({.timestamp_ns = 0,
                                .data = out.data(),
                                .captured_length = 0,
                                .wire_length = 0,
                                .reception = Reception::unknown,
                                .queue = 0,
                                .comment = text});
  EXPECT_EQ(packet[30] | packet[31] << 8, 65534);
}

TEST(Pcapng, TellsTheReceptionTypeFromTheDestination) {
  const MacAddress own = {2, 0, 0, 0, 0, 1};
  EXPECT_EQ(reception_of(bytes("020000000001").data(), 6, own), Reception::unicast);
  EXPECT_EQ(reception_of(bytes("020000000002").data(), 6, own), Reception::promiscuous);
  EXPECT_EQ(reception_of(bytes("020000000001").data(), 6, {}), Reception::unknown);
  EXPECT_EQ(reception_of(bytes("01005e000001").data(), 6, own), Reception::multicast);
  EXPECT_EQ(reception_of(bytes("ffffffffffff").data(), 6, {}), Reception::broadcast);
  EXPECT_EQ(reception_of(bytes("ffffffffff").data(), 5, own), Reception::unknown);
}

TEST(Pcapng, CountsWholeBlocksUpToAnyByte) {
  Bytes out;
  append_section_header(out, {});
  const std::size_t first_frame = out.size();
  const Bytes frame = bytes("0102030405060708");
  for (int i = 0; i < 2; ++i) {
    const Bytes packet = encoded({0, frame.data(), 8, 8, Reception::unknown, 0, 0, {}});
    out.insert(out.end(), packet.begin(), packet.end());
  }
  const std::size_t block = (out.size() - first_frame) / 2;
  for (std::size_t count = 0; count <= out.size(); ++count) {
    const std::size_t frames = count < first_frame ? 0 : (count - first_frame) / block;
    const WholeBlocks whole = count_whole_blocks(out.data(), count);
    EXPECT_EQ(whole.frames, frames) << count;
    EXPECT_EQ(whole.bytes, count < first_frame ? 0 : first_frame + frames * block) << count;
  }
}

}  // namespace
}  // namespace ixcap::capture::pcapng
