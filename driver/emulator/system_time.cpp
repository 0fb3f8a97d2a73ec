#include <ixcap/driver/emulator/system_time.hpp>

namespace ixcap::emulator {
namespace {

constexpr unsigned fraction_bits = 32;
constexpr std::uint64_t billion = 1'000'000'000;

// 6.4 ns: 5 ticks in 32 ns.
constexpr std::uint64_t ticks_in_32_ns = 5;

}  // namespace

SystemTime::Wide SystemTime::ticks() const noexcept {
  const Wide elapsed_ns = host_.now_ns() - since_ns_;
  const auto rate = static_cast<std::uint64_t>(static_cast<std::int64_t>(billion) + drift_ppb_);
  return fraction_ + (elapsed_ns * ticks_in_32_ns * rate << (fraction_bits - 5)) / billion;
}

std::uint64_t SystemTime::now() const noexcept {
  if (increment_ == 0 || period_ == 0) return value_;
  const auto periods = static_cast<std::uint64_t>((ticks() >> fraction_bits) / period_);
  return value_ + periods * increment_;
}

/// Everything up to now is in value_ and fraction_; what changes after this counts from now on.
void SystemTime::start_again() noexcept {
  const bool running = increment_ != 0 && period_ != 0;
  value_ = now();
  fraction_ = running ? static_cast<std::uint64_t>(ticks() % (Wide{period_} << fraction_bits)) : 0;
  since_ns_ = host_.now_ns();
}

void SystemTime::set(std::uint64_t value) noexcept {
  start_again();
  value_ = value;
}

void SystemTime::adjust(std::int64_t by) noexcept {
  start_again();
  value_ += static_cast<std::uint64_t>(by);
}

void SystemTime::set_increment(std::uint32_t value, std::uint32_t period) noexcept {
  start_again();
  if (period != period_) fraction_ = 0;
  increment_ = value;
  period_ = period;
}

void SystemTime::set_drift(std::int64_t parts_per_billion) noexcept {
  start_again();
  drift_ppb_ = parts_per_billion;
}

void SystemTime::reset() noexcept {
  increment_ = 0;
  period_ = 1;
  value_ = 0;
  fraction_ = 0;
  since_ns_ = host_.now_ns();
}

}  // namespace ixcap::emulator
