#pragma once

/// The MAC's packet buffer: a FIFO of whole frames for queues whose descriptors have run out and which must not drop.

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace ixcap::emulator {

class PacketBuffer {
 public:
  bool empty() const noexcept { return frames_.empty(); }

  /// Keeps a copy of `bytes`, zero-filled to `length`. False if `capacity` bytes would be exceeded.
  /// `stamped`: its time is in the latch.
  bool push(std::span<const std::uint8_t> bytes, std::uint32_t length, std::uint32_t capacity, bool stamped = false) {
    if (used_ + length > capacity) return false;
    Waiting& waiting = frames_.emplace_back(Waiting{{bytes.begin(), bytes.end()}, stamped});
    waiting.bytes.resize(length);
    used_ += length;
    return true;
  }

  std::span<const std::uint8_t> front() const noexcept { return frames_.front().bytes; }
  bool front_is_stamped() const noexcept { return frames_.front().stamped; }
  void pop() noexcept {
    used_ -= static_cast<std::uint32_t>(frames_.front().bytes.size());
    frames_.pop_front();
  }
  void clear() noexcept {
    frames_.clear();
    used_ = 0;
  }

 private:
  struct Waiting {
    std::vector<std::uint8_t> bytes;
    bool stamped;
  };

  std::deque<Waiting> frames_;
  std::uint32_t used_ = 0;
};

}  // namespace ixcap::emulator
