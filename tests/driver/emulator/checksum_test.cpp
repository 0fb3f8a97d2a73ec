// The checksums of a card against their published examples.

#include <gtest/gtest.h>

#include <numeric>
#include <string_view>
#include <vector>

#include <ixcap/driver/emulator/checksum.hpp>

namespace ixcap::emulator {
namespace {

std::vector<std::uint8_t> bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

TEST(Checksum, SumsAsRfc1071Shows) {
  const std::vector<std::uint8_t> words{0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7};
  EXPECT_EQ(InternetSum().add(words).folded(), 0xDDF2);
  EXPECT_EQ(InternetSum().add(words).checksum(), 0x220D);
}

TEST(Checksum, AnOddByteCountsAsTheUpperHalfOfAWord) {
  EXPECT_EQ(InternetSum().add(std::vector<std::uint8_t>{0x12}).folded(), 0x1200);
  EXPECT_EQ(InternetSum().add(std::vector<std::uint8_t>{0x00, 0x01, 0x02}).folded(), 0x0201);
  EXPECT_EQ(InternetSum().add(std::vector<std::uint8_t>{0, 0, 0, 1, 0x12}).folded(), 0x1201);
}

TEST(Checksum, IsTheSameInPiecesAndAgainstAPlainLoop) {
  std::vector<std::uint8_t> bytes(70'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 31 + i / 256);
  for (const std::size_t length : {0u, 1u, 2u, 3u, 4u, 5u, 20u, 1499u, 1500u, 69'999u, 70'000u}) {
    const std::span<const std::uint8_t> all(bytes.data(), length);
    std::uint64_t plain = 0;
    for (std::size_t i = 0; i < length; ++i) plain += i % 2 == 0 ? std::uint64_t{all[i]} << 8 : all[i];
    while (plain > 0xFFFF) plain = (plain & 0xFFFF) + (plain >> 16);
    EXPECT_EQ(InternetSum().add(all).folded(), plain) << length;
    const std::size_t middle = length / 4 * 2;
    EXPECT_EQ(InternetSum().add(all.first(middle)).add(all.subspan(middle)).folded(), plain) << length;
  }
}

TEST(Checksum, AddsWordsThatExceedSixteenBits) {
  EXPECT_EQ(InternetSum().add(0x1'0001).folded(), 2);
}

TEST(Checksum, Crc32cIsThatOfRfc3720) {
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xE3069283u);
  EXPECT_EQ(crc32c(std::vector<std::uint8_t>(32, 0)), 0x8A9136AAu);
  EXPECT_EQ(crc32c({}, 32), 0x8A9136AAu) << "zeros that are not there";
}

TEST(Checksum, FrameCheckSequenceIsThatOfEthernet) {
  EXPECT_EQ(frame_check_sequence(bytes_of("123456789")), 0xCBF43926u);
}

}  // namespace
}  // namespace ixcap::emulator
