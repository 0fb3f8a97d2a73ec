#pragma once

/// Frames on their way from one thread to another, in the order they came: a ring of bytes that is allocated once.
///
///     │ ... │ length │ frame, padded to 8 bytes │ length │ frame ... │ wrap │ (unused up to the end) │
///             ▲ read_                                                ▲ written_ goes on at 0
///
/// A frame is never torn: what does not fit before the end goes to the beginning.
///
/// Threads: one that pushes, one that takes.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace ixcap::emulator {

class FrameQueue {
 public:
  /// Room for `bytes` bytes of frames with 8 bytes beside each; a multiple of 8.
  explicit FrameQueue(std::size_t bytes) : ring_(bytes / unit) {}

  /// Copies `frame`; false if there is no room for it now, or it is empty.
  bool push(std::span<const std::uint8_t> frame) noexcept {
    if (frame.empty()) return false;
    const std::size_t units = 1 + (frame.size() + unit - 1) / unit;
    const std::uint64_t written = written_.load(std::memory_order_relaxed);  // only this thread stores it
    const std::uint64_t read = read_.load(std::memory_order_acquire);        // what was read there is over
    const std::size_t at = written % ring_.size();
    const std::size_t skipped = units <= ring_.size() - at ? 0 : ring_.size() - at;
    if (units + skipped > ring_.size() - (written - read)) return false;
    if (skipped != 0) ring_[at] = wrap;
    std::uint64_t* const record = &ring_[skipped != 0 ? 0 : at];
    *record = frame.size();
    std::memcpy(record + 1, frame.data(), frame.size());
    written_.store(written + skipped + units, std::memory_order_release);  // publishes the record
    return true;
  }

  /// The oldest frame, where it lies until pop(); empty if there is none.
  std::span<const std::uint8_t> front() noexcept {
    std::uint64_t read = read_.load(std::memory_order_relaxed);  // only this thread stores it
    const std::uint64_t written = written_.load(std::memory_order_acquire);
    if (read == written) return {};
    if (ring_[read % ring_.size()] == wrap) {
      read += ring_.size() - read % ring_.size();
      read_.store(read, std::memory_order_release);
    }
    const std::uint64_t* const record = &ring_[read % ring_.size()];
    return {reinterpret_cast<const std::uint8_t*>(record + 1), *record};
  }

  /// Gives back the room of the frame that front() answered last.
  void pop() noexcept {
    const std::uint64_t read = read_.load(std::memory_order_relaxed);
    const std::size_t units = 1 + (ring_[read % ring_.size()] + unit - 1) / unit;
    read_.store(read + units, std::memory_order_release);
  }

 private:
  static constexpr std::size_t unit = sizeof(std::uint64_t);
  static constexpr std::uint64_t wrap = ~std::uint64_t{0};

  std::vector<std::uint64_t> ring_;
  alignas(64) std::atomic<std::uint64_t> written_ = 0;  ///< units since the beginning of time
  alignas(64) std::atomic<std::uint64_t> read_ = 0;
};

}  // namespace ixcap::emulator
