#pragma once

/// The time that the software NIC lives in: the machine's, or one that a test moves by hand.

#include <chrono>
#include <cstdint>

namespace ixcap::emulator {

class Clock {
 public:
  virtual ~Clock() = default;

  /// Nanoseconds since some moment; never goes back.
  virtual std::uint64_t now_ns() const noexcept = 0;
};

/// Threads: any.
class SteadyClock final : public Clock {
 public:
  std::uint64_t now_ns() const noexcept override {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
  }
};

/// Stands still but for advance().
/// Threads: one at a time.
class SteppedClock final : public Clock {
 public:
  std::uint64_t now_ns() const noexcept override { return now_ns_; }
  void advance(std::uint64_t nanoseconds) noexcept { now_ns_ += nanoseconds; }

 private:
  std::uint64_t now_ns_ = 0;
};

}  // namespace ixcap::emulator
