#pragma once

/// A capture from one interface: the library's front door.
///
///     capture::Session session({.interface = "emulator:mix?count=1000", .expression = "udp port 53"});
///     session.start();
///     for (const capture::Record& packet : session.reader().packets()) { ... }
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
/// More readers, in this process or another, read along: add_reader(), share.hpp. With `count_only` nobody reads:
/// frames are counted by filter where the card wrote them, and that is all (WinPcap's statistics mode).
///
/// filters() changes what is captured while the session runs (filters.hpp); no frame is lost by that.
///
/// A link that goes and comes back is waited for. A card that hangs, cannot reach memory or was reset by somebody else
/// is reset and set up again, at most three times a minute, and the capture goes on; what was lost in it is in the
/// ledger. Each such thing is one of take_events().
///
/// Ownership: the Session owns device, driver, ring and threads; records belong to the ring until release().
/// Threads: one reads; one, maybe another, calls the rest; filters() belongs to any.
/// Errors: ixcap::Error from the constructor, from start(), finish() and stop(), and for the end of the traffic from
/// failure().

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/card_losses.hpp>
#include <ixcap/capture/drop_ledger.hpp>
#include <ixcap/capture/event_log.hpp>
#include <ixcap/capture/filters.hpp>
#include <ixcap/capture/hardware_flows.hpp>
#include <ixcap/capture/interface.hpp>
#include <ixcap/capture/merged_rings.hpp>
#include <ixcap/capture/placement.hpp>
#include <ixcap/capture/port_watch.hpp>
#include <ixcap/capture/receive_loop.hpp>
#include <ixcap/capture/ring.hpp>
#include <ixcap/capture/session_clock.hpp>
#include <ixcap/capture/time_stamps.hpp>
#include <ixcap/driver/ixgbe/hardware_filter.hpp>
#include <ixcap/driver/ixgbe/port.hpp>

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
  /// With that, flows of a set that every filter excludes, too: room for so many (a conversation is two), at most
  /// ixgbe::most_flow_drops, which takes up to half of the card's packet buffer: hardware_flows.hpp.
  std::uint32_t hardware_flows = 0;
  TimeStampType time_stamps = TimeStampType::adapter_unsynced;  ///< whose clock: time_stamps.hpp
  bool count_only = false;  ///< statistics mode: counts() grows, and no reader gets anything but the end
  std::size_t ring_bytes = std::size_t{64} << 20;  ///< a power of two; shared out evenly between several queues
  std::chrono::milliseconds link_patience{10'000};
};

/// Reads a session's rings and counts what it has read. Three ways: packets() in a `for`, next() one by one, or
/// next_batch(); with the latter two release() gives back, and wait() sleeps.
class SessionReader {
 public:
  SessionReader(std::span<RingMemory* const> rings, const ReaderOptions& options) : reader_(rings, options) {}

  /// A range over the packets, to the capture's end: packets.hpp.
  Packets<SessionReader> packets() noexcept { return Packets<SessionReader>(*this); }

  /// As MergedRings: the next record, valid until release(); nullptr if there is none now.
  const Record* next() noexcept {
    const Record* record = reader_.next();
    if (record != nullptr && !record->is_loss()) ++read_;
    return record;
  }
  /// Up to batch_size records in place, loss records among them; empty if there is none now. The pointers are valid
  /// until the next call, the records until release().
  std::span<const Record* const> next_batch() noexcept {
    std::size_t count = 0;
    while (count < batch_.size() && (batch_[count] = next()) != nullptr) ++count;
    return {batch_.data(), count};
  }

  /// Gives back all records that were returned.
  void release() noexcept {
    reader_.release();
    delivered_.store(read_, std::memory_order_relaxed);  // a count of its own
  }
  RingState state() const noexcept { return reader_.state(); }

  /// As MergedRings: after release(), sleeps until there may be something to read, breakloop(), or the time is over.
  /// False for the last two. A negative time has no end.
  bool wait(std::chrono::milliseconds longest) noexcept { return reader_.wait(longest); }
  /// Wakes wait() at once, now or the next time. Any thread, and any signal handler.
  void breakloop() noexcept { reader_.breakloop(); }

