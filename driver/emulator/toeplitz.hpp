#pragma once

/// The hash of receive side scaling (data sheet 7.1.2.8.1): for each bit of the input that is set, 32 bits of the key
/// from that position on, all exclusive-ored.

#include <array>
#include <cstdint>
#include <span>

namespace ixcap::emulator {

class Toeplitz {
 public:
  static constexpr std::size_t key_bytes = 40;
  static constexpr std::size_t most_input_bytes = 36;  ///< two IPv6 addresses and two ports

  using Key = std::array<std::uint8_t, key_bytes>;

  Toeplitz() noexcept : Toeplitz(Key{}) {}
  explicit Toeplitz(const Key& key) noexcept;

  /// Of at most most_input_bytes bytes.
  std::uint32_t hash(std::span<const std::uint8_t> input) const noexcept {
    std::uint32_t result = 0;
    for (std::size_t i = 0; i < input.size(); ++i) {
      result ^= parts_[2 * i][input[i] >> 4] ^ parts_[2 * i + 1][input[i] & 0xF];
    }
    return result;
  }

 private:
  /// What four bits at a position contribute, for each of their values.
  std::array<std::array<std::uint32_t, 16>, 2 * most_input_bytes> parts_;
};

}  // namespace ixcap::emulator
