#pragma once

/// What the registers are told of a receive ring, whoever fills it: a queue of the capture, or the drop queue.
///
/// Threads: the port's control thread. Errors: enable and disable throw Error naming the queue that did not answer.

#include <cstdint>

#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

/// Where the ring of queue `index` is, and how it is used: advanced descriptors with one buffer each, frames dropped
/// when there are none, VLAN tags kept (data sheet 4.6.7.1). The queue is disabled.
void program_rx_ring(pci::Device& device, std::uint32_t index, std::uint64_t io_address, std::uint32_t ring_bytes);

/// RXDCTL.ENABLE until it reads 1. The card has no descriptor yet: RDT is the caller's.
void enable_rx_ring(pci::Device& device, std::uint32_t index);

/// RXDCTL.ENABLE off until it reads 0.
void disable_rx_ring(pci::Device& device, std::uint32_t index);

}  // namespace ixcap::ixgbe
