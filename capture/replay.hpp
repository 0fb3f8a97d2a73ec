#pragma once

/// A capture file, or other traffic, sent through an Injector in its time.
///
///     const auto traffic = emulator::open_traffic({.source = "trace.pcap"});
///     capture::Replay replay(injector, *traffic, {});
///     replay.run();                       until the traffic ends, stop() or an Error
///     replay.report(), injector.counts()
///
/// Waiting: far from a frame's time the thread sleeps, close to it it spins on the clock (the TSC, through the vDSO).
/// Frames that are due together go to the card with one doorbell. A replay that falls behind catches up; if it falls
/// more than 100 ms behind (the link went down, the machine was busy), the rest of the schedule moves by what is
/// missing instead of coming in a burst, and the report says so.
///
/// Ownership: borrows both. Threads: run() has one; stop() and progress() may come from any; the rest after run().
/// Errors: what Injector::supervise and flush throw, and a traffic that fails.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

#include <ixcap/capture/injector.hpp>
#include <ixcap/capture/pacing_error.hpp>
#include <ixcap/capture/replay_schedule.hpp>
#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::capture {

struct ReplayReport {
  std::uint64_t frames = 0;        ///< taken from the traffic
  std::uint64_t duration_ns = 0;   ///< from when the first was due to when the last was with the card; as fast as
                                   ///< possible: to when the card had sent it
  std::uint64_t scheduled_ns = 0;  ///< what the schedule says for that, slips apart; 0 for as fast as possible
  PacingError pacing;              ///< nothing in it for as fast as possible
  std::uint64_t out_of_order = 0;  ///< frames stamped earlier than one before them: sent at once
  std::uint64_t slips = 0;         ///< times that the schedule was moved
  std::uint64_t slipped_ns = 0;    ///< by how much in all
};

class Replay {
 public:
  static constexpr std::chrono::milliseconds most_catch_up{100};
  static constexpr std::chrono::milliseconds flush_patience{5'000};

  Replay(Injector& injector, emulator::Traffic& traffic, const ReplayPace& pace);

  /// Before run(), whose thread then calls it for each frame that the card has stamped, where the injector has time
  /// stamps. What it throws, run() does.
  void on_stamped(std::function<void(const StampedFrame&)> function) { on_stamped_ = std::move(function); }

  void run();

  /// Ends run() soon: what was given to the card by then is still sent.
  void stop() noexcept;

  /// Frames taken from the traffic so far.
  std::uint64_t progress() const noexcept { return progress_.load(std::memory_order_relaxed); }

  const ReplayReport& report() const noexcept { return report_; }

 private:
  using Clock = std::chrono::steady_clock;

  void send(const emulator::WireFrame& frame);
  void wait_until(std::uint64_t due_ps);
  void commit() noexcept;
  void measure() noexcept;
  void take_stamped();
  void supervise_in_time(Clock::time_point now);
  std::uint64_t now_ps() noexcept;
  bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }

  Injector& injector_;
  emulator::Traffic& traffic_;
  bool timed_;
  ReplaySchedule schedule_;
  std::function<void(const StampedFrame&)> on_stamped_;
  Clock::time_point start_;
  Clock::time_point next_supervision_;
  std::uint64_t clock_ps_ = 0;  ///< the last that now_ps() answered
  std::uint64_t slipped_ps_ = 0;
  std::uint64_t last_scheduled_ps_ = 0;
  std::array<std::uint64_t, batch_size> due_ps_{};  ///< of the frames put since the last commit
  std::size_t uncommitted_ = 0;
  ReplayReport report_;
  std::atomic<std::uint64_t> progress_ = 0;  ///< a count of its own
  std::atomic<bool> stopping_ = false;       ///< a flag of its own
};

}  // namespace ixcap::capture
