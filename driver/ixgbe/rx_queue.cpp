#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/rx_queue.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {
namespace {

using namespace std::chrono_literals;

constexpr Patience queue_patience{100, 1000us};  // Linux and DPDK give it 10 ms; a loaded machine may need more

/// Descriptors that the longest frame takes; a longer chain has lost its end.
constexpr std::uint32_t longest_chain = (longest_frame + buffer_bytes - 1) / buffer_bytes;
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

RxQueue::RxQueue(pci::Device& device, std::uint32_t index, std::uint32_t descriptors)
    : mask_(checked(device, descriptors) - 1),
      tail_(device.doorbell(RDT.offset(index))),
      device_(device),
      index_(index),
      memory_(device, std::size_t{descriptors} * (sizeof(ReceiveDescriptor) + buffer_stride)),
      joined_memory_(std::make_unique<std::uint8_t[]>(std::size_t{joined_frames} * joined_frame_bytes)) {
  const std::uint32_t ring_bytes = descriptors * std::uint32_t{sizeof(ReceiveDescriptor)};
  ring_ = reinterpret_cast<ReceiveDescriptor*>(memory_.data());
  buffers_ = memory_.data() + ring_bytes;
  buffers_io_address_ = memory_.io_address() + ring_bytes;
  joined_ = joined_memory_.get();
  for (std::uint32_t slot = 0; slot < descriptors; ++slot) ring_[slot].arm(buffer_io_address(slot));

  // Data sheet 4.6.7.1, in its order.
  device.write(RDBAL.offset(index), static_cast<std::uint32_t>(memory_.io_address()));
  device.write(RDBAH.offset(index), static_cast<std::uint32_t>(memory_.io_address() >> 32));
  device.write(RDLEN.offset(index), ring_bytes);
  device.write(SRRCTL.offset(index), SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER | SRRCTL_DROP_EN | buffer_bytes / 1024);
  // Non-zero after reset, and corrupts payload if left so.
  clear_bits(device, DCA_RXCTRL, DCA_RXCTRL_RESERVED_12, index);
  clear_bits(device, RXDCTL, RXDCTL_VME, index);  // VLAN tags stay in the frame
}

void RxQueue::enable() {
  set_bits(device_, RXDCTL, RXDCTL_ENABLE, index_);
  wait_for(device_, RXDCTL, index_, RXDCTL_ENABLE, RXDCTL_ENABLE, queue_patience, "cannot enable a receive queue of");
  // RDT is one past the last descriptor that the card owns, and RDT == RDH means none: one always stays out.
  tail_.ring((next_ - 1) & mask_);
}

void RxQueue::disable() {
  clear_bits(device_, RXDCTL, RXDCTL_ENABLE, index_);
  wait_for(device_, RXDCTL, index_, RXDCTL_ENABLE, 0, queue_patience, "cannot disable a receive queue of");
}

std::size_t RxQueue::poll(std::span<Frame> frames) noexcept {
  const std::size_t wanted = std::min(frames.size(), batch_size);
  std::size_t polled = 0;
  std::uint32_t joined = 0;
  while (polled < wanted && lent_ < mask_) {
    const ReceiveStatus status = ring_[next_].load_status();
    if (!status.done()) break;
    if (status.end_of_packet() && status.length() <= buffer_bytes && !skipping_) [[likely]] {
      const std::uint8_t* data = buffer(next_);
      __builtin_prefetch(data);
      frames[polled++] = {data, status.length(), status.length()};
      advance(1);
      continue;
    }
    const Joined outcome = join(frames[polled], joined);
    if (outcome == Joined::incomplete || outcome == Joined::no_space) break;
    if (outcome == Joined::frame) {
      ++polled;
      ++joined;
    }
  }
  return polled;
}

/// Takes the frame at next_ that is not one whole buffer. Copies it into a side buffer when all its descriptors are
/// done; drops it, counted, when it cannot be a frame; leaves it alone when its end has not been written yet.
RxQueue::Joined RxQueue::join(Frame& frame, std::uint32_t joined_before) noexcept {
  if (skipping_) return skip_rest_of_frame() ? Joined::dropped : Joined::incomplete;
  if (joined_before == joined_frames) return Joined::no_space;
  std::uint8_t* const joined = joined_ + std::size_t{joined_before} * joined_frame_bytes;
  std::uint32_t length = 0;
  for (std::uint32_t i = 0; i < longest_chain; ++i) {
    const std::uint32_t slot = (next_ + i) & mask_;
    const ReceiveStatus status = ring_[slot].load_status();
    if (!status.done()) return Joined::incomplete;
    if (status.length() > buffer_bytes || length + status.length() > longest_frame) break;
    std::memcpy(joined + length, buffer(slot), status.length());
    length += status.length();
    if (status.end_of_packet()) {
      frame = {joined, length, length};
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
  for (std::uint32_t slot = (next_ - lent_) & mask_; lent_ > 0; --lent_, slot = (slot + 1) & mask_) {
    ring_[slot].arm(buffer_io_address(slot));
  }
  tail_.ring((next_ - 1) & mask_);
}

}  // namespace ixcap::ixgbe
