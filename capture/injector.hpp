#pragma once

/// Sending frames through an interface: the library's other front door.
///
///     capture::Injector injector({.interface = "0000:03:00.0"});
///     injector.send(frames);                        as many as there is room for, never waits
///     ... injector.supervise() now and then ...     statistics, link, a queue that hangs
///     injector.take_stamped()                       when the card sent a PTP message, if asked for
///     injector.flush(5s);
///     injector.counts()                             sent, and not sent under a reason
///
/// The constructor does everything that can fail: it opens the interface, brings up the port and waits for the link.
/// Nothing is received, and nothing but the frames given here is sent. A transmit queue that hangs is reset, with the
/// port; the frames that were in it are counted as lost.
///
/// Ownership: the Injector owns device and driver; frames are copied, and belong to the caller again when put() or
/// send() returns.
/// Threads: one at a time. Errors: ixcap::Error from the constructor, supervise() and flush(), after which only
/// counts() makes sense; put, commit and send never fail.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <ixcap/capture/interface.hpp>
#include <ixcap/capture/transmit_stamps.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/ixgbe/transmitter.hpp>

namespace ixcap::capture {

struct InjectorOptions {
  std::string interface;  ///< capture/interface.hpp
  std::uint32_t descriptors = ixgbe::TxQueue::default_descriptors;
  /// For the link to come up, at the start and after it went down.
  std::chrono::milliseconds link_patience{10'000};
  bool time_stamps = false;  ///< the card stamps PTP event messages as they go out: take_stamped()
};

/// given = on_wire + lost_in_reset + in_flight + unsent; what was refused (too short, too long) was not given.
struct InjectionCounts {
  ixgbe::TxCounts queue;            ///< queue.frames: given to the card
  std::uint64_t on_wire = 0;        ///< the card says it has sent them, as of the last supervise() or flush()
  std::uint64_t on_wire_bytes = 0;  ///< of these, without FCS
  std::uint64_t lost_in_reset = 0;  ///< in the queue when it hung
  std::uint64_t in_flight = 0;      ///< the card has not reported them yet
  std::uint64_t resets = 0;

  /// Taken by the card and not counted as sent: it had no link, or is gone.
  std::uint64_t unsent() const noexcept {
    const std::uint64_t known = on_wire + lost_in_reset + in_flight;
    return queue.frames > known ? queue.frames - known : 0;
  }
  /// Everything that was offered and is not on the wire.
  std::uint64_t not_sent() const noexcept {
    return queue.too_short + queue.too_long + lost_in_reset + in_flight + unsent();
  }
};

class Injector {
 public:
  /// How often supervise() wants to be called at least.
  static constexpr std::chrono::milliseconds supervision_interval{250};

  explicit Injector(InjectorOptions options);
  Injector(const Injector&) = delete;
  Injector& operator=(const Injector&) = delete;

  /// As ixgbe::TxQueue has them.
  bool put(const Frame& frame) noexcept {
    return stamps_.has_value() ? stamps_->put(transmitter_->queue(), frame) : transmitter_->queue().put(frame);
  }
  void commit() noexcept { transmitter_->queue().commit(); }
  std::size_t send(std::span<const Frame> frames) noexcept;

  /// A frame that the card has stamped since: to be asked for after every commit(), because no other is stamped
  /// meanwhile. Always empty without InjectorOptions::time_stamps.
  std::optional<StampedFrame> take_stamped() noexcept { return stamps_.has_value() ? stamps_->take() : std::nullopt; }

  /// Reads the card's statistics and looks after link and queue. Throws Error when the device is gone, when the link
  /// stays down, and when the queue hangs whatever is done.
  void supervise();

  /// Commits, and waits until the card has sent everything, at most `patience` without progress. False if something is
  /// left; counts() tells what.
  bool flush(std::chrono::milliseconds patience);

  /// Not while another thread calls the above.
  InjectionCounts counts();
  TransmitStampCounts stamp_counts() noexcept {
    return stamps_.has_value() ? stamps_->counts() : TransmitStampCounts{};
  }

  Interface& interface() noexcept { return interface_; }
  ixgbe::Link link() const noexcept { return link_; }

 private:
  using Clock = ixgbe::HangDetector::Clock;
  /// A queue that hangs again after so many resets, with nothing sent between them, is given up.
  static constexpr unsigned most_resets_in_vain = 2;

  void watch_link(Clock::time_point now);
  void reset();
  void settle();

  InjectorOptions options_;
  Interface interface_;
  std::optional<ixgbe::Port> port_;  ///< empty only when a reset has failed
  ixgbe::Link link_;
  std::optional<ixgbe::Transmitter> transmitter_;  ///< as port_
  std::optional<TransmitStamps> stamps_;           ///< if asked for
  InjectionCounts earlier_;                        ///< of the transmitters before this one
  unsigned resets_in_vain_ = 0;
  std::uint64_t given_up_ = 0;  ///< of the frames that the card took: it will not send them
  std::optional<Clock::time_point> link_down_since_;
};

}  // namespace ixcap::capture
