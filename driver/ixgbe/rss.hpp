#pragma once

/// Receive side scaling: frames spread over a port's queues by their addresses and ports, both directions of a flow to
/// the same queue.
///
/// The hash is a Toeplitz hash (data sheet 7.1.2.8.1). Its key repeats every 16 bits, so an address or a port
/// contributes the same wherever it stands, and source and destination may be exchanged. The pattern has an odd number
/// of ones, which loses nothing: any two exclusive-ored sums of the 16-bit words differ in the hash.
/// Frames without an IP header, and those that the card parses no further, go to queue 0. A fragment has no ports: it
/// is spread by its addresses alone, and may come to another queue than the whole packets of its flow.
///
/// Threads: one. Errors: none; the caller has checked the number of queues.

#include <array>
#include <cstdint>

#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

/// RETA's entries have four bits, and the statistics sixteen slots.
inline constexpr std::uint32_t most_queues = 16;

/// The word of which RSSRK consists.
inline constexpr std::uint32_t symmetric_key_word = 0x5A6D5A6D;

/// Spreads over queues 0 to `queues` - 1; with one queue nothing is spread, and nothing hashed.
void program_rss(pci::Device& device, std::uint32_t queues);

}  // namespace ixcap::ixgbe
