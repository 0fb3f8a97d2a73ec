#pragma once

/// Reads the rings of several queues as if they were one, ordered by time.
///
/// Within a ring times only grow. The next record is the oldest of those in front; a ring with nothing in front may
/// still get an older one until its queue says that it is quiet up to then (ReceiveLoop::quiet_until_ns). A record
/// waits for that, but no longer than `patience`: only a receive thread that is kept from running for so long can make
/// its frames come out of order, and then they do come.
///
/// With one ring this is its RingReader and nothing else.
///
/// Ownership: borrows memories and times, which outlive it. Threads: one. Errors: as RingReader.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <ixcap/capture/ring.hpp>

namespace ixcap::capture {

class MergedRings {
 public:
  struct Source {
    RingMemory& memory;
    const std::atomic<std::uint64_t>& quiet_until_ns;
  };

  static constexpr std::chrono::milliseconds patience{100};

  explicit MergedRings(std::span<const Source> sources);

  /// The next record, valid until release(); nullptr if there is none now, or none that may come out yet.
  const Record* next() noexcept { return inputs_.size() == 1 ? inputs_.front()->reader.next() : next_merged(); }

  /// Gives back what next() returned. Memory of a ring whose next record has been looked at already is kept until that
  /// one has been returned, too.
  void release() noexcept {
    for (const auto& input : inputs_) {
      if (input->front == nullptr) input->reader.release();
    }
  }

  /// Broken if one is; open while one is; ended when all are.
  RingState state() const noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  struct Input {
    explicit Input(const Source& source) : reader(source.memory), quiet_until_ns(source.quiet_until_ns) {}

    RingReader reader;
    const std::atomic<std::uint64_t>& quiet_until_ns;
    const Record* front = nullptr;  ///< read from the ring, and not returned yet
  };

  const Record* next_merged() noexcept;
  bool waited_enough() noexcept;

  std::vector<std::unique_ptr<Input>> inputs_;
  std::optional<Clock::time_point> waiting_since_;  ///< the oldest record waits for other rings
};

}  // namespace ixcap::capture
