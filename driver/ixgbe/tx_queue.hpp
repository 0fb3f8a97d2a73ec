#pragma once

/// One transmit queue: a descriptor ring with a buffer for every descriptor, filled here and sent by the card.
///
///     for each frame: queue.put(frame)     copied into the next buffer
///     queue.commit()                       the batch goes to the card: one doorbell, one report asked for
///
/// or queue.send(frames), which is both. A buffer belongs to its descriptor for ever, so there is no pool and nothing
/// to free: a descriptor that the card reports done is free again, and its buffer with it. A frame longer than a buffer
/// takes several descriptors.
///
/// What goes out is a whole frame, without FCS, which the card appends: one that was captured short is filled with
/// zeros to its length on the wire, and to 60 bytes, the shortest there may be. What cannot go out is refused and
/// counted.
///
/// The card reports the last descriptor of each batch only. Which one that is, is remembered outside the ring: nothing
/// that a device writes is used as an index.
///
/// Memory: one DMA allocation: the ring, then the buffers. The queue owns it.
/// Threads: put, commit, send, pending and the counts belong to one thread. The constructor, enable and disable may run
/// elsewhere, before and after. Errors: set-up throws Error; the rest never fails, it counts.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

/// What became of the frames that were put, never cleared.
struct TxCounts {
  std::uint64_t frames = 0;       ///< given to the card
  std::uint64_t bytes = 0;        ///< of these, as they go out, without FCS
  std::uint64_t padded = 0;       ///< of these, shorter than shortest_on_wire before
  std::uint64_t zero_filled = 0;  ///< of these, with fewer bytes captured than they had on the wire
  std::uint64_t too_short = 0;    ///< refused: less than an Ethernet header
  std::uint64_t too_long = 0;     ///< refused: longer than longest_frame
};

class TxQueue {
 public:
  static constexpr std::uint32_t buffer_bytes = 2048;
  /// From one buffer to the next: not a power of two, which would map all buffers to a few cache sets.
  static constexpr std::uint32_t buffer_stride = buffer_bytes + 64;
  static constexpr std::uint32_t fewest_descriptors = 64;
  static constexpr std::uint32_t most_descriptors = 8192;
  /// 1.1 MiB with its buffers, and 34 us of 64-byte frames at line rate.
  static constexpr std::uint32_t default_descriptors = 512;
  static constexpr std::uint32_t shortest_frame = 14;    ///< two addresses and a type
  static constexpr std::uint32_t shortest_on_wire = 60;  ///< IEEE 802.3 3.2.8: 64 with FCS

  /// Allocates a ring of `descriptors` (a power of two in the range above) and programs queue `index` with it.
  TxQueue(pci::Device& device, std::uint32_t index, std::uint32_t descriptors);
  TxQueue(const TxQueue&) = delete;
  TxQueue& operator=(const TxQueue&) = delete;

  /// TXDCTL.ENABLE until it reads 1 (data sheet 4.6.8). The card's transmit path must be on.
  void enable();
  /// Waits a moment for what is under way, then TXDCTL.ENABLE off until it reads 0: the card touches neither ring nor
  /// buffers afterwards.
  void disable();

  /// Copies a frame into the ring, or refuses and counts it. False if there is no room: commit(), and try again when
  /// the card has sent something. `stamped`: the card latches when the frame goes out (Clock::take_transmitted).
  bool put(const Frame& frame, bool stamped = false) noexcept;

  /// Gives everything that was put to the card.
  void commit() noexcept;

  /// Puts frames from the front while there is room, then commits. Answers how many have been dealt with.
  std::size_t send(std::span<const Frame> frames) noexcept;

  /// Frames given to the card that it has not reported sent.
  std::uint64_t pending() noexcept;
  /// Frames that the card has reported, as of the last pending() or put() that ran short of room.
  std::uint64_t completed() const noexcept { return completed_; }

  const TxCounts& counts() const noexcept { return counts_; }
  std::uint32_t index() const noexcept { return index_; }

 private:
  /// Descriptors that are reported together, kept at the place of the first.
  struct Batch {
    std::uint32_t end;  ///< the slot after the last
    std::uint32_t frames;
  };

  std::uint32_t room() const noexcept { return mask_ - ((next_ - oldest_) & mask_); }
  void write_frame(const Frame& frame, std::uint32_t length, std::uint32_t command) noexcept;
  void close_batch() noexcept;
  void reclaim() noexcept;

  // What put and commit touch for every frame, on a line of its own.
  alignas(64) TransmitDescriptor* ring_;
  std::uint8_t* buffers_;
  std::uint64_t buffers_io_address_;
  std::uint32_t mask_;
  std::uint32_t next_ = 0;          ///< the descriptor that is filled next
  std::uint32_t oldest_ = 0;        ///< the first that the card has not reported
  std::uint32_t batch_start_ = 0;   ///< the first of the batch that is being put
  std::uint32_t batch_frames_ = 0;  ///< in it
  bool uncommitted_ = false;        ///< something was put since the last doorbell
  pci::Doorbell tail_;              ///< TDT
  std::uint64_t completed_ = 0;
  TxCounts counts_;

  pci::Device& device_;
  std::uint32_t index_;
  pci::DmaMemory memory_;
  std::unique_ptr<Batch[]> batches_;  ///< one for each descriptor
};

}  // namespace ixcap::ixgbe
