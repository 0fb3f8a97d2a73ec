#pragma once

/// BAR 4 of the software NIC: the MSI-X table, 16 bytes a vector, and the pending bits (PCI Local Bus 3.0, 6.8.2).
///
/// A bus that keeps the table itself, as a virtual machine does that traps it, never writes here; so a vector masks
/// only once its entry has been written.
///
/// Threads: one at a time.

#include <array>
#include <cstdint>

#include <ixcap/driver/emulator/config_space.hpp>

namespace ixcap::emulator {

class MsixTable {
 public:
  static constexpr std::uint32_t vectors = ConfigSpace::msix_vectors;

  MsixTable() { reset(); }

  /// Accesses of 1, 2, 4 or 8 bytes. What is neither table nor pending bits reads 0 and ignores writes.
  std::uint64_t read(std::uint64_t offset, unsigned size) const noexcept;
  void write(std::uint64_t offset, unsigned size, std::uint64_t value) noexcept;

  /// Every vector masked and none pending.
  void reset() noexcept;

  /// Whether messages of `vector` are held back.
  bool masked(std::uint32_t vector) const noexcept;

  /// The pending bits, one a vector.
  std::uint64_t pending() const noexcept { return pending_; }
  void set_pending(std::uint64_t pending) noexcept { pending_ = pending; }

 private:
  static constexpr std::uint32_t entry_bytes = 16;
  static constexpr std::uint32_t control_offset = 12;  ///< in an entry: bit 0 masks it

  std::array<std::uint8_t, vectors * entry_bytes> table_;
  std::uint64_t written_ = 0;  ///< entries that the host has touched
  std::uint64_t pending_ = 0;
};

}  // namespace ixcap::emulator
