#include <ixcap/driver/emulator/control_plane.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {

ControlPlane::ControlPlane(RegisterFile& registers, Interrupts& interrupts, const std::array<std::uint8_t, 6>& mac)
    : registers_(registers), nvm_(mac), nvm_port_(registers, nvm_), link_(registers, interrupts) {}

bool ControlPlane::after_write(const ixgbe::Register& reg, std::uint32_t value) noexcept {
  if (nvm_port_.after_write(reg, value) || link_.after_write(reg)) return true;
  if (&reg == &ixgbe::I2CCTL) {
    move_i2c_lines(value);
  } else if (&reg == &ixgbe::CORECTL) {
    access_analog(value);
  } else {
    return false;
  }
  return true;
}

void ControlPlane::reset() noexcept {
  nvm_port_.reset();
  i2c_.reset();
  analog_.fill(0);
  const std::array<std::uint8_t, 6> mac = nvm_.mac_address();
  const auto byte = [&](unsigned i) { return std::uint32_t{mac[i]} << (i % 4 * 8); };
  registers_.set(ixgbe::RAL, byte(0) | byte(1) | byte(2) | byte(3));
  registers_.set(ixgbe::RAH, byte(4) | byte(5) | ixgbe::RAH_AV);
  link_.reset();
}

void ControlPlane::plug(SfpKind kind) noexcept {
  module_ = SfpModule(kind);
  i2c_.reset();
  link_.set_plugged(module_.present(), carrier_);
}

void ControlPlane::set_carrier(bool carrier) noexcept {
  carrier_ = carrier;
  link_.set_plugged(module_.present(), carrier_);
}

/// The driver sets the outputs; the inputs show the lines as they are.
void ControlPlane::move_i2c_lines(std::uint32_t value) noexcept {
  i2c_.drive((value & ixgbe::I2CCTL_CLK_OUT) != 0, (value & ixgbe::I2CCTL_DATA_OUT) != 0);
  std::uint32_t lines = value & (ixgbe::I2CCTL_CLK_OUT | ixgbe::I2CCTL_DATA_OUT);
  if (i2c_.clock()) lines |= ixgbe::I2CCTL_CLK_IN;
  if (i2c_.data()) lines |= ixgbe::I2CCTL_DATA_IN;
  registers_.set(ixgbe::I2CCTL, lines);
}

/// With WRITE_CMD the address alone, whose data the register then shows; without it a write (data sheet 8.2.3.22).
void ControlPlane::access_analog(std::uint32_t value) noexcept {
  std::uint8_t& cell = analog_[value >> ixgbe::CORECTL_ADDR_SHIFT & 0xFF];
  if ((value & ixgbe::CORECTL_WRITE_CMD) == 0) cell = static_cast<std::uint8_t>(value);
  registers_.set(ixgbe::CORECTL, (value & ~std::uint32_t{0xFF}) | cell);
}

}  // namespace ixcap::emulator
