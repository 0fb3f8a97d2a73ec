#include <algorithm>

#include <ixcap/driver/emulator/config_space.hpp>
#include <ixcap/driver/ixgbe/models.hpp>

namespace ixcap::emulator {
namespace {

// Offsets (PCI Local Bus 3.0, chapter 6; PCI Express 2.0, chapter 7). Capabilities lie where the card has them.
enum : std::uint32_t {
  vendor_id = 0x00,
  device_id = 0x02,
  command = 0x04,
  status = 0x06,
  revision_and_class = 0x08,
  cache_line_size = 0x0C,
  bar0 = 0x10,
  bar4 = 0x20,
  subsystem = 0x2C,
  first_capability = 0x34,
  interrupt_line = 0x3C,
  interrupt_pin = 0x3D,
  power_management = 0x40,
  power_state = 0x44,
  msi = 0x50,
  msi_control = 0x52,
  msi_mask = 0x60,
  msi_pending = 0x64,
  msix = 0x70,
  msix_control = 0x72,
  express = 0xA0,
  device_control = 0xA8,
  device_status = 0xAA,
  link_control = 0xB0,
  link_status = 0xB2,
  device_capabilities_2 = 0xC4,
  device_control_2 = 0xC8,
  link_control_2 = 0xD0,
  advanced_errors = 0x100,
  serial_number = 0x140,
  alternative_routing = 0x150,
};

constexpr unsigned memory_space_bit = 1;
constexpr unsigned bus_master_bit = 2;
constexpr unsigned intx_disable_bit = 10;
constexpr unsigned intx_status_bit = 3;
constexpr unsigned msi_enable_bit = 0;
constexpr unsigned msix_enable_bit = 15;
constexpr unsigned msix_function_mask_bit = 14;
constexpr unsigned function_level_reset_bit = 15;

constexpr std::uint32_t x520_2_subsystem = 0x0003'8086;
constexpr std::uint32_t memory_bar_64_bit = 0x4;
constexpr unsigned d3hot = 3;

}  // namespace

ConfigSpace::ConfigSpace(const std::array<std::uint8_t, 6>& mac) {
  build_header();
  build_capabilities();
  build_extended_capabilities(mac);
  values_ = initial_;
}

void ConfigSpace::build_header() {
  put(vendor_id, ixgbe::intel_vendor_id, 2);
  put(device_id, ixgbe::id_82599_sfp, 2);
  allow(command, 0x0546, 2);  // memory space, bus master, parity and system errors, INTx disable
  put(status, 0x0010, 2);     // has capabilities
  clear_by_one(status, 0xF900, 2);
  put(revision_and_class, 0x02000001, 4);  // Ethernet, revision 1
  allow(cache_line_size, 0xFF, 1);
  put(bar0, memory_bar_64_bit, 4);
  allow(bar0, static_cast<std::uint32_t>(-bar0_bytes), 4);
  allow(bar0 + 4, 0xFFFFFFFF, 4);
  put(bar4, memory_bar_64_bit, 4);
  allow(bar4, static_cast<std::uint32_t>(-bar4_bytes), 4);
  allow(bar4 + 4, 0xFFFFFFFF, 4);
  put(subsystem, x520_2_subsystem, 4);
  put(first_capability, power_management, 1);
  allow(interrupt_line, 0xFF, 1);
  put(interrupt_pin, 1, 1);  // INTA
}

void ConfigSpace::build_capabilities() {
  put(power_management, 0xC823'0001u | msi << 8, 4);  // version 3, DSI, PME from D0 and D3
  put(power_state, 0x2000, 2);
  allow(power_state, 0x0103, 2);
  clear_by_one(power_state, 0x8000, 2);

  put(msi, 0x0180'0005u | msix << 8, 4);  // 64-bit address, maskable, one vector
  allow(msi_control, 1u << msi_enable_bit, 2);
  allow(msi + 4, 0xFFFFFFFC, 4);
  allow(msi + 8, 0xFFFFFFFF, 4);
  allow(msi + 12, 0xFFFF, 2);
  allow(msi_mask, 1, 4);

  put(msix, (msix_vectors - 1) << 16 | express << 8 | 0x11u, 4);
  allow(msix_control, 1u << msix_enable_bit | 1u << msix_function_mask_bit, 2);
  constexpr std::uint32_t in_bar4 = 4;
  put(msix + 4, msix_table_offset | in_bar4, 4);
  put(msix + 8, msix_pending_offset | in_bar4, 4);

  put(express, 0x0002'0010, 4);      // version 2, endpoint, last of the list
  put(express + 4, 0x10008CC2, 4);   // payload up to 512 bytes, role-based errors, function level reset
  put(device_control, 0x2810, 2);    // relaxed ordering, no snoop, 512-byte read requests
  allow(device_control, 0x7CFF, 2);  // all but extended tags, phantom functions and the reset bit, which reads 0
  clear_by_one(device_status, 0x000F, 2);
  put(express + 0x0C, 0x0002C482, 4);  // 5 GT/s, x8, ASPM L0s
  allow(link_control, 0x00CB, 2);
  put(link_status, 0x1082, 2);          // runs at 5 GT/s, x8; slot clock
  put(device_capabilities_2, 0x1F, 4);  // all completion timeout ranges, and none
  allow(device_control_2, 0x1F, 2);
  put(link_control_2, 0x0002, 2);
  allow(link_control_2, 0x03BF, 2);
}

void ConfigSpace::build_extended_capabilities(const std::array<std::uint8_t, 6>& mac) {
  constexpr std::uint32_t version_1 = 1u << 16;
  constexpr std::uint32_t uncorrectable = 0x0037F030;  // error bits of a 2.0 endpoint
  constexpr std::uint32_t correctable = 0x000031C1;
  put(advanced_errors, serial_number << 20 | version_1 | 0x0001, 4);
  clear_by_one(advanced_errors + 0x04, uncorrectable, 4);
  allow(advanced_errors + 0x08, uncorrectable, 4);
  put(advanced_errors + 0x0C, 0x00062030, 4);
  allow(advanced_errors + 0x0C, uncorrectable, 4);
  clear_by_one(advanced_errors + 0x10, correctable, 4);
  put(advanced_errors + 0x14, 0x2000, 4);
  allow(advanced_errors + 0x14, correctable, 4);
  put(advanced_errors + 0x18, 0xA0, 4);
  allow(advanced_errors + 0x18, 0x140, 4);

  put(serial_number, alternative_routing << 20 | version_1 | 0x0003, 4);
  const std::array<std::uint8_t, 8> serial{mac[5], mac[4], mac[3], 0xFF, 0xFF, mac[2], mac[1], mac[0]};
  for (std::uint32_t i = 0; i < serial.size(); ++i) put(serial_number + 4 + i, serial[i], 1);

  put(alternative_routing, version_1 | 0x000E, 4);  // the only function
}

void ConfigSpace::put(std::uint32_t offset, std::uint32_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) initial_[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

void ConfigSpace::allow(std::uint32_t offset, std::uint32_t mask, unsigned size) {
  for (unsigned i = 0; i < size; ++i) writable_[offset + i] = static_cast<std::uint8_t>(mask >> (8 * i));
}

void ConfigSpace::clear_by_one(std::uint32_t offset, std::uint32_t mask, unsigned size) {
  for (unsigned i = 0; i < size; ++i) cleared_by_one_[offset + i] = static_cast<std::uint8_t>(mask >> (8 * i));
}

void ConfigSpace::read(std::uint32_t offset, std::span<std::uint8_t> out) const noexcept {
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  if (offset >= bytes) return;
  const std::size_t count = std::min<std::size_t>(out.size(), bytes - offset);
  std::copy_n(values_.begin() + offset, count, out.begin());
}

void ConfigSpace::write(std::uint32_t offset, std::span<const std::uint8_t> in) noexcept {
  if (offset >= bytes) return;
  const std::size_t count = std::min<std::size_t>(in.size(), bytes - offset);
  const unsigned state_before = values_[power_state] & 3u;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t place = offset + i;
    const unsigned kept = values_[place] & ~static_cast<unsigned>(in[i] & cleared_by_one_[place]);
    const unsigned mask = writable_[place];
    values_[place] = static_cast<std::uint8_t>((kept & ~mask) | (in[i] & mask));
    constexpr std::uint32_t control_high = device_control + function_level_reset_bit / 8;
    if (place == control_high && (in[i] >> function_level_reset_bit % 8 & 1) != 0) reset_requested_ = true;
  }
  if (state_before == d3hot && (values_[power_state] & 3u) == 0) reset_requested_ = true;
}

bool ConfigSpace::take_reset_request() noexcept {
  const bool requested = reset_requested_;
  reset_requested_ = false;
  return requested;
}

bool ConfigSpace::bit(std::uint32_t offset, unsigned number) const noexcept {
  return (values_[offset + number / 8] >> number % 8 & 1) != 0;
}

void ConfigSpace::set_bit(std::uint32_t offset, unsigned number, bool value) noexcept {
  const auto mask = static_cast<std::uint8_t>(1u << number % 8);
  std::uint8_t& byte = values_[offset + number / 8];
  byte = static_cast<std::uint8_t>(value ? byte | mask : byte & ~mask);
}

bool ConfigSpace::memory_enabled() const noexcept {
  return bit(command, memory_space_bit);
}
bool ConfigSpace::bus_master() const noexcept {
  return bit(command, bus_master_bit);
}
void ConfigSpace::set_bus_master(bool enable) noexcept {
  set_bit(command, bus_master_bit, enable);
}
bool ConfigSpace::intx_disabled() const noexcept {
  return bit(command, intx_disable_bit);
}
bool ConfigSpace::msi_enabled() const noexcept {
  return bit(msi_control, msi_enable_bit);
}
bool ConfigSpace::msi_masked() const noexcept {
  return bit(msi_mask, 0);
}
bool ConfigSpace::msix_enabled() const noexcept {
  return bit(msix_control, msix_enable_bit);
}
void ConfigSpace::set_msix_enabled(bool enable) noexcept {
  set_bit(msix_control, msix_enable_bit, enable);
}
bool ConfigSpace::msix_masked() const noexcept {
  return bit(msix_control, msix_function_mask_bit);
}
void ConfigSpace::set_intx_status(bool asserted) noexcept {
  set_bit(status, intx_status_bit, asserted);
}
void ConfigSpace::set_msi_pending(bool pending) noexcept {
  set_bit(msi_pending, 0, pending);
}

}  // namespace ixcap::emulator
