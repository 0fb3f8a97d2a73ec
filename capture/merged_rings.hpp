#pragma once

/// Reads the rings of several queues as if they were one, ordered by time.
///
/// Within a ring times only grow. The next record is the oldest of those in front; a ring with nothing in front may
/// still get an older one until its queue says that it is quiet up to then (RingHeader::quiet_until_ns). A record
/// waits for that, but no longer than `patience`: only a receive thread that is kept from running for so long can make
/// its frames come out of order, and then they do come.
///
/// With one ring this is its RingReader and nothing else.
///
/// RecordMerge does this for readers that are there; MergedRings joins the rings of this process for itself.
///
/// Ownership: borrows readers, or memories, which outlive it. Threads: one; breakloop() from any. Errors: joining
/// throws ixcap::Error; otherwise as RingReader.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <ixcap/capture/packets.hpp>
#include <ixcap/capture/ring.hpp>

namespace ixcap::capture {

class RecordMerge {
 public:
  static constexpr std::chrono::milliseconds patience{100};

  /// `header`: of the reader's ring.
  void add(RingReader& reader, const RingHeader& header) { inputs_.push_back({&reader, &header.quiet_until_ns}); }

  /// The next record, valid until release(); nullptr if there is none now, or none that may come out yet.
  const Record* next() noexcept { return inputs_.size() == 1 ? inputs_.front().reader->next() : next_merged(); }

  /// Gives back what next() returned. Memory of a ring whose next record has been looked at already is kept until that
  /// one has been returned, too.
  void release() noexcept {
    for (Input& input : inputs_) {
      if (input.front != nullptr) continue;
      input.reader->release();
      input.unreleased = false;
    }
  }

  /// Broken if one is; open while one is, or has a record that has not been returned; ended when all are.
  RingState state() const noexcept;

  /// Whether a record waits for other rings: time alone may bring it out.
  bool holds_back() const noexcept;

  /// Nothing more will come: no record waits any longer.
  void settle() noexcept { settled_ = true; }

 private:
  using Clock = std::chrono::steady_clock;

  struct Input {
    RingReader* reader;
    const std::atomic<std::uint64_t>* quiet_until_ns;
    const Record* front = nullptr;  ///< read from the ring, and not returned yet
    bool unreleased = false;        ///< records of its reader have been returned since release()
  };

  const Record* next_merged() noexcept;
  bool waited_enough() noexcept;

  std::vector<Input> inputs_;
  std::optional<Clock::time_point> waiting_since_;  ///< the oldest record waits for other rings
  bool settled_ = false;
};

class MergedRings {
 public:
  static constexpr std::chrono::milliseconds patience = RecordMerge::patience;

  explicit MergedRings(std::span<RingMemory* const> rings, const ReaderOptions& options = {});

  const Record* next() noexcept { return merge_.next(); }
  void release() noexcept { merge_.release(); }
  RingState state() const noexcept { return merge_.state(); }
  Packets<MergedRings> packets() noexcept { return Packets<MergedRings>(*this); }

  /// Frames lost because this reader was overrun: RingReader::lost(), of all rings.
  std::uint64_t lost() const noexcept;

  /// After release(): sleeps until there may be something to read, breakloop(), or the time is over. False for the last
  /// two. A negative time has no end.
  bool wait(std::chrono::milliseconds longest) noexcept;
  /// Wakes wait() at once, now or the next time. Any thread, and any signal handler.
  void breakloop() noexcept;

 private:
  struct Input {
    Input(RingMemory& memory, const ReaderOptions& options, int wake);

    RingSeat seat;
    RingReader reader;
  };

  pci::FileDescriptor wake_;
  pci::FileDescriptor interrupt_;
  std::vector<std::unique_ptr<Input>> inputs_;
  std::vector<RingReader*> readers_;  ///< of inputs_
  RecordMerge merge_;
};

/// What wait() does for a merge of `readers` that one descriptor wakes: as wait_for_records(), but a record that is
/// held back is looked after every millisecond.
RingWake wait_for_merge(const RecordMerge& merge, std::span<RingReader* const> readers, int wake, int interrupt,
                        std::chrono::milliseconds longest) noexcept;

}  // namespace ixcap::capture
