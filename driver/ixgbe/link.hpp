#pragma once

/// The link of a 10-gigabit SFP+ port (data sheet 3.7 and 4.6.4).

#include <chrono>
#include <cstdint>

#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

struct Link {
  bool up = false;
  std::uint64_t bits_per_second = 0;  ///< 0 while down
};

/// Selects 10-gigabit serial (SFI) and restarts the link.
void set_up_link(pci::Device& device);

Link read_link(pci::Device& device);

/// Waits until the link is up. Throws Error naming LINKS when `patience` is over.
Link wait_for_link(pci::Device& device, std::chrono::milliseconds patience);

}  // namespace ixcap::ixgbe
