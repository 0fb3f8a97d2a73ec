#include <ixcap/driver/emulator/msix_table.hpp>

namespace ixcap::emulator {

void MsixTable::reset() noexcept {
  table_.fill(0);
  for (std::uint32_t vector = 0; vector < vectors; ++vector) table_[vector * entry_bytes + control_offset] = 1;
  written_ = 0;
  pending_ = 0;
}

std::uint64_t MsixTable::read(std::uint64_t offset, unsigned size) const noexcept {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < size && i < 8; ++i) {
    const std::uint64_t place = offset + i;
    std::uint64_t byte = 0;
    if (place - ConfigSpace::msix_table_offset < table_.size()) {
      byte = table_[place - ConfigSpace::msix_table_offset];
    } else if (place - ConfigSpace::msix_pending_offset < sizeof pending_) {
      byte = pending_ >> (8 * (place - ConfigSpace::msix_pending_offset)) & 0xFF;
    }
    value |= byte << (8 * i);
  }
  return value;
}

void MsixTable::write(std::uint64_t offset, unsigned size, std::uint64_t value) noexcept {
  for (unsigned i = 0; i < size && i < 8; ++i) {
    const std::uint64_t place = offset + i - ConfigSpace::msix_table_offset;
    if (place >= table_.size()) return;
    const auto within = static_cast<std::uint32_t>(place % entry_bytes);
    auto byte = static_cast<std::uint8_t>(value >> (8 * i));
    if (within == 0) byte &= 0xFC;
    if (within >= control_offset) byte &= within == control_offset ? 1 : 0;
    table_[place] = byte;
    written_ |= std::uint64_t{1} << place / entry_bytes;
  }
}

bool MsixTable::masked(std::uint32_t vector) const noexcept {
  if (vector >= vectors || (written_ >> vector & 1) == 0) return false;
  return (table_[vector * entry_bytes + control_offset] & 1) != 0;
}

}  // namespace ixcap::emulator
