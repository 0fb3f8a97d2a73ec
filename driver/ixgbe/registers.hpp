#pragma once

/// The 82599's register table and the names that the rest of the code uses for it.
///
///     device.write(RXCTRL.offset(), RXCTRL_RXEN);
///     device.read(RXDCTL.offset(queue));
///
/// The lines are in registers.inc; the bits of the registers are in register_bits.hpp. What is wrong with the table,
/// two entries at one address say, is found here while compiling.

#include <array>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>

namespace ixcap::ixgbe {

/// Bytes of BAR0 that hold registers; nothing that a driver of this card uses lies above.
inline constexpr std::uint32_t register_space_bytes = 0x20000;

/// How the special bits of a register behave.
enum class Access : std::uint8_t {
  RW,   ///< reads back what was written
  RO,   ///< writes are ignored
  WO,   ///< reads as 0
  RC,   ///< reading clears; writing 1 clears
  W1C,  ///< writing 1 clears, writing 0 leaves alone
  W1S,  ///< writing 1 sets, writing 0 leaves alone
  SC,   ///< writing 1 starts something and reads 1 until it is done
  RS,   ///< reading answers the old value and sets; writing 0 clears
};

struct Register {
  std::string_view name;
  std::uint32_t base;     ///< offset of instance 0 in BAR0, bytes
  std::uint32_t stride;   ///< bytes between instances; 0 for a single register
  std::uint32_t count;    ///< instances
  Access access;          ///< of the special bits; the others are RW
  std::uint32_t special;  ///< bits that `access` speaks of
  std::uint32_t reset;    ///< value after a device reset
  std::string_view section;
  std::string_view phrase;
  std::uint32_t lower_count = 0;  ///< instances that follow `base`; 0: all of them
  std::uint32_t upper_base = 0;   ///< offset of instance `lower_count` where there are two banks

  /// Offset of instance `index` in BAR0, bytes. index < count.
  constexpr std::uint32_t offset(std::uint32_t index = 0) const noexcept {
    return lower_count == 0 || index < lower_count ? base + index * stride
                                                   : upper_base + (index - lower_count) * stride;
  }
};

/// A second address of the first `count` instances of the register at `target`.
struct RegisterAlias {
  std::uint32_t base;
  std::uint32_t stride;
  std::uint32_t count;
  const Register* target;
};

#define IXCAP_REGISTER(name, offset, stride, count, access, special, reset, section, phrase) \
  inline constexpr Register name{#name, offset, stride, count, Access::access, special, reset, section, phrase};
#define IXCAP_REGISTER_BANKS(name, offset, lower, upper, stride, count, access, special, reset, section, phrase) \
  inline constexpr Register name{#name, offset,  stride, count, Access::access, special,                         \
                                 reset, section, phrase, lower, upper};
#define IXCAP_REGISTER_ALIAS(name, offset, stride, count)
#include <ixcap/driver/ixgbe/registers.inc>
#undef IXCAP_REGISTER
#undef IXCAP_REGISTER_BANKS
#undef IXCAP_REGISTER_ALIAS

inline constexpr auto register_table = std::to_array<const Register*>({
#define IXCAP_REGISTER(name, offset, stride, count, access, special, reset, section, phrase) &name,
#define IXCAP_REGISTER_BANKS(name, offset, lower, upper, stride, count, access, special, reset, section, phrase) &name,
#define IXCAP_REGISTER_ALIAS(name, offset, stride, count)
#include <ixcap/driver/ixgbe/registers.inc>
#undef IXCAP_REGISTER
#undef IXCAP_REGISTER_BANKS
#undef IXCAP_REGISTER_ALIAS
});

inline constexpr auto register_aliases = std::to_array<RegisterAlias>({
#define IXCAP_REGISTER(name, offset, stride, count, access, special, reset, section, phrase)
#define IXCAP_REGISTER_BANKS(name, offset, lower, upper, stride, count, access, special, reset, section, phrase)
#define IXCAP_REGISTER_ALIAS(name, offset, stride, count) {offset, stride, count, &name},
#include <ixcap/driver/ixgbe/registers.inc>
#undef IXCAP_REGISTER
#undef IXCAP_REGISTER_BANKS
#undef IXCAP_REGISTER_ALIAS
});

enum class TableFault { none, misaligned, outside, overlap, duplicate_name, empty };

namespace detail {

/// Marks the addresses of one entry; tells what is wrong with it.
constexpr TableFault occupy(std::span<bool> taken, std::uint32_t base, std::uint32_t stride, std::uint32_t count) {
  if (count == 0 || (count > 1 && stride == 0)) return TableFault::empty;
  if (base % 4 != 0 || stride % 4 != 0) return TableFault::misaligned;
  for (std::uint32_t index = 0; index < count; ++index) {
    const std::uint32_t word = (base + index * stride) / 4;
    if (word >= taken.size()) return TableFault::outside;
    if (taken[word]) return TableFault::overlap;
    taken[word] = true;
  }
  return TableFault::none;
}

}  // namespace detail

/// The first fault of a table, TableFault::none for a sound one.
constexpr TableFault check_table(std::span<const Register* const> table, std::span<const RegisterAlias> aliases) {
  std::array<bool, register_space_bytes / 4> taken{};
  for (auto entry = table.begin(); entry != table.end(); ++entry) {
    const Register& reg = **entry;
    for (auto other = std::next(entry); other != table.end(); ++other) {
      if (reg.name == (*other)->name) return TableFault::duplicate_name;
    }
    const std::uint32_t lower = reg.lower_count == 0 ? reg.count : reg.lower_count;
    if (lower > reg.count) return TableFault::empty;
    const auto fault = detail::occupy(taken, reg.base, reg.stride, lower);
    if (fault != TableFault::none) return fault;
    if (reg.count == lower) continue;
    const auto upper_fault = detail::occupy(taken, reg.upper_base, reg.stride, reg.count - lower);
    if (upper_fault != TableFault::none) return upper_fault;
  }
  for (const RegisterAlias& alias : aliases) {
    if (alias.count > alias.target->count) return TableFault::outside;
    const auto fault = detail::occupy(taken, alias.base, alias.stride, alias.count);
    if (fault != TableFault::none) return fault;
  }
  return TableFault::none;
}

static_assert(check_table(register_table, register_aliases) == TableFault::none,
              "registers.inc: see TableFault for what is wrong with it");

}  // namespace ixcap::ixgbe
