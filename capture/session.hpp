#pragma once

/// A capture from one interface: the library's front door.
///
///     capture::Session session({.interface = "emulator:mix?count=1000", .expression = "udp port 53"});
///     session.start();
///     while (session.reader().state() == capture::RingState::open) {
///       while (const capture::Record* record = session.reader().next()) { ... }
///       session.reader().release();
///     }
///
/// The constructor does everything that can fail: it opens the interface, compiles the filter, brings up the port and
/// waits for the link. start() sets threads going: a receive loop for each queue, and a control thread that reads the
/// card's statistics every 20 ms and ends the capture when the interface does (a replayed file is over). After stop(),
/// or such an end, the reader still gets everything that was received, then RingState::ended.
///
/// Each queue has a receive loop and a ring to itself, so that they share nothing; the reader gets the frames of all
/// queues in the order of their times (merged_rings.hpp).
///
/// Times are the card's clock, set to UTC when the session is made, or the host's (time_stamps.hpp).
///
/// filters() changes what is captured while the session runs; no frame is lost by that.
///
/// Ownership: the Session owns device, driver, ring and threads; records belong to the ring until release().
/// Threads: one reads; one, maybe another, calls the rest; filters() belongs to any.
/// Errors: ixcap::Error from the constructor, from start(), finish() and stop(), and for the end of the traffic from
/// failure().

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/drop_ledger.hpp>
#include <ixcap/capture/interface.hpp>
#include <ixcap/capture/merged_rings.hpp>
#include <ixcap/capture/placement.hpp>
#include <ixcap/capture/receive_loop.hpp>
#include <ixcap/capture/ring.hpp>
#include <ixcap/capture/session_clock.hpp>
#include <ixcap/capture/time_stamps.hpp>
#include <ixcap/driver/ixgbe/hardware_filter.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/filter/live_set.hpp>

namespace ixcap::capture {

struct SessionOptions {
  std::string interface = "emulator:mix";  ///< capture/interface.hpp
  std::string expression = {};             ///< pcap-filter(7); empty: every frame
  bool vlan_aware = false;                 ///< the expression looks behind VLAN tags: filter/vlan_aware.hpp
  std::uint32_t snaplen = 262144;          ///< bytes kept of a frame; 0 means the same
  std::uint32_t queues = 1;                ///< 1 to ixgbe::most_queues, each with a thread
  std::uint32_t descriptors = ixgbe::default_descriptors;  ///< of each queue
  PollMode poll = PollMode::adaptive;                      ///< what receive threads do without frames: queue_wait.hpp
  std::string cpus = {};         ///< for the receive threads, as "0-3,8"; empty: near a card, anywhere otherwise
  bool keep_fcs = false;         ///< frames end with their FCS, and it counts in their lengths
  bool bad_frames = false;       ///< frames with errors are captured, too: record_bad_mask
  bool hardware_filter = false;  ///< the card throws away what no filter can match: hardware_rules.hpp
  TimeStampType time_stamps = TimeStampType::adapter_unsynced;  ///< whose clock: time_stamps.hpp
  std::size_t ring_bytes = std::size_t{64} << 20;  ///< a power of two; shared out evenly between several queues
  std::chrono::milliseconds link_patience{10'000};
};

/// Reads a session's rings and counts what it has read.
class SessionReader {
 public:
  explicit SessionReader(std::span<const MergedRings::Source> rings) : reader_(rings) {}

  /// As MergedRings: the next record, valid until release(); nullptr if there is none now.
  const Record* next() noexcept {
    const Record* record = reader_.next();
    if (record != nullptr && !record->is_loss()) ++read_;
    return record;
  }
  void release() noexcept {
    reader_.release();
    delivered_.store(read_, std::memory_order_relaxed);  // a count of its own
  }
  RingState state() const noexcept { return reader_.state(); }

  /// Frames read and released. Any thread.
  std::uint64_t delivered() const noexcept { return delivered_.load(std::memory_order_relaxed); }

