#pragma once

/// Bringing the 82599 from any state to a known one (data sheet 4.6.3, initialisation sequence, steps up to the link).

#include <array>
#include <cstdint>

#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

using MacAddress = std::array<std::uint8_t, 6>;

/// Stops the card's DMA, resets it and waits until NVM and DMA engine are ready. Interrupts are off afterwards.
/// Takes about 10 ms. Throws Error naming the register that did not answer.
void reset(pci::Device& device);

/// The address that the card has loaded from its NVM. Throws Error if there is none.
MacAddress read_mac_address(pci::Device& device);

/// No new DMA by the card, and none under way (data sheet 5.2.5.3.2, master disable). False if the card will not stop;
/// only a reset helps then.
bool disable_master(pci::Device& device);

}  // namespace ixcap::ixgbe
