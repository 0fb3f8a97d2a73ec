#include <fmt/format.h>

#include <thread>
#include <utility>

#include <ixcap/capture/injector.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/idle.hpp>

namespace ixcap::capture {
namespace {

using namespace std::chrono_literals;

/// The receive queue that a Port has is not used.
constexpr ixgbe::PortOptions port_options{.descriptors = ixgbe::fewest_descriptors};

}  // namespace

Injector::Injector(InjectorOptions options)
    : options_(std::move(options)),
      interface_(options_.interface),
      port_(std::in_place, interface_.device(), port_options) {
  link_ = port_->wait_for_link(options_.link_patience);
  transmitter_.emplace(interface_.device(), options_.descriptors);
  if (options_.time_stamps) stamps_.emplace(interface_.device());
}

std::size_t Injector::send(std::span<const Frame> frames) noexcept {
  std::size_t taken = 0;
  while (taken < frames.size() && put(frames[taken])) ++taken;
  commit();
  return taken;
}

void Injector::supervise() {
  if (port_->gone()) {
    throw Error("lost the interface", interface_.name(), "it does not answer any more",
                "see that it is there ('ixcap devices'), and send again");
  }
  const Clock::time_point now = Clock::now();
  transmitter_->update_statistics();
  if (stamps_.has_value()) stamps_->look_after();
  watch_link(now);
  if (transmitter_->hangs(now)) reset();
}

void Injector::watch_link(Clock::time_point now) {
  link_ = port_->link();
  if (link_.up) {
    link_down_since_.reset();
    return;
  }
  if (!link_down_since_.has_value()) link_down_since_ = now;
  if (now - *link_down_since_ < options_.link_patience) return;
  throw Error("cannot send on", interface_.name(),
              fmt::format("its link went down and has not come back for {} ms", options_.link_patience.count()),
              "check cable and module, and the port at the other end");
}

/// The queue hangs: the port is made anew, and what was in the queue is lost. Statistics are up to date.
void Injector::reset() {
  const bool in_vain = transmitter_->queue().completed() == 0 && earlier_.resets != 0;
  resets_in_vain_ = in_vain ? resets_in_vain_ + 1 : 0;
  if (resets_in_vain_ >= most_resets_in_vain) {
    throw Error("cannot send on", interface_.name(),
                fmt::format("its transmit queue hangs, and {} resets have not helped", earlier_.resets),
                "take the card's power away for a moment: shut the machine down and start it again");
  }
  InjectionCounts before = counts();
  before.lost_in_reset += std::exchange(before.in_flight, 0);
  ++before.resets;
  if (stamps_.has_value()) stamps_->give_up();
  const TransmitStampCounts stamped = stamp_counts();
  transmitter_.reset();
  port_.reset();
  earlier_ = before;
  port_.emplace(interface_.device(), port_options);
  link_ = port_->wait_for_link(options_.link_patience);
  transmitter_.emplace(interface_.device(), options_.descriptors);
  if (stamps_.has_value()) stamps_.emplace(interface_.device(), stamped);
}

bool Injector::flush(std::chrono::milliseconds patience) {
  commit();
  Idle idle;
  Clock::time_point progress = Clock::now();
  Clock::time_point supervision = progress + supervision_interval;
  std::uint64_t left = transmitter_->queue().pending();
  while (left != 0) {
    const Clock::time_point now = Clock::now();
    if (now - progress > patience) break;
    if (now >= supervision) {
      supervise();
      supervision = now + supervision_interval;
    }
    idle.wait();
    const std::uint64_t still_left = transmitter_->queue().pending();
    if (still_left != left) {
      left = still_left;
      progress = now;
    }
  }
  settle();
  return left == 0;
}

/// A frame that is reported may still be on its way through the MAC, which counts it: waits until it has. The MAC takes
/// microseconds; where it is a thread of a busy machine, it may not run for long.
void Injector::settle() {
  const Clock::time_point patience_ends = Clock::now() + 1s;
  for (;;) {
    supervise();
    const std::uint64_t unsent = counts().unsent();
    if (unsent <= given_up_) return;
    if (Clock::now() > patience_ends) {
      given_up_ = unsent;
      return;
    }
    std::this_thread::sleep_for(1ms);
  }
}

InjectionCounts Injector::counts() {
  InjectionCounts counts = earlier_;
  if (!transmitter_.has_value()) return counts;
  const ixgbe::TxCounts& queue = transmitter_->queue().counts();
  counts.queue.frames += queue.frames;
  counts.queue.bytes += queue.bytes;
  counts.queue.padded += queue.padded;
  counts.queue.zero_filled += queue.zero_filled;
  counts.queue.too_short += queue.too_short;
  counts.queue.too_long += queue.too_long;
  const ixgbe::TransmitStatistics& card = transmitter_->statistics();
  counts.on_wire += card.good_packets;
  counts.on_wire_bytes += card.good_bytes - card.good_packets * fcs_bytes;
  counts.in_flight += transmitter_->queue().pending();
  return counts;
}

}  // namespace ixcap::capture
