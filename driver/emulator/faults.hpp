#pragma once

/// The dice behind a FaultSpec: what goes wrong now.
///
/// The data path asks only while there are faults: whoever may ask holds a pointer that is nullptr otherwise, and looks
/// at it once a pass.
///
/// Threads: one at a time (the Nic's lock).

#include <cstdint>

#include <ixcap/driver/emulator/fault_spec.hpp>
#include <ixcap/driver/emulator/random.hpp>
#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::emulator {

class Faults {
 public:
  /// Passes that a write-back is late at most.
  static constexpr unsigned most_late_passes = 8;

  explicit Faults(const FaultSpec& spec) : spec_(spec), frames_(spec.seed), passes_(~spec.seed) {}

  const FaultSpec& spec() const noexcept { return spec_; }

  /// `frame` as it arrives. Asked again before taken(), it answers the same.
  const WireFrame& arriving(const WireFrame& frame) noexcept;
  void taken() noexcept { thrown_ = false; }

  bool writes_back_late() noexcept { return chance(spec_.late_write_back); }
  bool reorders_write_back() noexcept { return chance(spec_.reordered_write_back); }
  bool starves() noexcept { return chance(spec_.starvation); }
  bool loses_interrupt() noexcept { return chance(spec_.lost_interrupts); }
  /// A number from 0 to `bound` - 1.
  std::uint32_t pick(std::uint32_t bound) noexcept { return passes_.below(bound); }

 private:
  static double unit(Random& random) noexcept { return static_cast<double>(random.next() >> 11) * 0x1p-53; }
  bool chance(double share) noexcept { return share > 0 && unit(passes_) < share; }

  FaultSpec spec_;
  Random frames_;  ///< one number a frame, so that no frame's fate depends on another's
  Random passes_;
  bool thrown_ = false;  ///< arrived_ is the frame that comes next
  WireFrame arrived_{};
};

}  // namespace ixcap::emulator
