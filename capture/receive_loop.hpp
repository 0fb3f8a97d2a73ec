#pragma once

/// The receive loop: the data path of one queue, on a thread of its own.
///
///     poll ≤ 64 frames ─► filter, one call ─► copy those that match into the ring ─► doorbell ─► publish
///
/// The filters may change between two batches. A frame that no filter wants is never copied. When the ring has no room
/// the loop waits for its reader; frames are then dropped, and counted, by the card.
///
/// With counters it copies nothing at all: frames are counted by filter where they lie.
///
/// Frames that the card has stamped carry its stamp; frame_clock.hpp tells the times of all others. What a stamp
/// belongs to is asked of the card, five registers for each: PTP messages, of which the card stamps one at a time.
///
/// The hot path is noexcept, allocates nothing, takes no lock and reads the TSC once a poll.
///
/// Threads: run() has a thread to itself; everything else may be called from any.

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

#include <ixcap/capture/filter_counters.hpp>
#include <ixcap/capture/frame_clock.hpp>
#include <ixcap/capture/queue_wait.hpp>
#include <ixcap/capture/ring.hpp>
#include <ixcap/driver/ixgbe/clock.hpp>
#include <ixcap/driver/ixgbe/rx_queue.hpp>
#include <ixcap/filter/live_set.hpp>

namespace ixcap::capture {

/// In frames, since the start.
struct ReceiveCounts {
  std::uint64_t polled = 0;              ///< taken from the queue
  std::uint64_t accepted = 0;            ///< matched a filter; polled − accepted were filtered
  std::uint64_t bad = 0;                 ///< of those polled: with errors (record_bad_mask)
  std::uint64_t stamped = 0;             ///< of those polled: with a stamp of the card's own
  std::uint64_t impossible_stamps = 0;   ///< the card's, and not of the time of the frame they came with: not used
  std::uint64_t longest_wait_ticks = 0;  ///< FrameClock::longest_wait_ticks()
};

struct ReceiveLoopOptions {
  std::uint32_t snaplen = 262144;  ///< frames are cut to so many bytes as they are copied
  std::uint64_t link_bits_per_second = 0;
  ixgbe::Clock* card_clock = nullptr;  ///< runs, and times are its; null: they are the host's
  PollMode poll = PollMode::adaptive;
  ixgbe::RxInterrupts* interrupts = nullptr;  ///< of the queue; null: there are none
  bool one_of_several = false;                ///< tells the ring's quiet_until_ns: a look at the clock for each poll
};

class ReceiveLoop {
 public:
  /// Queue, producer and interrupts, and the set that `filters` reads, are used until run() returns. `counters`, if
  /// there are any, get what matches, and the ring gets nothing.
  ReceiveLoop(ixgbe::RxQueue& queue, filter::LiveSet::Reader filters, RingProducer& producer,
              const ReceiveLoopOptions& options, FilterCounters* counters = nullptr) noexcept
      : queue_(queue),
        filters_(std::move(filters)),
        producer_(producer),
        snaplen_(options.snaplen),
        counters_(counters),
        one_of_several_(options.one_of_several),
        card_clock_(options.card_clock),
        wait_(options.poll, options.interrupts, queue.index()),
        clock_(options.card_clock, options.link_bits_per_second, queue.descriptors()) {}

  /// Receives until finish(), and then until the queue is empty; closes the ring.
  void run() noexcept;

  /// The card receives no more: empty the queue and return.
  void finish() noexcept { finishing_.store(true, std::memory_order_release); }

  /// Empties the queue, then leaves it alone, so that the card can be reset, until go_on() or finish(). The card must
  /// receive no more. `ticket`: not 0, and another one each time.
  void stand_still(std::uint32_t ticket) noexcept { ticket_.store(ticket, std::memory_order_release); }
  /// Whether it does. Not while a reader holds it up.
  bool stands(std::uint32_t ticket) const noexcept { return standing_.load(std::memory_order_acquire) == ticket; }
  /// The queue is as new.
  void go_on() noexcept { ticket_.store(0, std::memory_order_release); }

  /// The reader reads no more: what finds no room in the ring is left out of it.
  void abandon() noexcept { abandoned_.store(true, std::memory_order_relaxed); }

  /// Frames that the card has dropped so far. Growth is put into the ring as a loss record before the next frame.
  void set_dropped_by_card(std::uint64_t total) noexcept { dropped_by_card_.store(total, std::memory_order_relaxed); }

  ReceiveCounts counts() const noexcept;

 private:
  void handle(std::span<const Frame> frames) noexcept;
  void stand(std::uint32_t ticket) noexcept;
  void keep_time() noexcept;
  void append(const Frame& frame, std::uint64_t timestamp_ns, std::uint64_t match_set, std::uint16_t flags,
              const CardStamp* stamp) noexcept;
  void take_stamps(std::span<const Frame> frames, std::uint64_t poll_ns) noexcept;
  void count_bad(std::size_t frames) noexcept;
  std::uint16_t errors_of(std::size_t i) const noexcept;
  bool report_losses(std::uint64_t timestamp_ns) noexcept;
  template <typename Put>
  bool until_room(Put put) noexcept;

  ixgbe::RxQueue& queue_;
  filter::LiveSet::Reader filters_;
  RingProducer& producer_;
  std::uint32_t snaplen_;
  FilterCounters* counters_;
  bool one_of_several_;
  ixgbe::Clock* card_clock_;
  QueueWait wait_;
  FrameClock clock_;
  std::array<CardStamp, batch_size> stamps_;  ///< of the batch: the first stamp_count_
  std::size_t stamp_count_ = 0;
  std::uint64_t losses_reported_ = 0;
  std::uint64_t left_out_ = 0;  // accepted, but there was no room and the session's reader had given up

  // Written by run() only, once a batch; read by whoever asks. Relaxed: each is a count of its own.
  alignas(64) std::atomic<std::uint64_t> polled_ = 0;
  std::atomic<std::uint64_t> accepted_ = 0;
  std::atomic<std::uint64_t> bad_ = 0;
  std::atomic<std::uint64_t> stamped_ = 0;
  std::atomic<std::uint64_t> impossible_stamps_ = 0;
  std::atomic<std::uint32_t> standing_ = 0;  ///< the ticket that it stands still for, or stood last

  // Written by others, seldom; read by run() once a batch.
  alignas(64) std::atomic<bool> finishing_ = false;
  std::atomic<std::uint32_t> ticket_ = 0;  ///< to stand still for; 0: none
  std::atomic<bool> abandoned_ = false;
  std::atomic<std::uint64_t> dropped_by_card_ = 0;
};

}  // namespace ixcap::capture
