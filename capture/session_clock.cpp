#include <time.h>

#include <cmath>

#include <ixcap/capture/session_clock.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

/// A clock of the system's, and the TSC then.
struct Reading {
  std::uint64_t tsc;
  std::uint64_t ns;
};

/// Of several readings the one that is known best.
Reading read_clock(clockid_t clock) noexcept {
  constexpr unsigned tries = 8;
  Reading best{};
  std::uint64_t narrowest = ~std::uint64_t{0};
  for (unsigned i = 0; i < tries; ++i) {
    timespec now{};
    const std::uint64_t before = ixgbe::read_tsc();
    clock_gettime(clock, &now);
    const std::uint64_t width = ixgbe::read_tsc() - before;
    if (width >= narrowest) continue;
    narrowest = width;
    best = {before + width / 2,
            static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec)};
  }
  return best;
}

}  // namespace

SessionClock::SessionClock(pci::Device& device, TimeStampType type) {
  const Reading start = read_clock(CLOCK_MONOTONIC);
  start_tsc_ = start.tsc;
  start_ns_ = start.ns;
  if (type == TimeStampType::host) return;
  card_.emplace(device);
  card_->start();
  constexpr double most_off = 0.01;  // no oscillator is so far off
  const double rate = card_->fit().ns_per_tick / ns_per_tick();
  if (!(std::abs(rate - 1) < most_off)) {
    throw Error("cannot take time stamps by the clock of", device.identity().address,
                "it does not run, or not at its rate", "use the system's: -j host");
  }
  const Reading utc = read_clock(CLOCK_REALTIME);
  card_->set(utc.tsc, utc.ns);
}

void SessionClock::restart() {
  if (card_.has_value()) card_->restart();
}

void SessionClock::sample() noexcept {
  if (!card_.has_value()) return;
  card_->sample();
  const Reading utc = read_clock(CLOCK_REALTIME);
  ahead_of_system_ns_ = static_cast<std::int64_t>(card_->fit().to_ns(utc.tsc) - utc.ns);
}

double SessionClock::ns_per_tick() const noexcept {
  const Reading now = read_clock(CLOCK_MONOTONIC);
  return static_cast<double>(now.ns - start_ns_) / static_cast<double>(now.tsc - start_tsc_);
}

TimeStampStatistics SessionClock::statistics(const ReceiveCounts& received) const noexcept {
  TimeStampStatistics statistics;
  statistics.longest_wait_ns =
      static_cast<std::uint64_t>(static_cast<double>(received.longest_wait_ticks) * ns_per_tick());
  if (!card_.has_value()) return statistics;
  statistics.stamped = received.stamped;
  statistics.stamps_unmatched = card_->unmatched() + received.impossible_stamps;
  statistics.clock_error_ns = card_->worst_error_ns();
  statistics.ahead_of_system_ns = ahead_of_system_ns_;
  return statistics;
}

}  // namespace ixcap::capture
