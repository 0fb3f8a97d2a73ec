#pragma once

/// Frames kept in memory to be replayed at a few nanoseconds each.
///
/// The bytes of each frame start on a cache line of their own and never move: a WireFrame points at them for as long as
/// the pool lives. One thread fills it; it is read-only afterwards.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::emulator {

class FramePool {
 public:
  /// Room for `capacity` bytes of frames, each rounded up to whole cache lines.
  explicit FramePool(std::size_t capacity) { lines_.reserve(lines_for(capacity)); }
  FramePool(FramePool&&) = default;
  FramePool(const FramePool&) = delete;  // its frames would point into the original

  /// Copies the captured bytes of `frame`. False, and nothing kept, when they no longer fit.
  bool add(const WireFrame& frame);

  const std::vector<WireFrame>& frames() const noexcept { return frames_; }

  /// What add() takes of the capacity for a frame with `captured_length` bytes.
  static std::size_t footprint(std::size_t captured_length) { return lines_for(captured_length) * sizeof(Line); }

 private:
  struct alignas(64) Line {
    std::uint8_t bytes[64];
  };
  /// At least one: even a frame without bytes takes room, so that a pool is bounded whatever it is fed.
  static std::size_t lines_for(std::size_t length) {
    return length == 0 ? 1 : (length + sizeof(Line) - 1) / sizeof(Line);
  }

  std::vector<Line> lines_;  // grows within its reservation only, so that nothing moves
  std::vector<WireFrame> frames_;
};

}  // namespace ixcap::emulator
