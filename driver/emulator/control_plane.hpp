#pragma once

/// Everything of the software NIC that moves no frames: NVM, module, link, PHY access, analog registers.
///
/// There is no PHY on the MDIO bus (an SFP+ port has none): every read answers all ones, at once.
///
/// Threads: one at a time (the Nic's lock).

#include <array>
#include <cstdint>

#include <ixcap/driver/emulator/i2c_bus.hpp>
#include <ixcap/driver/emulator/interrupts.hpp>
#include <ixcap/driver/emulator/link.hpp>
#include <ixcap/driver/emulator/nvm.hpp>
#include <ixcap/driver/emulator/nvm_port.hpp>
#include <ixcap/driver/emulator/register_file.hpp>
#include <ixcap/driver/emulator/sfp_module.hpp>

namespace ixcap::emulator {

class ControlPlane {
 public:
  ControlPlane(RegisterFile& registers, Interrupts& interrupts, const std::array<std::uint8_t, 6>& mac);

  /// What a write does beyond its own register; false if the register is none of the control plane's.
  bool after_write(const ixgbe::Register& reg, std::uint32_t value) noexcept;

  /// Device reset: loads what the card loads from its NVM; the module stays.
  void reset() noexcept;

  bool link_up() const noexcept { return link_.up(); }

  /// Puts another module into the cage, or none.
  void plug(SfpKind kind) noexcept;
  /// Whether somebody is at the other end of the cable.
  void set_carrier(bool carrier) noexcept;

 private:
  void move_i2c_lines(std::uint32_t value) noexcept;
  void access_analog(std::uint32_t value) noexcept;

  RegisterFile& registers_;
  Nvm nvm_;
  NvmPort nvm_port_;
  SfpModule module_{SfpKind::passive_copper};
  I2cBus i2c_{module_};
  Link link_;
  bool carrier_ = true;
  std::array<std::uint8_t, 256> analog_{};
};

}  // namespace ixcap::emulator
