#include <x86intrin.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include <ixcap/driver/ixgbe/clock.hpp>
#include <ixcap/driver/ixgbe/ptp.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::ixgbe {
namespace {

constexpr std::uint32_t increment = 0xCCCCCC;  // 6.4 ns in units of 2^-21 ns, rounded down
constexpr std::uint32_t growth = 1u << TIMINCA_PERIOD_SHIFT | increment;
constexpr std::uint64_t all_ones = ~std::uint64_t{0};  // what a card that is gone reads as
constexpr double fading = 0.99;                        // of a surprise, each sample

/// Holds the receive latch for the time of one function, which is a few register reads; waits for whoever has it.
class LatchUse {
 public:
  explicit LatchUse(std::atomic_flag& flag) noexcept : flag_(flag) {
    while (flag_.test_and_set(std::memory_order_acquire)) _mm_pause();  // pairs with the release below
  }
  ~LatchUse() { flag_.clear(std::memory_order_release); }
  LatchUse(const LatchUse&) = delete;
  LatchUse& operator=(const LatchUse&) = delete;

 private:
  std::atomic_flag& flag_;
};

}  // namespace

std::uint64_t read_tsc() noexcept {
  unsigned core;
  return __rdtscp(&core);
}

void Clock::start() {
  run(nullptr);
}

void Clock::restart() {
  const ClockFit before = fit();
  run(&before);
}

/// `before`: whose time goes on; null: it is 0 now.
void Clock::run(const ClockFit* before) {
  device_.write(TIMINCA.offset(), growth);
  device_.write(SYSTIML.offset(), 0);
  device_.write(SYSTIMH.offset(), 0);
  device_.write(ETQF.offset(ETQF_OF_PTP), ETQF_EN | ETQF_1588 | ethertype_ptp);
  device_.write(RXMTRL.offset(), ptp_event_port << RXMTRL_PORT_SHIFT);
  device_.write(TSYNCRXCTL.offset(), TSYNCRXCTL_EN | TSYNCRXCTL_TYPE_EVENT_V2);
  device_.write(TSYNCTXCTL.offset(), TSYNCTXCTL_EN);
  device_.read(RXSTMPH.offset());  // whatever they held is nobody's
  device_.read(TXSTMPH.offset());
  seen_stamp_ = none;
  reading_count_ = 0;
  surprise_ns_ = 0;
  fraction_ = 0;
  readings_[reading_count_++] = read_clock();
  start_ns_ = before != nullptr ? before->to_ns(readings_[0].tsc) : 0;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  sample();
}

void Clock::set(std::uint64_t tsc, std::uint64_t utc_ns) noexcept {
  ClockFit now = fit();
  const std::uint64_t by = utc_ns - now.to_ns(tsc);
  start_ns_ += by;
  now.reference_ns += by;
  publish(now);
}

/// Of several readings the one that is known best.
Clock::Reading Clock::read_clock() noexcept {
  Reading best;
  for (unsigned i = 0; i < tries; ++i) {
    const std::uint64_t before = read_tsc();
    const std::uint64_t low = device_.read(SYSTIML.offset());
    const std::uint64_t after = read_tsc();
    const std::uint64_t systim = low | std::uint64_t{device_.read(SYSTIMH.offset())} << 32;
    const double half_width = static_cast<double>(after - before + 1) / 2;
    if (i == 0 || half_width < best.half_width) best = {before + (after - before) / 2, systim, 0, half_width};
  }
  return best;
}

void Clock::sample() noexcept {
  Reading newest = read_clock();
  // The card is gone, and its clock with it; or somebody has reset it, and the clock stands at 0.
  if (newest.systim == all_ones || device_.read(TIMINCA.offset()) != growth) return;
  const Reading& last = readings_[(reading_count_ - 1) % kept];
  fraction_ += newest.systim - last.systim;
  newest.ns = last.ns + (fraction_ >> systim_shift);
  fraction_ &= (std::uint64_t{1} << systim_shift) - 1;
  fit_to(newest);
  readings_[reading_count_++ % kept] = newest;
  release_stuck();
}

/// The rate over all readings that are kept, and how wrong it can be: by what the first and the last leave open, and by
/// what the card's clock may have changed its rate meanwhile.
void Clock::fit_to(const Reading& newest) noexcept {
  constexpr double rounding_ns = 2;
  const Reading& oldest = readings_[reading_count_ > kept ? reading_count_ % kept : 0];
  const auto ticks = static_cast<double>(newest.tsc - oldest.tsc);
  const auto window_ns = static_cast<double>(newest.ns - oldest.ns);
  ClockFit next;
  next.reference_tsc = newest.tsc;
  next.reference_ns = start_ns_ + newest.ns;
  next.reference_systim = newest.systim - fraction_;
  next.ns_per_tick = window_ns / ticks;
  const double width_ns = newest.half_width * next.ns_per_tick + rounding_ns;
  next.error_ns_per_tick = (width_ns + oldest.half_width * next.ns_per_tick + rounding_ns) / ticks +
                           most_wander * window_ns * 1e-9 * next.ns_per_tick;
  if (reading_count_ > 1) {
    const ClockFit last = fit();
    const double claimed = last.error_at(newest.tsc);
    const double difference =
        std::abs(static_cast<double>(static_cast<std::int64_t>(last.to_ns(newest.tsc) - next.reference_ns)));
    surprise_ns_ = std::max(surprise_ns_ * fading, difference - claimed - width_ns);
    worst_error_ns_.store(std::max(worst_error_ns(), claimed), std::memory_order_relaxed);
  }
  next.error_ns = width_ns + surprise_ns_;
  publish(next);
}

