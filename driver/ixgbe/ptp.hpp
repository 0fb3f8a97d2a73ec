#pragma once

/// PTP messages in frames (IEEE 1588-2008 13.3 and annexes D to F).
///
/// Threads: any. Errors: none.

#include <cstddef>
#include <cstdint>
#include <span>

namespace ixcap::ixgbe {

inline constexpr std::uint32_t ethertype_ptp = 0x88F7;
inline constexpr std::uint32_t ptp_event_port = 319;

// Of a message, bytes from its start.
inline constexpr std::size_t ptp_identity_offset = 22;  ///< the last six bytes of the sender's clock's identity
inline constexpr std::size_t ptp_sequence_offset = 30;

/// The event message of version 2 (Sync, Delay_Req, Pdelay_Req, Pdelay_Resp) in a frame: over Ethernet, or over UDP and
/// IP, behind at most one VLAN tag. It is a whole header, 34 bytes, at least; empty if there is none.
std::span<const std::uint8_t> ptp_event(std::span<const std::uint8_t> frame) noexcept;

}  // namespace ixcap::ixgbe
