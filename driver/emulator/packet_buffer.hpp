#pragma once

/// The MAC's packet buffer: a FIFO of whole frames for queues whose descriptors have run out and which must not drop.

#include <cstdint>
#include <deque>
#include <vector>

#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::emulator {

class PacketBuffer {
 public:
  bool empty() const noexcept { return frames_.empty(); }

  /// Keeps a copy of `frame`, zero-filled to its length. False if `capacity` bytes would be exceeded. `stamped`: its
  /// time is in the latch.
  bool push(const WireFrame& frame, std::uint32_t capacity, bool stamped = false) {
    if (used_ + frame.wire_length > capacity) return false;
    Kept& kept = frames_.emplace_back();
    kept.bytes.assign(frame.bytes, frame.bytes + frame.captured_length);
    kept.bytes.resize(frame.wire_length);
    kept.damage = frame.damage;
    kept.stamped = stamped;
    used_ += frame.wire_length;
    return true;
  }

  WireFrame front() const noexcept {
    const Kept& kept = frames_.front();
    const auto length = static_cast<std::uint32_t>(kept.bytes.size());
    return {kept.bytes.data(), length, length, kept.damage};
  }
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
  struct Kept {
    std::vector<std::uint8_t> bytes;
    std::uint8_t damage;
    bool stamped;
  };

  std::deque<Kept> frames_;
  std::uint32_t used_ = 0;
};

}  // namespace ixcap::emulator
