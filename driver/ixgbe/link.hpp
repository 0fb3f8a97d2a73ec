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

/// How somebody else left the port: what this driver changes of it.
struct LinkState {
  std::uint32_t autoc;
  std::uint32_t esdp;
};
LinkState read_link_state(pci::Device& device);

/// Gives laser and link mode back as they were found; what did not change is not touched, so a link that was up stays.
void restore_link_state(pci::Device& device, const LinkState& found);

/// Selects 10-gigabit serial (SFI), restarts the link, and lets the laser shine: the other side wants light to send.
void set_up_link(pci::Device& device);

Link read_link(pci::Device& device);

/// Waits until the link is up. Throws Error naming LINKS when `patience` is over.
Link wait_for_link(pci::Device& device, std::chrono::milliseconds patience);

}  // namespace ixcap::ixgbe
