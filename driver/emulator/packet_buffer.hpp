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
  bool push(std::span<const std::uint8_t> bytes, std::uint32_t length, std::uint32_t capacity) {
    if (used_ + length > capacity) return false;
    std::vector<std::uint8_t>& frame = frames_.emplace_back(bytes.begin(), bytes.end());
    frame.resize(length);
    used_ += length;
    return true;
  }

  std::span<const std::uint8_t> front() const noexcept { return frames_.front(); }
  void pop() noexcept {
    used_ -= static_cast<std::uint32_t>(frames_.front().size());
    frames_.pop_front();
  }
  void clear() noexcept {
    frames_.clear();
    used_ = 0;
  }

 private:
  std::deque<std::vector<std::uint8_t>> frames_;
  std::uint32_t used_ = 0;
};

}  // namespace ixcap::emulator
