#pragma once

/// The card's clock and what it stamps (data sheet 7.9, IEEE 1588).
///
///     Clock clock(device);
///     clock.start();                            the card's clock runs, and PTP messages are stamped
///     clock.set(tsc, utc_ns);                   what it is to say at a moment of the processor's
///     clock.sample();                           every 20 ms or so: how the processor's clock runs against it
///     clock.fit().to_ns(tsc)                    a moment of the processor's, on the card's clock
///     clock.follow(fit)                         the same for the hot path, which keeps a fit of its own
///     clock.take_received(frame)                the stamp of a frame whose descriptor has ReceiveStatus::TS
///
/// The 82599 stamps PTP event messages of version 2 and no others, over Ethernet and over UDP, one at a time: while a
/// stamp waits to be taken, further messages get none. Every other frame can only have a time of the processor's clock
/// (TSC), converted by the fit.
///
/// The fit says how far it can be off. SYSTIM is read between two readings of the TSC, so it is known to half of what
/// lies between them; the rate follows from two such readings some time apart, and so does its error. The bound holds
/// as long as the card's rate against the processor's changes by less than most_wander in a second. Each sample is held
/// against what the fit before it said: if that was further off than it claimed, the difference counts from then on.
///
/// After set() the clock is left to itself: it is the card's oscillator, and not steered to follow the host's. The
/// register wraps around every 2.4 hours; what is answered here does not.
///
/// A card that is gone reads as all ones, and one that was reset has a clock that stands: sample() then leaves the fit
/// as it is.
///
/// Threads: start(), restart(), set() and sample() one control thread; fit() and follow() any thread; take_received()
/// the receive threads; take_transmitted() the thread that sends. None of them allocates; fit() waits while the control
/// thread writes, and take_received() for the few reads of another thread that has the latch; follow() never waits.

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

/// The processor's clock: a constant rate, the same on all cores.
std::uint64_t read_tsc() noexcept;

/// SYSTIM counts 2^-21 ns: the finest unit in which TIMINCA's 24 bits can say 6.4 ns.
inline constexpr unsigned systim_shift = 21;

/// How the card's clock runs against the TSC, good from one sample to the next.
struct ClockFit {
  std::uint64_t reference_tsc = 0;
  std::uint64_t reference_ns = 0;      ///< on the card's clock
  std::uint64_t reference_systim = 0;  ///< the register's when it was exactly reference_ns
  double ns_per_tick = 0;
  double error_ns = 0;           ///< at the reference, either way
  double error_ns_per_tick = 0;  ///< and so much more for each tick away from it

  /// Nanoseconds on the card's clock at `tsc`; before and after the reference.
  std::uint64_t to_ns(std::uint64_t tsc) const noexcept {
    const auto ticks = static_cast<double>(static_cast<std::int64_t>(tsc - reference_tsc));
    return reference_ns + static_cast<std::uint64_t>(static_cast<std::int64_t>(ticks * ns_per_tick));
  }
  /// A stamp of the card's, rounded down: the same number by every fit that is not hours away from it.
  std::uint64_t stamp_to_ns(std::uint64_t systim) const noexcept {
    const auto since = static_cast<std::int64_t>(systim - reference_systim);
    return reference_ns + static_cast<std::uint64_t>(since >> systim_shift);
  }
  /// How far to_ns() can be off there.
  double error_at(std::uint64_t tsc) const noexcept {
    const auto ticks = static_cast<double>(static_cast<std::int64_t>(tsc - reference_tsc));
    return error_ns + (ticks < 0 ? -ticks : ticks) * error_ns_per_tick;
  }
};

class Clock {
 public:
  /// The most that the rate is taken to change in a second: a crystal that warms up does less, and so does a host's
  /// clock that is slewed gently.
  static constexpr double most_wander = 2e-6;

  explicit Clock(pci::Device& device) noexcept : device_(device) {}
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  /// Starts the clock at 0, has PTP messages stamped, and finds the first fit, which takes some 20 ms.
  void start();