void Clock::publish(const ClockFit& fit) noexcept {
  const std::uint32_t sequence = sequence_.load(std::memory_order_relaxed);  // only this thread stores it
  sequence_.store(sequence + 1, std::memory_order_relaxed);
  // release, each: whoever sees a part of the new sees the odd sequence.
  reference_tsc_.store(fit.reference_tsc, std::memory_order_release);
  reference_ns_.store(fit.reference_ns, std::memory_order_release);
  reference_systim_.store(fit.reference_systim, std::memory_order_release);
  ns_per_tick_.store(fit.ns_per_tick, std::memory_order_release);
  error_ns_.store(fit.error_ns, std::memory_order_release);
  error_ns_per_tick_.store(fit.error_ns_per_tick, std::memory_order_release);
  sequence_.store(sequence + 2, std::memory_order_release);  // whoever sees it even sees all of the new
}

/// False, and nothing changed, if a new fit is being written.
bool Clock::read(FollowedFit& followed) const noexcept {
  const std::uint32_t before = sequence_.load(std::memory_order_acquire);
  ClockFit fit;
  // acquire, each: these loads come before the last one.
  fit.reference_tsc = reference_tsc_.load(std::memory_order_acquire);
  fit.reference_ns = reference_ns_.load(std::memory_order_acquire);
  fit.reference_systim = reference_systim_.load(std::memory_order_acquire);
  fit.ns_per_tick = ns_per_tick_.load(std::memory_order_acquire);
  fit.error_ns = error_ns_.load(std::memory_order_acquire);
  fit.error_ns_per_tick = error_ns_per_tick_.load(std::memory_order_acquire);
  if (before % 2 != 0 || sequence_.load(std::memory_order_relaxed) != before) return false;
  followed = {fit, before};
  return true;
}

ClockFit Clock::fit() const noexcept {
  FollowedFit followed;
  while (!read(followed)) _mm_pause();
  return followed.fit;
}

/// What is in the latch is another frame's if this one's was released as stuck: it stays there for its own.
std::optional<std::uint64_t> Clock::take_received(std::span<const std::uint8_t> frame) noexcept {
  const LatchUse use(latch_in_use_);
  if ((device_.read(TSYNCRXCTL.offset()) & TSYNCRXCTL_VALID) == 0) return std::nullopt;
  const std::uint32_t identity_low = device_.read(RXSATRL.offset());
  const std::uint32_t high = device_.read(RXSATRH.offset());
  const std::span<const std::uint8_t> message = ptp_event(frame);
  const auto is = [&message](std::uint32_t bytes, std::size_t offset, std::size_t count) {
    return std::memcmp(&message[offset], &bytes, count) == 0;
  };
  const bool its_own = !message.empty() && is(identity_low, ptp_identity_offset, 4) &&
                       is(high & 0xFFFF, ptp_identity_offset + 4, 2) && is(high >> 16, ptp_sequence_offset, 2);
  if (!its_own) return std::nullopt;
  const std::uint64_t low = device_.read(RXSTMPL.offset());
  return fit().stamp_to_ns(low | std::uint64_t{device_.read(RXSTMPH.offset())} << 32);
}

std::optional<std::uint64_t> Clock::take_transmitted() noexcept {
  if ((device_.read(TSYNCTXCTL.offset()) & TSYNCTXCTL_VALID) == 0) return std::nullopt;
  const std::uint64_t low = device_.read(TXSTMPL.offset());
  const std::uint64_t stamp = low | std::uint64_t{device_.read(TXSTMPH.offset())} << 32;
  return fit().stamp_to_ns(stamp);
}

/// A frame that was stamped and then dropped behind the MAC leaves its stamp, and no other gets one before it is read.
/// Looking at the latch takes nothing out of it, so the receive threads need not be kept from it before it is stuck.
void Clock::release_stuck() noexcept {
  const auto waiting = [this] {
    const bool full = (device_.read(TSYNCRXCTL.offset()) & TSYNCRXCTL_VALID) != 0;
    return full ? device_.read(RXSTMPL.offset()) : none;
  };
  const std::uint64_t stamp = waiting();
  seen_count_ = stamp != none && stamp == seen_stamp_ ? seen_count_ + 1 : 0;
  seen_stamp_ = stamp;
  if (seen_count_ < stuck_samples) return;
  const LatchUse use(latch_in_use_);
  if (waiting() != stamp) return;  // taken at the last moment
  device_.read(RXSTMPH.offset());
  unmatched_.fetch_add(1, std::memory_order_relaxed);
  seen_stamp_ = none;
}

}  // namespace ixcap::ixgbe
