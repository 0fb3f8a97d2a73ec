#include <ixcap/driver/emulator/toeplitz.hpp>

namespace ixcap::emulator {
namespace {

/// 32 bits of the key from bit `position` on, the first being the most significant of the first byte.
std::uint32_t window(const Toeplitz::Key& key, std::size_t position) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    const std::size_t byte = position / 8 + i;
    bits = bits << 8 | (byte < key.size() ? key[byte] : 0u);
  }
  return static_cast<std::uint32_t>(bits >> (8 - position % 8));
}

}  // namespace

Toeplitz::Toeplitz(const Key& key) noexcept {
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    for (std::size_t value = 0; value < 16; ++value) {
      std::uint32_t sum = 0;
      for (std::size_t bit = 0; bit < 4; ++bit) {
        if ((value & 8 >> bit) != 0) sum ^= window(key, 4 * part + bit);
      }
      parts_[part][value] = sum;
    }
  }
}

}  // namespace ixcap::emulator
