#pragma once

/// Bounded waits for register bits: every handshake with the card goes through here.

#include <chrono>
#include <cstdint>

#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

struct Patience {
  unsigned tries;
  std::chrono::microseconds interval;
};

/// Reads instance `index` of `reg` until (value & mask) == wanted, at most `patience.tries` times.
/// Throws Error naming the register, the bits and the last value when the card does not get there; `step` says what was
/// being attempted ("cannot reset").
void wait_for(pci::Device& device, const Register& reg, std::uint32_t index, std::uint32_t mask, std::uint32_t wanted,
              Patience patience, const char* step);

/// Read-modify-write of one instance.
inline void set_bits(pci::Device& device, const Register& reg, std::uint32_t bits, std::uint32_t index = 0) {
  device.write(reg.offset(index), device.read(reg.offset(index)) | bits);
}
inline void clear_bits(pci::Device& device, const Register& reg, std::uint32_t bits, std::uint32_t index = 0) {
  device.write(reg.offset(index), device.read(reg.offset(index)) & ~bits);
}

}  // namespace ixcap::ixgbe