  /// Frames lost because this reader was overrun; 0 for a lossless one.
  std::uint64_t lost() const noexcept { return reader_.lost(); }

  /// Frames read and released. Any thread.
  std::uint64_t delivered() const noexcept { return delivered_.load(std::memory_order_relaxed); }

 private:
  MergedRings reader_;
  std::array<const Record*, batch_size> batch_{};
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

/// What one filter has matched: SessionOptions::count_only.
struct FilterCount {
  unsigned bit = 0;
  std::string expression = {};
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  ///< on the wire, as Record::wire_length
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

  /// Another reader, for another thread. It gets what comes after it joins, of the filters in its mask; a lossless one
  /// holds the capture up like reader(), and is not waited for once it is gone. The session outlives it. The ledger
  /// is about reader() alone.
  std::unique_ptr<SessionReader> add_reader(const ReaderOptions& options = {});

  /// The rings, one a queue, for readers of other kinds, as those that a Share lets in.
  std::vector<RingMemory*> rings() const;

  /// What is captured, and what the bits of a record's match set mean. The options' expression has bit 0, also if it is
  /// empty and so stands for every frame.
  Filters& filters() noexcept { return filters_; }

  /// With count_only: what each filter has matched so far, on all queues, in the order of their bits. A bit that was
  /// given again goes on counting. Final after stop().
  std::vector<FilterCount> counts() const;

  /// Why the traffic, or the capture, ended early; empty while it goes on and after a regular end.
  std::optional<Error> failure() const;

  /// What happened to the interface since the last call. Any thread.
  std::vector<SessionEvent> take_events() { return events_.take(); }

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
            const ReceiveLoopOptions& options, bool count_only)
        : memory({.size_bytes = ring_bytes, .populate = true}),
          producer(memory),
          loop(queue, std::move(filters), producer, options, count_only ? &counters : nullptr) {}

    FilterCounters counters;
    RingMemory memory;
    RingProducer producer;
    ReceiveLoop loop;
  };

  /// Of the card: within restart_window.
  static constexpr std::size_t most_restarts = 3;
  static constexpr std::chrono::minutes restart_window{1};

  std::vector<std::unique_ptr<Channel>> make_channels();
  void control(const std::stop_token& stop);
  void update_statistics();
  void tell_losses() noexcept;
  SessionStatistics read_statistics() const;
  void look_after_port();
  void stop_for_restart();
  void restart_port();
  void settle_counts();
  void fail(Error error);
  void finish_loops() noexcept;
  void filter_in_hardware();

  SessionOptions options_;
  Filters filters_;
  Interface interface_;
  const std::vector<unsigned> cpus_;    ///< by queue, or empty
  std::optional<RunningOn> near_card_;  ///< while queues and rings are allocated
  ixgbe::Port port_;
  ixgbe::Link link_;
  std::optional<ixgbe::HardwareFilter> hardware_filter_;
  std::optional<HardwareFlows> hardware_flows_;
  ixgbe::HardwareRules hardware_rules_;  ///< under mutex_
  SessionClock clock_;
  std::vector<std::unique_ptr<Channel>> channels_;  ///< by queue
  SessionReader reader_;
  EventLog events_;

  mutable std::mutex mutex_;  ///< guards the port's control side and all below up to receiving_
  std::condition_variable_any wake_;
  PortWatch watch_;
  std::optional<SessionEvent::Kind> trouble_;         ///< the card is to be reset because of it
  std::chrono::steady_clock::time_point stopped_at_;  ///< for that
  std::uint32_t ticket_ = 0;                          ///< for which the loops stand still then
  std::deque<std::chrono::steady_clock::time_point> restarts_;
  std::string restart_failure_ = "it is no better";  ///< what came of the last restart
  CardLosses losses_;
  std::optional<Error> failure_;
  bool receiving_ = false;
  std::vector<std::jthread> receive_threads_;
  std::jthread control_thread_;
};

}  // namespace ixcap::capture
