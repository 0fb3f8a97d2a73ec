#pragma once

/// The checksums of a network card: Internet checksum (RFC 1071), SCTP's CRC-32C (RFC 4960 6.8), Ethernet's FCS.

#include <cstdint>
#include <span>

namespace ixcap::emulator {

/// A one's complement sum of big-endian 16-bit words.
class InternetSum {
 public:
  /// Adds `bytes`; only the last piece of a sum may be of odd length, and counts as if a zero followed.
  InternetSum& add(std::span<const std::uint8_t> bytes) noexcept;

  /// Adds one word in host order; `value` may exceed 16 bits.
  InternetSum& add(std::uint32_t value) noexcept {
    sum_ += value;
    return *this;
  }

  /// The sum, 0 to 0xFFFF; 0xFFFF over data that holds its own checksum says that it is right.
  std::uint16_t folded() const noexcept;

  /// What to store as checksum: the complement of the sum.
  std::uint16_t checksum() const noexcept { return static_cast<std::uint16_t>(~folded()); }

 private:
  std::uint64_t sum_ = 0;
};

/// CRC-32C of `bytes` followed by `zeros` zero bytes, as SCTP stores it (little-endian in the packet).
std::uint32_t crc32c(std::span<const std::uint8_t> bytes, std::uint32_t zeros = 0) noexcept;

/// The checksum that an SCTP packet should have: its CRC-32C with zeros in the checksum's own place. At least 12 bytes.
std::uint32_t sctp_checksum(std::span<const std::uint8_t> packet, std::uint32_t zeros = 0) noexcept;

/// The frame check sequence of `bytes` followed by `zeros` zero bytes, as it goes over the wire (little-endian).
std::uint32_t frame_check_sequence(std::span<const std::uint8_t> bytes, std::uint32_t zeros = 0) noexcept;

/// Big-endian fields of packets, at any alignment.
inline std::uint16_t load_big_16(const std::uint8_t* bytes) noexcept {
  return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
}
inline std::uint32_t load_big_32(const std::uint8_t* bytes) noexcept {
  return std::uint32_t{load_big_16(bytes)} << 16 | load_big_16(bytes + 2);
}
inline void store_big_16(std::uint8_t* bytes, std::uint32_t value) noexcept {
  bytes[0] = static_cast<std::uint8_t>(value >> 8);
  bytes[1] = static_cast<std::uint8_t>(value);
}
inline void store_big_32(std::uint8_t* bytes, std::uint32_t value) noexcept {
  store_big_16(bytes, value >> 16);
  store_big_16(bytes + 2, value);
}

}  // namespace ixcap::emulator
