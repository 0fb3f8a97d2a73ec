// The RSS hash against the vectors that its inventor published, and against the definition bit by bit.

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include <ixcap/driver/emulator/toeplitz.hpp>

namespace ixcap::emulator {
namespace {

constexpr Toeplitz::Key published_key{0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                      0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                      0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                      0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

TEST(Toeplitz, HashesThePublishedVectors) {
  const Toeplitz toeplitz(published_key);
  // 66.9.149.187:2794 to 161.142.100.80:1766
  const std::vector<std::uint8_t> ipv4{66, 9, 149, 187, 161, 142, 100, 80, 0x0A, 0xEA, 0x06, 0xE6};
  EXPECT_EQ(toeplitz.hash(std::span(ipv4).first(8)), 0x323E8FC2u);
  EXPECT_EQ(toeplitz.hash(ipv4), 0x51CCC178u);
  // 3ffe:2501:200:1fff::7, port 2794, to 3ffe:2501:200:3::1, port 1766
  const std::vector<std::uint8_t> ipv6{0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0,    0,    0,    0,
                                       0,    0,    0,    7,    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03,
                                       0,    0,    0,    0,    0,    0,    0,    1,    0x0A, 0xEA, 0x06, 0xE6};
  EXPECT_EQ(toeplitz.hash(std::span(ipv6).first(32)), 0x2CC18CD5u);
  EXPECT_EQ(toeplitz.hash(ipv6), 0x40207D3Du);
}

TEST(Toeplitz, IsWhatItsDefinitionSays) {
  std::mt19937 random(3);
  Toeplitz::Key key;
  for (auto& byte : key) byte = static_cast<std::uint8_t>(random());
  const Toeplitz toeplitz(key);
  const auto key_bit = [&key](std::size_t i) { return i < 320 ? key[i / 8] >> (7 - i % 8) & 1u : 0u; };
  for (int round = 0; round < 100; ++round) {
    std::vector<std::uint8_t> input(random() % (Toeplitz::most_input_bytes + 1));
    std::uint32_t expected = 0;
    for (std::size_t i = 0; i < input.size() * 8; ++i) {
      if (i % 8 == 0) input[i / 8] = static_cast<std::uint8_t>(random());
      if ((input[i / 8] >> (7 - i % 8) & 1) == 0) continue;
      for (std::size_t bit = 0; bit < 32; ++bit) expected ^= key_bit(i + bit) << (31 - bit);
    }
    EXPECT_EQ(toeplitz.hash(input), expected);
  }
}

}  // namespace
}  // namespace ixcap::emulator