 private:
  MergedRings reader_;
  std::uint64_t read_ = 0;
  std::atomic<std::uint64_t> delivered_ = 0;
};

struct SessionStatistics {
  ixgbe::Statistics card;
  ReceiveCounts received;                 ///< on all queues
  std::vector<ReceiveCounts> queue = {};  ///< on each
  std::uint64_t malformed = 0;
  std::uint64_t delivered = 0;
  TimeStampStatistics time_stamps = {};
};

class Session {
 public:
  explicit Session(SessionOptions options);
  /// Stops, and throws away what has not been read.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void start();

  /// Receives no more. Returns at once; the reader gets what the card had received, then RingState::ended.
  void finish();

  /// finish(), and waits until what the card had received is in the ring, so somebody must be reading or have said
  /// abandon(). All counters are final afterwards.
  void stop();

  /// The reader reads no more: stop() will wait for nobody, and what it has not read is counted as left unread. What
  /// then finds no room for other readers' sake is told to them in loss records.
  void abandon() noexcept;

  SessionReader& reader() noexcept { return reader_; }

  /// The rings, one a queue, for more readers: RingReader in this process, Share for others. They get what comes after
  /// they join, and the lossless ones hold the capture up like reader().
  std::vector<RingMemory*> rings() const;

  /// What is captured: bit i of a record's match set is the filter of that bit. The options' expression has bit 0, also
  /// if it is empty and so stands for every frame. Without any filter nothing is captured. A change has come to the
  /// receive loops when the call returns; records of before are still in the ring.
  filter::LiveSet& filters() noexcept { return filters_; }

  /// Why the traffic, or the capture, ended early; empty while it goes on and after a regular end.
  std::optional<Error> failure() const;

  SessionStatistics statistics() const;
  DropLedger ledger() const;

  /// What the card throws away now; nothing without SessionOptions::hardware_filter.
  ixgbe::HardwareRules dropped_by_hardware() const;

  const SessionOptions& options() const noexcept { return options_; }
  Interface& interface() noexcept { return interface_; }
  const ixgbe::MacAddress& mac_address() const noexcept { return port_.mac_address(); }
  ixgbe::Link link() const noexcept { return link_; }
  /// The card's clock; nullptr where times are the host's. Of it any thread may call what any thread may.
  const ixgbe::Clock* card_clock() noexcept { return clock_.card(); }

 private:
  /// A queue's way from the card to the reader.
  struct Channel {
    Channel(ixgbe::RxQueue& queue, filter::LiveSet::Reader filters, std::size_t ring_bytes,
            const ReceiveLoopOptions& options)
        : memory({.size_bytes = ring_bytes, .populate = true}),
          producer(memory),
          loop(queue, std::move(filters), producer, options) {}

    RingMemory memory;
    RingProducer producer;
    ReceiveLoop loop;
  };

  std::vector<std::unique_ptr<Channel>> make_channels();
  std::vector<MergedRings::Source> sources() const;
  void control(const std::stop_token& stop);
  void update_statistics();
  void finish_loops() noexcept;
  void filter_in_hardware();

  SessionOptions options_;
  filter::LiveSet filters_;
  Interface interface_;
  const std::vector<unsigned> cpus_;    ///< by queue, or empty
  std::optional<RunningOn> near_card_;  ///< while queues and rings are allocated
  ixgbe::Port port_;
  ixgbe::Link link_;
  std::optional<ixgbe::HardwareFilter> hardware_filter_;
  ixgbe::HardwareRules hardware_rules_;  ///< under mutex_
  SessionClock clock_;
  std::vector<std::unique_ptr<Channel>> channels_;  ///< by queue
  SessionReader reader_;

  mutable std::mutex mutex_;  ///< guards the port's control side and the three below
  std::condition_variable_any wake_;
  std::optional<Error> failure_;
  bool receiving_ = false;
  std::vector<std::jthread> receive_threads_;
  std::jthread control_thread_;
};

}  // namespace ixcap::capture
