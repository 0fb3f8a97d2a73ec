#pragma once

/// When each frame of a replay is due: at the pace it was recorded at, that times a factor, at a rate, or at once.
///
/// At the recorded pace the first frame of a file is due at once, and so is one with a stamp before that of an earlier
/// one. Each further pass through a file begins as long after the last frame as frames of that file are apart on
/// average.
///
/// Threads: one.

#include <cstdint>
#include <optional>

#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::capture {

struct ReplayPace {
  /// As in emulator::Traffic: Rate{} is as fast as possible; empty: as recorded.
  std::optional<emulator::Rate> rate = {};
  double speed = 1;  ///< as recorded, so many times as fast; > 0

  bool as_fast_as_possible() const noexcept {
    return rate.has_value() && rate->unit == emulator::Rate::Unit::as_fast_as_received;
  }
};

class ReplaySchedule {
 public:
  explicit ReplaySchedule(const ReplayPace& pace) : pace_(pace) {}

  /// Picoseconds from the start of the replay to when `frame`, the next one, is due. Never falls.
  std::uint64_t due_ps(const emulator::WireFrame& frame) noexcept;

  /// Frames so far whose stamp was before that of a frame before them.
  std::uint64_t out_of_order() const noexcept { return out_of_order_; }

 private:
  /// Half of what 64 bits hold, 106 days: nothing is due later, whatever a file's stamps say.
  static constexpr std::uint64_t latest_ps = std::uint64_t{1} << 63;

  std::uint64_t recorded_ps(const emulator::WireFrame& frame) noexcept;

  ReplayPace pace_;
  std::uint64_t due_ps_ = 0;          ///< of the frame before; at a rate: of the next
  std::uint32_t spacing_length_ = 0;  ///< at a rate: the length of the frame before, padded
  std::uint64_t spacing_ps_ = 0;      ///< at a rate: from one frame of that length to the next
  bool started_ = false;
  std::uint64_t pass_start_ps_ = 0;   ///< when the first frame of this pass was due
  std::uint64_t first_ns_ = 0;        ///< its stamp
  std::uint64_t latest_ns_ = 0;       ///< the latest stamp of this pass
  std::uint64_t frames_of_pass_ = 0;  ///< so far
  std::uint64_t out_of_order_ = 0;
};

}  // namespace ixcap::capture
