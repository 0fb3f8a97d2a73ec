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

constexpr Table table_of_castagnoli = make_table(0x82F63B78);
constexpr Table table_of_ethernet = make_table(0xEDB88320);

std::uint32_t crc(const Table& table, std::span<const std::uint8_t> bytes, std::uint32_t zeros) noexcept {
  std::uint32_t value = 0xFFFFFFFF;
  for (const std::uint8_t byte : bytes) value = table[(value ^ byte) & 0xFF] ^ value >> 8;
  for (; zeros > 0; --zeros) value = table[value & 0xFF] ^ value >> 8;
  return ~value;
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
  return crc(table_of_castagnoli, bytes, zeros);
}

std::uint32_t frame_check_sequence(std::span<const std::uint8_t> bytes, std::uint32_t zeros) noexcept {
  return crc(table_of_ethernet, bytes, zeros);
}

}  // namespace ixcap::emulator
