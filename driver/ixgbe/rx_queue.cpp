#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/rx_queue.hpp>
#include <ixcap/driver/ixgbe/rx_ring.hpp>

namespace ixcap::ixgbe {
namespace {

/// Descriptors that the longest frame takes, with FCS; a longer chain has lost its end.
constexpr std::uint32_t longest_chain = (longest_frame + fcs_bytes + buffer_bytes - 1) / buffer_bytes;
constexpr std::uint32_t joined_frame_bytes = longest_chain * buffer_bytes;
/// Joined frames lent at a time. A poll that meets more of them ends early and the next one goes on.
constexpr std::uint32_t joined_frames = 16;

std::uint32_t checked(pci::Device& device, std::uint32_t descriptors) {
  if (std::has_single_bit(descriptors) && descriptors >= fewest_descriptors && descriptors <= most_descriptors) {
    return descriptors;
  }
  throw Error("cannot set up a receive queue of", device.identity().address,
              fmt::format("{} descriptors are not a ring size", descriptors),
              fmt::format("give a power of two from {} to {}", fewest_descriptors, most_descriptors));
}

}  // namespace

RxQueue::RxQueue(pci::Device& device, std::uint32_t index, std::uint32_t descriptors, const RxQueueOptions& options)
    : mask_(checked(device, descriptors) - 1),
      vectors_(descriptor_vectors(options.vectors)),
      tail_(device.doorbell(RDT.offset(index))),
      longest_(std::min(options.longest, joined_frame_bytes)),
      device_(device),
      index_(index),
      memory_(device, std::size_t{descriptors} * (sizeof(ReceiveDescriptor) + buffer_stride)),
      joined_memory_(std::make_unique<std::uint8_t[]>(std::size_t{joined_frames} * joined_frame_bytes)) {
  const std::size_t ring_bytes = std::size_t{descriptors} * sizeof(ReceiveDescriptor);
  ring_ = reinterpret_cast<ReceiveDescriptor*>(memory_.data());
  buffers_ = memory_.data() + ring_bytes;
  buffers_io_address_ = memory_.io_address() + ring_bytes;
  joined_ = joined_memory_.get();
  restart();
}

void RxQueue::restart() {
  next_ = 0;
  lent_ = 0;
  skipping_ = false;
  vectors_.arm(ring_, descriptors(), buffers_io_address_);
  program_rx_ring(device_, index_, memory_.io_address(), descriptors() * std::uint32_t{sizeof(ReceiveDescriptor)});
}

void RxQueue::enable() {
  enable_rx_ring(device_, index_);
  // RDT is one past the last descriptor that the card owns, and RDT == RDH means none: one always stays out.
  tail_.ring((next_ - 1) & mask_);
}

void RxQueue::disable() {
  disable_rx_ring(device_, index_);
}

std::size_t RxQueue::poll(std::span<Frame> frames) noexcept {
  const auto wanted = static_cast<std::uint32_t>(std::min(frames.size(), batch_size));
  std::uint32_t polled = 0;
  std::uint32_t joined = 0;
  marked_ = 0;
  while (polled < wanted && lent_ < mask_) {
    if (!skipping_) [[likely]] {
      const std::uint32_t run = std::min({wanted - polled, mask_ - lent_, mask_ + 1 - next_});
      const std::uint32_t taken = vectors_.take(ring_ + next_, run, buffer(next_), &frames[polled]);
      polled += taken;
      advance(taken);
      if (taken == run) continue;
    }
    const ReceiveStatus status = ring_[next_].load_status();
    if (!status.done()) break;
    if (status.end_of_packet() && status.length() <= buffer_bytes && !skipping_) {
      lend(frames[polled], polled, buffer(next_), status.length(), status);
      ++polled;
      advance(1);
      continue;
    }
    const Joined outcome = join(frames[polled], polled, joined);
    if (outcome == Joined::incomplete || outcome == Joined::no_space) break;
    if (outcome == Joined::frame) {
      ++polled;
      ++joined;
    }
  }
  return polled;
}

/// A frame that the vectors left, at `place` in the batch.
void RxQueue::lend(Frame& frame, std::size_t place, const std::uint8_t* data, std::uint32_t length,
                   ReceiveStatus status) noexcept {
  frame = {data, length, length};
  if ((status.bits & (ReceiveStatus::TS | ReceiveStatus::MAC_errors)) == 0) return;
  marked_ |= std::uint64_t{1} << place;
  statuses_[place] = status;
}

/// Takes the frame at next_ that is not one whole buffer. Copies it into a side buffer when all its descriptors are
/// done; drops it, counted, when it cannot be a frame; leaves it alone when its end has not been written yet.
RxQueue::Joined RxQueue::join(Frame& frame, std::size_t place, std::uint32_t joined_before) noexcept {
  if (skipping_) return skip_rest_of_frame() ? Joined::dropped : Joined::incomplete;
  if (joined_before == joined_frames) return Joined::no_space;
  std::uint8_t* const joined = joined_ + std::size_t{joined_before} * joined_frame_bytes;
  std::uint32_t length = 0;
  for (std::uint32_t i = 0; i < longest_chain; ++i) {
    if (lent_ + i == mask_) return Joined::incomplete;  // what follows is lent: after release() there is more
    const std::uint32_t slot = (next_ + i) & mask_;
    const ReceiveStatus status = ring_[slot].load_status();
    if (!status.done()) return Joined::incomplete;
    if (status.length() > buffer_bytes || length + status.length() > longest_) break;
    std::memcpy(joined + length, buffer(slot), status.length());
    length += status.length();
    if (status.end_of_packet()) {
      lend(frame, place, joined, length, status);
      advance(i + 1);
      return Joined::frame;
    }
  }
  malformed_.fetch_add(1, std::memory_order_relaxed);
  skipping_ = true;
  return skip_rest_of_frame() ? Joined::dropped : Joined::incomplete;
}

/// Takes descriptors up to and including the next end of a frame. False if that has not been written yet.
bool RxQueue::skip_rest_of_frame() noexcept {
  while (lent_ < mask_) {
    const ReceiveStatus status = ring_[next_].load_status();
    if (!status.done()) return false;
    advance(1);
    if (status.end_of_packet()) {
      skipping_ = false;
      return true;
    }
  }
  return false;
}

void RxQueue::release() noexcept {
  if (lent_ == 0) return;
  const std::uint32_t first = (next_ - lent_) & mask_;
  const std::uint32_t up_to_the_end = std::min(lent_, mask_ + 1 - first);
  vectors_.arm(ring_ + first, up_to_the_end, buffer_io_address(first));
  vectors_.arm(ring_, lent_ - up_to_the_end, buffers_io_address_);
  lent_ = 0;
  tail_.ring((next_ - 1) & mask_);
}

}  // namespace ixcap::ixgbe
