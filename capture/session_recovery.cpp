// A session's card on a bad day: what it is reset for, and how the capture goes on.
//
//     look_after_port()   every 20 ms: sees that the card must be reset; nothing is received from then on
//     receive loops       empty their queues, and stand still
//     look_after_port()   sees that they do: counts what is lost, resets the card, has them go on

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include <ixcap/capture/session.hpp>

namespace ixcap::capture {

using Kind = SessionEvent::Kind;

/// Under the mutex, while frames are received. Waits for nobody: a loop may itself wait for a reader, which may wait
/// for the mutex.
void Session::look_after_port() {
  update_statistics();
  if (!trouble_) {
    trouble_ = watch_.look();
    if (trouble_) stop_for_restart();
    return;
  }
  const bool all_stand =
      std::ranges::all_of(channels_, [this](const auto& channel) { return channel->loop.stands(ticket_); });
  if (all_stand) restart_port();
}

void Session::stop_for_restart() {
  stopped_at_ = std::chrono::steady_clock::now();
  try {
    port_.stop_receiving();
  } catch (const Error&) {
    // A receive path that does not stop is stopped by the reset.
  }
  update_statistics();  // the last that there will be: a reset clears them
  ++ticket_;
  for (const auto& channel : channels_) channel->loop.stand_still(ticket_);
}

void Session::restart_port() {
  const auto now = std::chrono::steady_clock::now();
  while (!restarts_.empty() && now - restarts_.front() > restart_window) restarts_.pop_front();
  if (restarts_.size() == most_restarts) {
    return fail(
        Error("cannot go on with", interface_.name(),
              fmt::format("the card was reset {} times within a minute, and {}", most_restarts, restart_failure_),
              "see what the kernel says (sudo dmesg); if it stays so, power-cycle the machine"));
  }
  restarts_.push_back(now);
  const std::uint64_t lost_before = losses_.lost;
  settle_counts();
  try {
    port_.restart();
    if (hardware_filter_) hardware_filter_->restart(hardware_rules_);
    if (hardware_flows_) hardware_flows_->restart();
    clock_.restart();
    port_.start_receiving();
  } catch (const Error& error) {
    restart_failure_ = fmt::format("{}: {}", error.action(), error.reason());
    return;  // the next look tries again
  }
  restart_failure_ = "it is no better";
  trouble_.reset();
  const auto blind = std::chrono::ceil<std::chrono::milliseconds>(std::chrono::steady_clock::now() - stopped_at_);
  events_.add(
      Kind::restarted,
      fmt::format("the card was reset and set up again; {} frames were lost in it, and what came meanwhile, for "
                  "{} ms, nobody has counted",
                  losses_.lost - lost_before, blind.count()));
  for (const auto& channel : channels_) channel->loop.go_on();
}

void Session::fail(Error error) {
  if (!failure_) failure_ = std::move(error);
}

/// Nothing moves: what the card has taken in is in memory and polled, or lost. Tells the reader of the loss.
void Session::settle_counts() {
  const SessionStatistics now = read_statistics();
  const bool counters_lost = trouble_ == Kind::reset_by_other || port_.gone();
  losses_.settle(now.card, now.received, now.malformed, counters_lost);
  tell_losses();
}

}  // namespace ixcap::capture
