#include <bit>

#include <ixcap/driver/ixgbe/flow_hash.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>

namespace ixcap::ixgbe {

/// A stream of 336 bits (the key, its flow last) is multiplied with the 32-bit key over and over, without carries; all
/// words of the stream but the one with the flow meet the same key bits, so that their sum is enough.
std::uint32_t flow_hash(const FlowKey& key, std::uint32_t hash_key) noexcept {
  std::uint32_t high = key.ports ^ key.flexible << 16;
  for (const std::uint32_t word : key.source) high ^= word;
  for (const std::uint32_t word : key.destination) high ^= word;
  std::uint32_t low = std::rotl(high, 16);
  high ^= key.flow ^ key.flow >> 16;
  std::uint32_t hash = 0;
  for (unsigned bit = 0; bit < 16; ++bit) {
    if (bit == 1) low ^= key.flow ^ key.flow << 16;  // the stream has no bit 0 of it
    if ((hash_key >> bit & 1) != 0) hash ^= low >> bit;
    if ((hash_key >> (bit + 16) & 1) != 0) hash ^= high >> bit;
  }
  return hash & FDIRHASH_HASH_MASK;
}

}  // namespace ixcap::ixgbe
