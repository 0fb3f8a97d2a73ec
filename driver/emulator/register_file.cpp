#include <ixcap/driver/emulator/register_file.hpp>

namespace ixcap::emulator {

using ixgbe::Access;
using ixgbe::Register;

RegisterFile::RegisterFile()
    : storage_(std::make_unique<Storage>()), locations_(std::make_unique<std::array<Location, word_count>>()) {
  for (const Register* reg : ixgbe::register_table) {
    for (std::uint32_t i = 0; i < reg->count; ++i) (*locations_)[reg->offset(i) / 4] = {reg, i};
  }
  for (const ixgbe::RegisterAlias& alias : ixgbe::register_aliases) {
    for (std::uint32_t i = 0; i < alias.count; ++i) {
      (*locations_)[(alias.base + i * alias.stride) / 4] = {alias.target, i};
    }
  }
  reset();
}

void RegisterFile::reset() noexcept {
  for (const Register* reg : ixgbe::register_table) {
    for (std::uint32_t i = 0; i < reg->count; ++i) {
      // Doorbell words may be stored to by another thread at any time, so even this store is atomic.
      __atomic_store_n(word(reg->offset(i)), reg->reset, __ATOMIC_RELAXED);
    }
  }
}

RegisterFile::Location RegisterFile::locate(std::uint32_t offset) const noexcept {
  if (offset % 4 != 0 || offset / 4 >= word_count) return {nullptr, 0};
  return (*locations_)[offset / 4];
}

std::uint32_t RegisterFile::read(std::uint32_t offset) noexcept {
  const auto [reg, index] = locate(offset);
  if (reg == nullptr) return 0;
  std::uint32_t& stored = *word(reg->offset(index));
  const std::uint32_t value = __atomic_load_n(&stored, __ATOMIC_RELAXED);
  switch (reg->access) {
    case Access::WO:
      return value & ~reg->special;
    case Access::RC:
      stored = value & ~reg->special;
      return value;
    case Access::RS:
      stored = value | reg->special;
      return value;
    default:
      return value;
  }
}

void RegisterFile::write(std::uint32_t offset, std::uint32_t value) noexcept {
  const auto [reg, index] = locate(offset);
  if (reg == nullptr) return;
  std::uint32_t* const stored = word(reg->offset(index));
  const std::uint32_t special = reg->special;
  const std::uint32_t old = __atomic_load_n(stored, __ATOMIC_RELAXED);
  std::uint32_t result = value & ~special;
  switch (reg->access) {
    case Access::RW:
    case Access::WO:
    case Access::RS:
    case Access::SC:
      result = value;
      break;
    case Access::RO:
      result |= old & special;
      break;
    case Access::RC:
    case Access::W1C:
      result |= old & ~value & special;
      break;
    case Access::W1S:
      result |= (old | value) & special;
      break;
  }
  __atomic_store_n(stored, result, __ATOMIC_RELEASE);
}

}  // namespace ixcap::emulator
