#pragma once

/// Statistics registers count up to their maximum and stay there (data sheet 8.2.3.23).

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include <ixcap/driver/emulator/register_file.hpp>

namespace ixcap::emulator {

inline void add_sticking(RegisterFile& registers, const ixgbe::Register& reg, std::uint64_t count,
                         std::uint32_t index = 0) noexcept {
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  registers.set(reg, static_cast<std::uint32_t>(std::min(most, registers.get(reg, index) + count)), index);
}

/// Octet counters are 36 bits wide, in two registers.
inline void add_sticking_wide(RegisterFile& registers, const ixgbe::Register& low, const ixgbe::Register& high,
                              std::uint64_t count, std::uint32_t index = 0) noexcept {
  constexpr std::uint64_t most = (std::uint64_t{1} << 36) - 1;
  const std::uint64_t before = std::uint64_t{registers.get(high, index)} << 32 | registers.get(low, index);
  const std::uint64_t after = std::min(most, before + count);
  registers.set(low, static_cast<std::uint32_t>(after), index);
  registers.set(high, static_cast<std::uint32_t>(after >> 32), index);
}

/// Which of PRC64 ... PRC1522, or PTC64 ... PTC1522, counts a frame of `length` bytes with FCS: one up to 64, one for
/// each power of two up to 1023, and one for the rest.
inline std::size_t size_bin(std::uint32_t length) noexcept {
  return length <= 64 ? 0 : std::min<unsigned>(5, static_cast<unsigned>(std::bit_width(length)) - 6);
}

}  // namespace ixcap::emulator
