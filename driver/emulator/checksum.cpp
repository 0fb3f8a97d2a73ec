#include <array>
#include <cstring>

#include <ixcap/driver/emulator/checksum.hpp>

namespace ixcap::emulator {
namespace {

using Table = std::array<std::uint32_t, 256>;

constexpr Table make_table(std::uint32_t reversed_polynomial) {
  Table table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? crc >> 1 ^ reversed_polynomial : crc >> 1;
    table[byte] = crc;
  }
  return table;
}

constexpr Table castagnoli = make_table(0x82F63B78);
constexpr Table ethernet = make_table(0xEDB88320);

constexpr std::uint32_t crc_start = 0xFFFFFFFF;

std::uint32_t add_to_crc(std::uint32_t crc, const Table& table, std::span<const std::uint8_t> bytes) noexcept {
  for (const std::uint8_t byte : bytes) crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8;
  return crc;
}

std::uint32_t add_zeros_to_crc(std::uint32_t crc, const Table& table, std::uint32_t zeros) noexcept {
  for (; zeros > 0; --zeros) crc = table[crc & 0xFF] ^ crc >> 8;
  return crc;
}

std::uint16_t fold(std::uint64_t sum) noexcept {
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFF) + (sum >> 16 & 0xFFFF) + (sum >> 32);
  sum = (sum & 0xFFFF) + (sum >> 16);
  sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

}  // namespace

InternetSum& InternetSum::add(std::span<const std::uint8_t> bytes) noexcept {
  // A one's complement sum may be taken in either byte order (RFC 1071 2B): here four bytes at a time, as they lie in
  // memory, and swapped at the end.
  std::uint64_t sum = 0;
  const std::uint8_t* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 4; at += 4, left -= 4) {
    std::uint32_t word;
    std::memcpy(&word, at, sizeof word);
    sum += word;
  }
  if (left != 0) {
    std::uint32_t word = 0;
    std::memcpy(&word, at, left);
    sum += word;
  }
  const std::uint16_t little_endian = fold(sum);
  sum_ += static_cast<std::uint16_t>(little_endian << 8 | little_endian >> 8);
  return *this;
}

std::uint16_t InternetSum::folded() const noexcept {
  return fold(sum_);
}

std::uint32_t crc32c(std::span<const std::uint8_t> bytes, std::uint32_t zeros) noexcept {
  return ~add_zeros_to_crc(add_to_crc(crc_start, castagnoli, bytes), castagnoli, zeros);
}

std::uint32_t sctp_checksum(std::span<const std::uint8_t> packet, std::uint32_t zeros) noexcept {
  constexpr std::size_t offset = 8;
  constexpr std::size_t length = 4;
  std::uint32_t crc = add_to_crc(crc_start, castagnoli, packet.first(offset));
  crc = add_zeros_to_crc(crc, castagnoli, length);
  crc = add_to_crc(crc, castagnoli, packet.subspan(offset + length));
  return ~add_zeros_to_crc(crc, castagnoli, zeros);
}

std::uint32_t frame_check_sequence(std::span<const std::uint8_t> bytes, std::uint32_t zeros) noexcept {
  return ~add_zeros_to_crc(add_to_crc(crc_start, ethernet, bytes), ethernet, zeros);
}

}  // namespace ixcap::emulator
