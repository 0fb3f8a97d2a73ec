#include <immintrin.h>

#include <algorithm>
#include <thread>

#include <ixcap/capture/replay.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/idle.hpp>

namespace ixcap::capture {
namespace {

constexpr std::uint64_t ps_per_ns = 1000;
/// A sleep ends at most this late on an idle machine, timer slack included: the rest of the way is spun.
constexpr std::uint64_t spin_ps = 200'000 * ps_per_ns;
constexpr std::uint64_t longest_sleep_ps = 20'000'000 * ps_per_ns;  // stop() is seen after that
constexpr std::uint64_t most_catch_up_ps = std::uint64_t{Replay::most_catch_up.count()} * 1'000'000 * ps_per_ns;

}  // namespace

Replay::Replay(Injector& injector, emulator::Traffic& traffic, const ReplayPace& pace)
    : injector_(injector), traffic_(traffic), timed_(!pace.as_fast_as_possible()), schedule_(pace) {}

void Replay::stop() noexcept {
  stopping_.store(true, std::memory_order_relaxed);
  traffic_.cancel();
}

void Replay::run() {
  while (!stopping()) {
    const emulator::WireFrame* const frame = traffic_.next();
    if (frame == nullptr) break;
    if (report_.frames == 0) {  // a pipe may have been silent before
      start_ = Clock::now();
      next_supervision_ = start_ + Injector::supervision_interval;
    }
    send(*frame);
  }
  commit();
  report_.scheduled_ns = last_scheduled_ps_ / ps_per_ns;
  report_.out_of_order = schedule_.out_of_order();
  if (timed_) measure();
  injector_.flush(flush_patience);
  take_stamped();
  if (!timed_) measure();
  if (!stopping() && traffic_.failure().has_value()) throw Error(*traffic_.failure());
}

void Replay::measure() noexcept {
  if (report_.frames != 0) report_.duration_ns = now_ps() / ps_per_ns;
}

/// Waits until the frame is due and there is room for it, and puts it.
void Replay::send(const emulator::WireFrame& frame) {
  std::uint64_t due_ps = 0;
  if (timed_) {
    const std::uint64_t scheduled_ps = schedule_.due_ps(frame);
    due_ps = scheduled_ps + slipped_ps_;
    if (due_ps > clock_ps_ && due_ps > now_ps()) {
      commit();
      wait_until(due_ps);
    }
    last_scheduled_ps_ = scheduled_ps;
  }
  Idle idle;
  for (;;) {
    if (stopping()) return;
    if (injector_.put({frame.bytes, frame.captured_length, frame.wire_length})) break;
    commit();
    supervise_in_time(Clock::now());
    idle.wait();
  }
  due_ps_[uncommitted_++] = due_ps;
  ++report_.frames;
  progress_.store(report_.frames, std::memory_order_relaxed);
  if (uncommitted_ == due_ps_.size()) {
    commit();
    take_stamped();
    supervise_in_time(Clock::now());
  }
}

void Replay::wait_until(std::uint64_t due_ps) {
  while (!stopping()) {
    take_stamped();
    const std::uint64_t now = now_ps();
    if (now >= due_ps) return;
    const std::uint64_t left_ps = due_ps - now;
    if (left_ps > spin_ps) {
      supervise_in_time(Clock::now());
      const std::uint64_t sleep_ps = std::min(left_ps - spin_ps, longest_sleep_ps);
      std::this_thread::sleep_for(std::chrono::nanoseconds(sleep_ps / ps_per_ns));
    } else {
      _mm_pause();
    }
  }
}

/// Gives what was put to the card and notes how late it is.
void Replay::commit() noexcept {
  if (uncommitted_ == 0) return;
  injector_.commit();
  if (timed_) {
    const std::uint64_t now = now_ps();
    for (std::size_t i = 0; i < uncommitted_; ++i) {
      report_.pacing.add(now > due_ps_[i] ? (now - due_ps_[i]) / ps_per_ns : 0);
    }
    // Too far behind to catch up: what is not due yet is due later.
    if (const std::uint64_t last = due_ps_[uncommitted_ - 1]; now > last + most_catch_up_ps) {
      slipped_ps_ += now - last;
      report_.slipped_ns = slipped_ps_ / ps_per_ns;
      ++report_.slips;
    }
  }
  uncommitted_ = 0;
}

void Replay::take_stamped() {
  const std::optional<StampedFrame> frame = injector_.take_stamped();
  if (frame.has_value() && on_stamped_) on_stamped_(*frame);
}

void Replay::supervise_in_time(Clock::time_point now) {
  if (now < next_supervision_) return;
  next_supervision_ = now + Injector::supervision_interval;
  injector_.supervise();
}

std::uint64_t Replay::now_ps() noexcept {
  const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_);
  clock_ps_ = static_cast<std::uint64_t>(elapsed.count()) * ps_per_ns;
  return clock_ps_;
}

}  // namespace ixcap::capture
