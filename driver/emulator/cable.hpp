#pragma once

/// A cable between two software NICs in one process: what one sends, the other receives.
///
///     Cable cable;
///     left.connect(&cable.end(0));
///     right.connect(&cable.end(1));
///
/// Each direction holds a few milliseconds of traffic at 10 Gbit/s; what a receiver does not take in that time is lost
/// and counted, as a NIC without packet buffers would lose it.
///
/// Ownership: outlives the NICs, or is disconnected from them first.
/// Threads: one a NIC; lost() from any thread.

#include <array>
#include <atomic>
#include <cstdint>

#include <ixcap/driver/emulator/frame_queue.hpp>
#include <ixcap/driver/emulator/wire.hpp>

namespace ixcap::emulator {

class Cable {
 public:
  Cable() : ends_{End(queues_[0], queues_[1]), End(queues_[1], queues_[0])} {}
  Cable(const Cable&) = delete;
  Cable& operator=(const Cable&) = delete;

  /// 0 or 1.
  Wire& end(unsigned number) noexcept { return ends_[number & 1]; }

  /// Frames sent from `number`'s end that the cable had no room for.
  std::uint64_t lost(unsigned number) const noexcept { return ends_[number & 1].lost(); }

 private:
  static constexpr std::size_t queue_bytes = std::size_t{4} << 20;

  class End final : public Wire {
   public:
    End(FrameQueue& outgoing, FrameQueue& incoming) : outgoing_(outgoing), incoming_(incoming) {}

    void send(std::span<const std::uint8_t> frame) noexcept override {
      if (!outgoing_.push(frame)) lost_.fetch_add(1, std::memory_order_relaxed);
    }
    std::span<const std::uint8_t> receive() noexcept override {
      if (lent_) incoming_.pop();
      const std::span<const std::uint8_t> frame = incoming_.front();
      lent_ = !frame.empty();
      return frame;
    }
    std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

   private:
    FrameQueue& outgoing_;
    FrameQueue& incoming_;
    bool lent_ = false;  ///< the frame at the front was answered by receive()
    std::atomic<std::uint64_t> lost_ = 0;
  };

  std::array<FrameQueue, 2> queues_{FrameQueue(queue_bytes), FrameQueue(queue_bytes)};
  std::array<End, 2> ends_;
};

}  // namespace ixcap::emulator
