#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <thread>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/tx_queue.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {
namespace {

using namespace std::chrono_literals;

constexpr Patience queue_patience{100, 1000us};
constexpr Patience drain_patience{20, 1000us};

/// The longest frame takes so many descriptors.
constexpr std::uint32_t longest_chain = (longest_frame + TxQueue::buffer_bytes - 1) / TxQueue::buffer_bytes;
static_assert(longest_chain < TxQueue::fewest_descriptors);

/// Descriptors are fetched ahead, without which a queue does not reach line rate with short frames, and are written
/// back one by one, which they must be when not every one is reported.
constexpr std::uint32_t thresholds =
    32u << TXDCTL_PTHRESH_SHIFT | 1u << TXDCTL_HTHRESH_SHIFT | 0u << TXDCTL_WTHRESH_SHIFT;

constexpr std::uint32_t data_descriptor =
    TransmitDescriptor::DEXT | TransmitDescriptor::DTYP_data | TransmitDescriptor::IFCS;

std::uint32_t checked(pci::Device& device, std::uint32_t descriptors) {
  if (std::has_single_bit(descriptors) && descriptors >= TxQueue::fewest_descriptors &&
      descriptors <= TxQueue::most_descriptors) {
    return descriptors;
  }
  throw Error("cannot set up a transmit queue of", device.identity().address,
              fmt::format("{} descriptors are not a ring size", descriptors),
              fmt::format("give a power of two from {} to {}", TxQueue::fewest_descriptors, TxQueue::most_descriptors));
}

}  // namespace

TxQueue::TxQueue(pci::Device& device, std::uint32_t index, std::uint32_t descriptors)
    : mask_(checked(device, descriptors) - 1),
      tail_(device.doorbell(TDT.offset(index))),
      device_(device),
      index_(index),
      memory_(device, std::size_t{descriptors} * (sizeof(TransmitDescriptor) + buffer_stride)),
      batches_(std::make_unique<Batch[]>(descriptors)) {
  const std::uint32_t ring_bytes = descriptors * std::uint32_t{sizeof(TransmitDescriptor)};
  ring_ = reinterpret_cast<TransmitDescriptor*>(memory_.data());
  buffers_ = memory_.data() + ring_bytes;
  buffers_io_address_ = memory_.io_address() + ring_bytes;

  // Data sheet 4.6.8.1, in its order.
  device.write(TDBAL.offset(index), static_cast<std::uint32_t>(memory_.io_address()));
  device.write(TDBAH.offset(index), static_cast<std::uint32_t>(memory_.io_address() >> 32));
  device.write(TDLEN.offset(index), ring_bytes);
  device.write(TDH.offset(index), 0);
  tail_.ring(0);
  device.write(TXDCTL.offset(index), thresholds);
  device.write(TDWBAL.offset(index), 0);  // descriptors are written back, not the head
}

void TxQueue::enable() {
  device_.write(TXDCTL.offset(index_), thresholds | TXDCTL_ENABLE);
  wait_for(device_, TXDCTL, index_, TXDCTL_ENABLE, TXDCTL_ENABLE, queue_patience, "cannot enable a transmit queue of");
}

void TxQueue::disable() {
  for (unsigned attempt = 0; pending() != 0 && attempt < drain_patience.tries; ++attempt) {
    std::this_thread::sleep_for(drain_patience.interval);
  }
  device_.write(TXDCTL.offset(index_), thresholds);
  wait_for(device_, TXDCTL, index_, TXDCTL_ENABLE, 0, queue_patience, "cannot disable a transmit queue of");
}

bool TxQueue::put(const Frame& frame, bool stamped) noexcept {
  if (frame.wire_length < shortest_frame || frame.wire_length > longest_frame) [[unlikely]] {
    ++(frame.wire_length < shortest_frame ? counts_.too_short : counts_.too_long);
    return true;
  }
  const std::uint32_t length = std::max(frame.wire_length, shortest_on_wire);
  const std::uint32_t descriptors = (length + buffer_bytes - 1) / buffer_bytes;
  if (descriptors > room()) {
    reclaim();
    if (descriptors > room()) return false;
  }
  write_frame(frame, length, data_descriptor | (stamped ? TransmitDescriptor::TSTAMP : 0));
  uncommitted_ = true;
  ++counts_.frames;
  counts_.bytes += length;
  counts_.padded += frame.wire_length < shortest_on_wire ? 1 : 0;
  counts_.zero_filled += frame.captured_length < frame.wire_length ? 1 : 0;
  if (++batch_frames_ == batch_size) close_batch();
  return true;
}

/// Fills the descriptors of one frame, for which there is room, and their buffers: what was captured, then zeros.
void TxQueue::write_frame(const Frame& frame, std::uint32_t length, std::uint32_t command) noexcept {
  const std::uint32_t captured = std::min(frame.captured_length, frame.wire_length);
  for (std::uint32_t offset = 0; offset < length; offset += buffer_bytes) {
    const std::uint32_t bytes = std::min(length - offset, buffer_bytes);
    const std::uint32_t copied = captured > offset ? std::min(captured - offset, bytes) : 0;
    std::uint8_t* const buffer = buffers_ + std::size_t{next_} * buffer_stride;
    if (copied != 0) std::memcpy(buffer, frame.data + offset, copied);
    if (copied < bytes) std::memset(buffer + copied, 0, bytes - copied);
    const std::uint32_t end = offset + bytes == length ? TransmitDescriptor::EOP : 0;
    ring_[next_].prepare(buffers_io_address_ + std::uint64_t{next_} * buffer_stride, command | end | bytes,
                         length << TransmitDescriptor::PAYLEN_shift);
    next_ = (next_ + 1) & mask_;
  }
}

/// Ends the batch that is being put: its last descriptor will be reported.
void TxQueue::close_batch() noexcept {
  if (batch_frames_ == 0) return;
  TransmitDescriptor& last = ring_[(next_ - 1) & mask_];
  __atomic_store_n(&last.command, last.command | TransmitDescriptor::RS, __ATOMIC_RELAXED);  // before the doorbell
  batches_[batch_start_] = {next_, batch_frames_};
  batch_start_ = next_;
  batch_frames_ = 0;
}

void TxQueue::commit() noexcept {
  if (!uncommitted_) return;
  close_batch();
  tail_.ring(next_);
  uncommitted_ = false;
}

std::size_t TxQueue::send(std::span<const Frame> frames) noexcept {
  std::size_t taken = 0;
  while (taken < frames.size() && put(frames[taken])) ++taken;
  commit();
  return taken;
}

std::uint64_t TxQueue::pending() noexcept {
  reclaim();
  return counts_.frames - completed_;
}

/// Takes back the batches that the card has reported. At least one descriptor is always free, so oldest_ meets
/// batch_start_ only when there is no batch left.
void TxQueue::reclaim() noexcept {
  while (oldest_ != batch_start_) {
    const Batch& batch = batches_[oldest_];
    if (!ring_[(batch.end - 1) & mask_].done()) return;
    completed_ += batch.frames;
    oldest_ = batch.end;
  }
}

}  // namespace ixcap::ixgbe
