#pragma once

/// SYSTIM, the card's clock (data sheet 7.9.2): every TIMINCA.period ticks it grows by TIMINCA.value. A tick is 6.4 ns
/// at 10 Gb/s and without a link; the drivers in use choose a period of one tick.
///
///     host's nanoseconds ──× (1 + drift)──► ticks of the card's oscillator ──÷ period, × value──► SYSTIM
///
/// A card's oscillator is not the host's: the drift between them is set here, so that a test knows it.
///
/// Threads: one at a time (the Nic's lock).

#include <cstdint>

#include <ixcap/driver/emulator/clock.hpp>

namespace ixcap::emulator {

class SystemTime {
 public:
  /// Stands still until the driver writes TIMINCA.
  explicit SystemTime(const Clock& host) noexcept : host_(host), since_ns_(host.now_ns()) {}

  std::uint64_t now() const noexcept;

  /// The driver's writes. An increment or a period of 0 stops the clock.
  void set(std::uint64_t value) noexcept;
  void adjust(std::int64_t by) noexcept;
  void set_increment(std::uint32_t value, std::uint32_t period) noexcept;

  /// How much faster than the host's clock the oscillator is, in parts per billion; above -1e9. Stays through resets.
  void set_drift(std::int64_t parts_per_billion) noexcept;

  /// Device reset: 0, and stopped.
  void reset() noexcept;

 private:
  __extension__ typedef unsigned __int128 Wide;

  /// Ticks since the last change, with a fraction of 2^-32.
  Wide ticks() const noexcept;
  void start_again() noexcept;

  const Clock& host_;
  std::int64_t drift_ppb_ = 0;
  std::uint32_t increment_ = 0;
  std::uint32_t period_ = 1;
  std::uint64_t value_ = 0;     ///< at the last change
  std::uint64_t since_ns_;      ///< host's time then
  std::uint64_t fraction_ = 0;  ///< of a period, in ticks with a fraction of 2^-32, that had gone by then
};

}  // namespace ixcap::emulator
