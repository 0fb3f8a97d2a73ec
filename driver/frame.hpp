#pragma once

/// An Ethernet frame lent by whoever holds its bytes: what the driver hands out, the filter looks at and the ring
/// copies.
///
/// No FCS, no preamble; the first byte is the destination address. The lender says how long the bytes stay valid.

#include <cstddef>
#include <cstdint>

namespace ixcap {

struct Frame {
  const std::uint8_t* data;       ///< captured_length bytes
  std::uint32_t captured_length;  ///< bytes present at `data`
  std::uint32_t wire_length;      ///< bytes the frame had on the wire (without FCS), >= captured_length
};
static_assert(sizeof(Frame) == 16, "batch code indexes frames by 16 bytes");

/// Frames handled together: as many as a filter answers for in one call, and as a poll returns at most.
inline constexpr std::size_t batch_size = 64;

/// The frame check sequence behind a frame; part of neither length of a Frame, unless the receiver was told to keep it.
inline constexpr std::uint32_t fcs_bytes = 4;

/// The longest frame the 82599 receives, without FCS: 15.5 KiB (data sheet 1.4, jumbo frames) less four bytes of FCS.
inline constexpr std::uint32_t longest_frame = 15872 - fcs_bytes;

}  // namespace ixcap
