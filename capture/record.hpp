#pragma once

/// The record: one captured frame, or one gap, as it lies in the shared-memory ring (docs/ring.md).
///
///     byte  0        4                 8             12      14      16              24
///          +--------+-----------------+-------------+-------+-------+---------------+---------------------------+
///          | length | captured_length | wire_length | queue | flags | timestamp_ns  | match_set / lost_frames   |
///          +--------+-----------------+-------------+-------+-------+---------------+---------------------------+
///       32 | captured_length bytes of the frame, then bytes that mean nothing ...  [ card's stamp, 8 bytes ]    |
///          +----------------------------------------------------------------------------------------------------+
///
/// Numbers are in the machine's byte order. Every record starts at a multiple of 16, and so does every frame.
///
/// The card's stamp, nanoseconds like timestamp_ns, ends the record if it has the flag `record_has_stamp`: the card has
/// stamped this very frame, and the two are the same unless order did not allow it (frame_clock.hpp).
///
/// A *loss record* has the flag `record_is_loss` and no frame. It says that `lost_frames` frames of that queue
/// are missing, for want of room anywhere between the wire and the ring, and that this was noticed here. An ordinary
/// record spends nothing on this. With `record_lost_here` they are missing for this reader only.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

namespace ixcap::capture {

struct Record {
  std::uint32_t length;           ///< bytes of the whole record, header and padding included; a multiple of 16
  std::uint32_t captured_length;  ///< bytes of the frame that are present; 0 in a loss record
  std::uint32_t wire_length;      ///< bytes the frame had on the wire, without FCS; 0 in a loss record
  std::uint16_t queue;            ///< receive queue of the card
  std::uint16_t flags;            ///< record_* below; every other bit is 0
  std::uint64_t timestamp_ns;     ///< UTC nanoseconds since 1970; of a loss record, when the loss was noticed
  union {
    std::uint64_t match_set;    ///< bit i: filter i matched; readers choose by it
    std::uint64_t lost_frames;  ///< of a loss record: how many frames are missing here; it concerns every reader
  };

  bool is_loss() const noexcept;

  /// The card's own stamp, if it has made one of this frame.
  std::optional<std::uint64_t> card_stamp_ns() const noexcept;

  /// The frame's captured_length bytes, destination address first.
  const std::uint8_t* data() const noexcept { return reinterpret_cast<const std::uint8_t*>(this + 1); }
  std::uint8_t* data() noexcept { return reinterpret_cast<std::uint8_t*>(this + 1); }
};
static_assert(sizeof(Record) == 32, "shared between processes");
static_assert(offsetof(Record, length) == 0);
static_assert(offsetof(Record, captured_length) == 4);
static_assert(offsetof(Record, wire_length) == 8);
static_assert(offsetof(Record, queue) == 12);
static_assert(offsetof(Record, flags) == 14);
static_assert(offsetof(Record, timestamp_ns) == 16);
static_assert(offsetof(Record, match_set) == 24);
static_assert(offsetof(Record, lost_frames) == 24);

/// Bit 0: a loss record.
inline constexpr std::uint16_t record_is_loss = 1u << 0;

/// Bit 3, of a loss record: the frames came into the ring, and this reader, a lossy one, was overrun. They are those
/// that its mask lets through. Such records are made by the reader; none is in the ring.
inline constexpr std::uint16_t record_lost_here = 1u << 3;

/// Bit 4: the record ends with the card's stamp of the frame.
inline constexpr std::uint16_t record_has_stamp = 1u << 4;

/// Bits 1-2: what timestamp_ns was read from.
inline constexpr std::uint16_t record_time_mask = 3u << 1;
inline constexpr std::uint16_t record_time_software = 0u << 1;   ///< the host's clock when the frame was polled
inline constexpr std::uint16_t record_time_nic_clock = 1u << 1;  ///< TSC at poll, converted to the card's clock
inline constexpr std::uint16_t record_time_hardware = 2u << 1;   ///< it is the card's stamp of this very frame

/// Bits 8-12: the MAC found the frame bad. Such frames are captured on request only.
inline constexpr std::uint16_t record_bad_mask = 31u << 8;
inline constexpr std::uint16_t record_bad_fcs = 1u << 8;
inline constexpr std::uint16_t record_bad_length = 1u << 9;   ///< the length field is not the length
inline constexpr std::uint16_t record_bad_symbol = 1u << 10;  ///< something on the wire was no symbol
inline constexpr std::uint16_t record_too_long = 1u << 11;
inline constexpr std::uint16_t record_too_short = 1u << 12;

inline bool Record::is_loss() const noexcept {
  return (flags & record_is_loss) != 0;
}

inline std::optional<std::uint64_t> Record::card_stamp_ns() const noexcept {
  constexpr std::size_t stamp_bytes = sizeof(std::uint64_t);
  // A reader knows that the frame lies within the record, but flags may be anything.
  if ((flags & record_has_stamp) == 0 || length - captured_length < sizeof(Record) + stamp_bytes) return std::nullopt;
  std::uint64_t stamp_ns = 0;
  std::memcpy(&stamp_ns, reinterpret_cast<const std::uint8_t*>(this) + length - stamp_bytes, stamp_bytes);
  return stamp_ns;
}

inline constexpr std::size_t record_alignment = 16;

/// Bytes in the ring of a record that holds `captured_length` bytes of a frame.
constexpr std::uint64_t record_length(std::uint32_t captured_length) noexcept {
  return (sizeof(Record) + std::uint64_t{captured_length} + record_alignment - 1) &
         ~std::uint64_t{record_alignment - 1};
}

}  // namespace ixcap::capture
