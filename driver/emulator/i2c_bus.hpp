#pragma once

/// The I2C bus between I2CCTL and the module: the driver moves the two lines, the module answers as a memory does.
///
///     START, 0xA0, offset, data...      writes the offset; data is acknowledged and dropped: the memory is read-only
///     START, 0xA1, data... until NACK   reads from the offset on, which wraps at 256
///
/// Open drain: a line is high when nobody pulls it. The module samples data as the clock rises and changes its own as
/// the clock falls; it never stretches the clock.
///
/// Threads: one at a time.

#include <cstdint>

#include <ixcap/driver/emulator/sfp_module.hpp>

namespace ixcap::emulator {

class I2cBus {
 public:
  explicit I2cBus(const SfpModule& module) : module_(module) {}

  /// Where the driver leaves the lines now: true is released (high).
  void drive(bool clock, bool data) noexcept;

  bool clock() const noexcept { return clock_; }
  bool data() const noexcept { return data_ && !pulling_; }

  /// Both lines released, and no transfer under way.
  void reset() noexcept;

 private:
  enum class Phase : std::uint8_t { idle, address, offset, write, read };

  void clock_rose() noexcept;
  void clock_fell() noexcept;
  void end_of_byte() noexcept;

  const SfpModule& module_;
  bool clock_ = true;
  bool data_ = true;
  bool pulling_ = false;  ///< the module holds the data line low
  Phase phase_ = Phase::idle;
  unsigned bit_ = 0;  ///< of the nine clocks of a byte, those that rose
  std::uint8_t shift_ = 0;
  std::uint8_t device_ = 0;
  std::uint8_t offset_ = 0;
  bool acknowledged_ = false;  ///< by the driver, after a byte read
};

}  // namespace ixcap::emulator