  /// After a reset of the card, which stops its clock: it runs again, and what is answered here goes on where the last
  /// fit has it now. Takes as long as start(); no receive thread may be in take_received().
  void restart();

  /// Has the clock say `utc_ns` at `tsc`, which is not long ago. The register is left as it is.
  void set(std::uint64_t tsc, std::uint64_t utc_ns) noexcept;

  /// Takes a sample and brings the fit up to date. Also empties a latch whose frame never came.
  void sample() noexcept;

  /// The latest fit, at most one sample old.
  ClockFit fit() const noexcept;

  /// A fit that one thread keeps, and which version of it.
  struct FollowedFit {
    ClockFit fit;
    std::uint32_t version = 0;
  };
  /// Brings `followed` up to date, or leaves it as it is while a new fit is being written. Costs a load if there is
  /// none.
  void follow(FollowedFit& followed) const noexcept {
    if (sequence_.load(std::memory_order_relaxed) != followed.version) [[unlikely]]  // read() orders what it takes
      read(followed);
  }

  /// The stamp of `frame`, nanoseconds on the card's clock, if it is this frame's: the latch tells the sender and the
  /// number of its message. Empties the latch then; another's stamp stays for its own frame.
  std::optional<std::uint64_t> take_received(std::span<const std::uint8_t> frame) noexcept;

  /// The stamp of what was sent last with TransmitDescriptor::TSTAMP, if it has gone out. Empties the latch.
  std::optional<std::uint64_t> take_transmitted() noexcept;

  /// Stamps that no frame has asked for in time. Any thread.
  std::uint64_t unmatched() const noexcept { return unmatched_.load(std::memory_order_relaxed); }

  /// The largest error that a fit has claimed, ns. Any thread.
  double worst_error_ns() const noexcept { return worst_error_ns_.load(std::memory_order_relaxed); }

 private:
  /// SYSTIM, and the TSC around it.
  struct Reading {
    std::uint64_t tsc = 0;  ///< in the middle
    std::uint64_t systim = 0;
    std::uint64_t ns = 0;   ///< since start(), rounded down
    double half_width = 0;  ///< ticks: the moment is so far from `tsc` at most
  };

  static constexpr std::uint64_t none = ~std::uint64_t{0};
  static constexpr unsigned tries = 8;           ///< of which the narrowest counts
  static constexpr std::size_t kept = 64;        ///< readings: the rate is taken over as many
  static constexpr unsigned stuck_samples = 50;  ///< a latch that holds the same stamp for so many belongs to no frame

  void run(const ClockFit* before);
  Reading read_clock() noexcept;
  bool read(FollowedFit& followed) const noexcept;
  void fit_to(const Reading& newest) noexcept;
  void publish(const ClockFit& fit) noexcept;
  void release_stuck() noexcept;

  pci::Device& device_;
  std::uint64_t start_ns_ = 0;  ///< what the clock says at start()
  Reading readings_[kept];
  std::size_t reading_count_ = 0;
  std::uint64_t fraction_ = 0;  ///< of a nanosecond, that readings have left over
  double surprise_ns_ = 0;      ///< by how much fits were further off than they claimed; fades
  std::uint64_t seen_stamp_ = none;
  unsigned seen_count_ = 0;

  std::atomic_flag latch_in_use_;
  std::atomic<std::uint64_t> unmatched_ = 0;
  std::atomic<double> worst_error_ns_ = 0;

  // The fit, for other threads: whole if the sequence is even, and the same before and after it was read.
  alignas(64) std::atomic<std::uint32_t> sequence_ = 0;
  std::atomic<std::uint64_t> reference_tsc_ = 0;
  std::atomic<std::uint64_t> reference_ns_ = 0;
  std::atomic<std::uint64_t> reference_systim_ = 0;
  std::atomic<double> ns_per_tick_ = 0;
  std::atomic<double> error_ns_ = 0;
  std::atomic<double> error_ns_per_tick_ = 0;
};

}  // namespace ixcap::ixgbe
