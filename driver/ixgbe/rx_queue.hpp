#pragma once

/// One receive queue: a descriptor ring with a buffer for every descriptor, filled by the card and emptied in place.
///
///     loop:
///       n = queue.poll(frames)      up to 64 frames, lent where the card put them
///       ... filter, copy ...
///       queue.release()             all of them go back to the card: 16 bytes each and one doorbell
///
/// A buffer belongs to its descriptor for ever, so there is no pool and nothing to free. Frames are lent and returned
/// in ring order. A frame longer than a buffer spans several descriptors; it is copied together into a side buffer, so
/// that the caller sees every frame as one run of bytes.
///
/// Memory: one DMA allocation: the ring, then the buffers, then nothing. The queue owns it; frames lent by poll() are
/// valid until release().
/// Threads: poll and release belong to one thread. The constructor, enable, disable and restart may run elsewhere,
/// before, after, and while that thread is known to be outside of poll and release. Errors: set-up throws Error; poll
/// and release never fail, they count (malformed()).

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/ixgbe/descriptor_vectors.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

/// RDLEN is a multiple of 128 bytes, so of 8 descriptors; the drivers in use stop at 8,192.
inline constexpr std::uint32_t fewest_descriptors = 64;
inline constexpr std::uint32_t most_descriptors = 8192;
/// 4.2 MiB with its buffers: under the 8 MiB that an ordinary user may lock, and 137 us of 64-byte frames at line rate.
inline constexpr std::uint32_t default_descriptors = 2048;

struct RxQueueOptions {
  std::uint32_t longest = longest_frame;                   ///< bytes of a frame in memory; the FCS counts if it is kept
  VectorLevel vectors = available_vector_levels().back();  ///< how descriptors are handled
};

class RxQueue {
 public:
  /// Allocates and arms a ring of `descriptors` (a power of two in the range above) and programs queue `index` with it.
  RxQueue(pci::Device& device, std::uint32_t index, std::uint32_t descriptors, const RxQueueOptions& options = {});
  RxQueue(const RxQueue&) = delete;
  RxQueue& operator=(const RxQueue&) = delete;

  /// The enable handshake (data sheet 4.6.7.1): RXDCTL.ENABLE until it reads 1, then the whole ring to the card.
  void enable();
  /// RXDCTL.ENABLE off until it reads 0: the card touches neither ring nor buffers afterwards.
  void disable();
  /// After a reset of the card: the ring as new, every descriptor armed, and the queue programmed with it; it is not
  /// enabled. What poll had not taken is gone.
  void restart();

  /// Fills `frames` from the front with what has arrived, at most batch_size; answers how many. What an earlier poll
  /// lent must have been released.
  std::size_t poll(std::span<Frame> frames) noexcept;

  /// Frames of the last poll that the card says something about, ReceiveStatus::TS or an error of the MAC: bit i is
  /// frames[i]. What it says is in status(i), which tells of marked frames only.
  std::uint64_t marked() const noexcept { return marked_; }
  ReceiveStatus status(std::size_t i) const noexcept { return statuses_[i]; }

  /// Whether the last poll has left nothing behind: the next descriptor is the card's, and not done yet.
  bool emptied() const noexcept { return lent_ < mask_ && !ring_[next_].load_status().done(); }

  /// Returns everything that the last poll lent to the card.
  void release() noexcept;

  std::uint32_t index() const noexcept { return index_; }
  std::uint32_t descriptors() const noexcept { return mask_ + 1; }
  const pci::Pages& pages() const noexcept { return memory_.pages(); }

  /// Frames that the card described in a way that cannot be: longer than their buffer, or without an end. They are not
  /// lent. Any thread.
  std::uint64_t malformed() const noexcept { return malformed_.load(std::memory_order_relaxed); }

 private:
  enum class Joined { frame, dropped, incomplete, no_space };

  std::uint8_t* buffer(std::uint32_t slot) const noexcept { return buffers_ + std::size_t{slot} * buffer_stride; }
  std::uint64_t buffer_io_address(std::uint32_t slot) const noexcept {
    return buffers_io_address_ + std::uint64_t{slot} * buffer_stride;
  }
  void lend(Frame& frame, std::size_t place, const std::uint8_t* data, std::uint32_t length,
            ReceiveStatus status) noexcept;
  Joined join(Frame& frame, std::size_t place, std::uint32_t joined_before) noexcept;
  bool skip_rest_of_frame() noexcept;
  void advance(std::uint32_t descriptors) noexcept {
    next_ = (next_ + descriptors) & mask_;
    lent_ += descriptors;
  }

  // What poll and release touch for every batch, on a line of its own.
  alignas(64) ReceiveDescriptor* ring_;
  std::uint8_t* buffers_;
  std::uint64_t buffers_io_address_;
  std::uint32_t mask_;
  std::uint32_t next_ = 0;     ///< the descriptor that the card completes next
  std::uint32_t lent_ = 0;     ///< descriptors before next_ that poll has taken and release has not returned
  bool skipping_ = false;      ///< inside a frame without an end: descriptors are dropped up to the next EOP
  DescriptorVectors vectors_;  ///< a copy: its functions are a load away, not two
  pci::Doorbell tail_;         ///< RDT

  // What the seldom cases touch.
  std::uint64_t marked_ = 0;
  std::uint8_t* joined_ = nullptr;  ///< joined_frames side buffers for frames of several descriptors
  std::uint32_t longest_;
  std::atomic<std::uint64_t> malformed_ = 0;
  std::array<ReceiveStatus, batch_size> statuses_{};  ///< of those in marked_

  pci::Device& device_;
  std::uint32_t index_;
  pci::DmaMemory memory_;
  std::unique_ptr<std::uint8_t[]> joined_memory_;
};

}  // namespace ixcap::ixgbe
