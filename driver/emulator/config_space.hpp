#pragma once

/// Configuration space of the software NIC: that of an X520-2 (data sheet 9.3; capability offsets as on the card, which
/// drivers hard-code in part).
///
///     0x00 header ─► 0x40 power management ─► 0x50 MSI ─► 0x70 MSI-X ─► 0xA0 PCI Express
///     0x100 advanced errors ─► 0x140 serial number ─► 0x150 alternative routing
///
/// Every bit is read-only, writable or cleared by writing 1; nothing else is stored. There are BAR 0 and BAR 4, 64 bits
/// wide each, no I/O ports and no expansion ROM.
///
/// Threads: one at a time.

#include <array>
#include <cstdint>
#include <span>

namespace ixcap::emulator {

class ConfigSpace {
 public:
  static constexpr std::uint32_t bytes = 4096;
  static constexpr std::uint64_t bar0_bytes = 512 * 1024;  ///< registers
  static constexpr std::uint64_t bar4_bytes = 16 * 1024;   ///< MSI-X table and pending bits
  static constexpr std::uint32_t msix_vectors = 64;
  static constexpr std::uint32_t msix_table_offset = 0;  ///< both in BAR 4
  static constexpr std::uint32_t msix_pending_offset = 0x2000;

  /// The serial number is made from `mac`, as cards have it.
  explicit ConfigSpace(const std::array<std::uint8_t, 6>& mac);

  /// Little-endian accesses of any size and place. Beyond the end: reads 0, ignores the write.
  void read(std::uint32_t offset, std::span<std::uint8_t> out) const noexcept;
  void write(std::uint32_t offset, std::span<const std::uint8_t> in) noexcept;

  /// As after power-on.
  void reset() noexcept { values_ = initial_; }

  /// Whether a write since the last call asked for a reset of the function: Initiate Function Level Reset, or back from
  /// D3hot (No_Soft_Reset is 0).
  bool take_reset_request() noexcept;

  bool memory_enabled() const noexcept;
  bool bus_master() const noexcept;
  void set_bus_master(bool enable) noexcept;
  bool intx_disabled() const noexcept;
  bool msi_enabled() const noexcept;
  bool msi_masked() const noexcept;
  bool msix_enabled() const noexcept;
  void set_msix_enabled(bool enable) noexcept;
  bool msix_masked() const noexcept;  ///< the whole function

  /// What the device shows there: Interrupt Status (the INTx pin is asserted), and the pending bit of its MSI.
  void set_intx_status(bool asserted) noexcept;
  void set_msi_pending(bool pending) noexcept;

 private:
  using Image = std::array<std::uint8_t, bytes>;

  void build_header();
  void build_capabilities();
  void build_extended_capabilities(const std::array<std::uint8_t, 6>& mac);
  void put(std::uint32_t offset, std::uint32_t value, unsigned size);
  void allow(std::uint32_t offset, std::uint32_t mask, unsigned size);
  void clear_by_one(std::uint32_t offset, std::uint32_t mask, unsigned size);
  bool bit(std::uint32_t offset, unsigned number) const noexcept;
  void set_bit(std::uint32_t offset, unsigned number, bool value) noexcept;

  Image initial_{};
  Image writable_{};
  Image cleared_by_one_{};
  Image values_{};
  bool reset_requested_ = false;
};

}  // namespace ixcap::emulator
