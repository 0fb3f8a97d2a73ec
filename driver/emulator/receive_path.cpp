#include <algorithm>
#include <cstring>

#include <ixcap/driver/emulator/receive_path.hpp>
#include <ixcap/driver/emulator/sticking_counter.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {

using ixgbe::ReceiveDescriptor;
using ixgbe::ReceiveStatus;
using ixgbe::Register;

namespace {

constexpr std::uint32_t fcs_bytes = 4;
constexpr std::uint32_t address_bytes = 6;
constexpr std::uint32_t vlan_tag_bytes = 4;
constexpr std::uint32_t ethertype_offset = 12;
constexpr std::uint32_t longest_without_jumbo = 1518;  // with FCS; data sheet 8.2.3.22, HLREG0.JUMBOEN
constexpr std::uint32_t ring_alignment = 128;

// How far ahead of the head the receive path asks for memory, in descriptors.
constexpr std::uint32_t descriptors_ahead = 32;
constexpr std::uint32_t buffers_ahead = 16;

/// Brings a line into this core's cache, ready to be written. (__builtin_prefetch does so only where the compiler may
/// assume the instruction; processors without it take it for a no-op.)
void prefetch_for_writing(const void* address) noexcept {
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
}

bool is_multicast(const std::uint8_t* address) noexcept {
  return (address[0] & 1) != 0;
}
bool is_broadcast(const std::uint8_t* address) noexcept {
  return std::all_of(address, address + address_bytes, [](std::uint8_t byte) { return byte == 0xFF; });
}
std::uint32_t big_endian_16(const std::uint8_t* bytes) noexcept {
  return std::uint32_t{bytes[0]} << 8 | bytes[1];
}

/// Distance from the head to the tail of a ring.
std::uint32_t distance(std::uint32_t head, std::uint32_t tail, std::uint32_t size) noexcept {
  return tail >= head ? tail - head : tail + size - head;
}

}  // namespace

void ReceivePath::reset() noexcept {
  for (Queue& queue : queues_) queue = {};
  counts_.missed += counts_.waiting;  // a reset throws them away
  counts_.waiting = 0;
  packet_buffer_.clear();
  pending_ = {};
}

void ReceivePath::refresh() noexcept {
  const std::uint32_t fctrl = registers_.get(ixgbe::FCTRL);
  constexpr std::uint32_t promiscuous = ixgbe::FCTRL_UPE | ixgbe::FCTRL_MPE | ixgbe::FCTRL_BAM;
  admit_all_ = (fctrl & promiscuous) == promiscuous && (registers_.get(ixgbe::VLNCTRL) & ixgbe::VLNCTRL_VFE) == 0;
  longest_ = (registers_.get(ixgbe::HLREG0) & ixgbe::HLREG0_JUMBOEN) != 0
                 ? registers_.get(ixgbe::MAXFRS) >> ixgbe::MAXFRS_MFS_SHIFT
                 : longest_without_jumbo;
  if (queues_[only_queue].enabled) refresh_queue(only_queue);
  listening_ = (registers_.get(ixgbe::RXCTRL) & ixgbe::RXCTRL_RXEN) != 0 && queues_[only_queue].enabled;
}

void ReceivePath::refresh_queue(std::uint32_t index) noexcept {
  Queue& queue = queues_[index];
  const std::uint64_t base =
      std::uint64_t{registers_.get(ixgbe::RDBAH, index)} << 32 | registers_.get(ixgbe::RDBAL, index);
  const std::uint32_t bytes = registers_.get(ixgbe::RDLEN, index);
  const std::uint32_t srrctl = registers_.get(ixgbe::SRRCTL, index);
  const std::uint32_t type = srrctl & ixgbe::SRRCTL_DESCTYPE_MASK;
  const std::uint32_t buffer_kib = srrctl & ixgbe::SRRCTL_BSIZEPACKET_MASK;
  queue.buffer_bytes = std::max(buffer_kib, 1u) * 1024;  // is divided by, even where there is no ring
  queue.drop_enabled = (srrctl & ixgbe::SRRCTL_DROP_EN) != 0;
  queue.size = bytes / std::uint32_t{sizeof(ReceiveDescriptor)};
  const bool sound = base % ring_alignment == 0 && bytes % ring_alignment == 0 && bytes != 0 && buffer_kib != 0 &&
                     type == ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER;
  queue.ring = sound ? reinterpret_cast<ReceiveDescriptor*>(dma_.translate(base, bytes)) : nullptr;
  queue.head = queue.head < queue.size ? queue.head : 0;
  if (queue.filled.empty()) queue.write_back_from = queue.head;  // follows it out of a ring that became shorter
}

void ReceivePath::set_queue_enabled(std::uint32_t index, bool enabled) noexcept {
  Queue& queue = queues_[index];
  if (enabled == queue.enabled) return;
  queue.enabled = enabled;
  if (!enabled) return;
  queue.head = 0;
  queue.tail = 0;
  queue.write_back_from = 0;
  queue.filled.reserve(most_filled);
  registers_.set(ixgbe::RDH, 0, index);
}

/// Free descriptors of `queue`, looking at the tail register only if fewer than `wanted` are known.
std::uint32_t ReceivePath::free_descriptors(Queue& queue, std::uint32_t wanted) noexcept {
  const std::uint32_t known = distance(queue.head, queue.tail, queue.size);
  if (known >= wanted) return known;
  const std::uint32_t tail = registers_.load_doorbell(ixgbe::RDT, only_queue);
  if (tail < queue.size) queue.tail = tail;  // a tail outside the ring is ignored
  return distance(queue.head, queue.tail, queue.size);
}

std::uint32_t ReceivePath::descriptors_for(const Queue& queue, std::uint32_t length) const noexcept {
  return length <= queue.buffer_bytes ? 1 : (length + queue.buffer_bytes - 1) / queue.buffer_bytes;
}

bool ReceivePath::has_room(std::uint32_t wire_length) noexcept {
  Queue& queue = queues_[only_queue];
  if (wire_length + fcs_bytes > longest_ || queue.ring == nullptr) return true;  // it will not get as far as the ring
  const std::uint32_t needed = descriptors_for(queue, wire_length);
  return packet_buffer_.empty() && free_descriptors(queue, needed) >= needed;
}

void ReceivePath::receive(const WireFrame& frame) {
  count_on_wire(frame);
  if (frame.wire_length + fcs_bytes > longest_) {
    ++pending_.oversize;
    ++counts_.oversize;
    return;
  }
  ++pending_.unfiltered;
  if (!admit_all_ && !admitted(frame)) {
    ++counts_.not_admitted;
    return;
  }
  ++pending_.good_packets;
  pending_.good_bytes += frame.wire_length + fcs_bytes;

  Queue& queue = queues_[only_queue];
  const std::uint32_t needed = descriptors_for(queue, frame.wire_length);
  if (packet_buffer_.empty() && (queue.ring == nullptr || free_descriptors(queue, needed) >= needed)) [[likely]] {
    deliver(queue, frame);
  } else if (queue.drop_enabled) {
    ++queue.no_descriptor;
    ++counts_.no_descriptor;
  } else if (packet_buffer_.push({frame.bytes, frame.captured_length}, frame.wire_length,
                                 registers_.get(ixgbe::RXPBSIZE) & ixgbe::RXPBSIZE_MASK)) {
    ++counts_.waiting;
  } else {
    ++pending_.missed;
    ++counts_.missed;
  }
}

void ReceivePath::drain_packet_buffer() {
  Queue& queue = queues_[only_queue];
  while (!packet_buffer_.empty()) {
    const auto bytes = packet_buffer_.front();
    const auto length = static_cast<std::uint32_t>(bytes.size());
    const std::uint32_t needed = descriptors_for(queue, length);
    if (queue.ring != nullptr && free_descriptors(queue, needed) < needed) return;
    --counts_.waiting;
    deliver(queue, {bytes.data(), length, length});
    packet_buffer_.pop();
  }
}

void ReceivePath::count_on_wire(const WireFrame& frame) noexcept {
  const std::uint32_t length = frame.wire_length + fcs_bytes;
  ++counts_.frames;
  counts_.bytes += frame.wire_length;
  ++pending_.total_packets;
  pending_.total_bytes += length;
  ++pending_.by_size[size_bin(length)];
  if (frame.captured_length >= address_bytes && is_multicast(frame.bytes)) {
    ++(is_broadcast(frame.bytes) ? pending_.broadcast : pending_.multicast);
  }
}

bool ReceivePath::admitted(const WireFrame& frame) const noexcept {
  if (frame.captured_length < address_bytes) return (registers_.get(ixgbe::FCTRL) & ixgbe::FCTRL_UPE) != 0;
  const std::uint32_t fctrl = registers_.get(ixgbe::FCTRL);
  bool address_admitted;
  if (is_broadcast(frame.bytes)) {
    address_admitted = (fctrl & ixgbe::FCTRL_BAM) != 0;
  } else if (is_multicast(frame.bytes)) {
    address_admitted =
        (fctrl & ixgbe::FCTRL_MPE) != 0 || is_own_address(frame.bytes) || in_multicast_table(frame.bytes);
  } else {
    address_admitted = (fctrl & ixgbe::FCTRL_UPE) != 0 || is_own_address(frame.bytes);
  }
  return address_admitted && vlan_admitted(frame);
}

bool ReceivePath::vlan_admitted(const WireFrame& frame) const noexcept {
  const std::uint32_t vlnctrl = registers_.get(ixgbe::VLNCTRL);
  if ((vlnctrl & ixgbe::VLNCTRL_VFE) == 0 || frame.captured_length < ethertype_offset + vlan_tag_bytes) return true;
  if (big_endian_16(frame.bytes + ethertype_offset) != (vlnctrl & ixgbe::VLNCTRL_VET_MASK)) return true;
  const std::uint32_t vlan = big_endian_16(frame.bytes + ethertype_offset + 2) & 0xFFF;
  return (registers_.get(ixgbe::VFTA, vlan / 32) >> (vlan % 32) & 1) != 0;
}

/// MTA is indexed by twelve bits of the address's last two bytes; MCSTCTRL.MO says which (data sheet 8.2.3.7).
bool ReceivePath::in_multicast_table(const std::uint8_t* address) const noexcept {
  const std::uint32_t control = registers_.get(ixgbe::MCSTCTRL);
  if ((control & ixgbe::MCSTCTRL_MFE) == 0) return false;
  constexpr std::array<unsigned, 4> shifts{4, 3, 2, 0};
  const std::uint32_t last_two = std::uint32_t{address[5]} << 8 | address[4];
  const std::uint32_t vector = last_two >> shifts[control & ixgbe::MCSTCTRL_MO_MASK] & 0xFFF;
  return (registers_.get(ixgbe::MTA, vector / 32) >> (vector % 32) & 1) != 0;
}

bool ReceivePath::is_own_address(const std::uint8_t* address) const noexcept {
  std::uint32_t low;
  std::memcpy(&low, address, sizeof low);
  const std::uint32_t high = std::uint32_t{address[5]} << 8 | address[4];
  for (std::uint32_t i = 0; i < ixgbe::RAL.count; ++i) {
    const std::uint32_t rah = registers_.get(ixgbe::RAH, i);
    if ((rah & ixgbe::RAH_AV) != 0 && (rah & 0xFFFF) == high && registers_.get(ixgbe::RAL, i) == low) return true;
  }
  return false;
}

void ReceivePath::deliver(Queue& queue, const WireFrame& frame) noexcept {
  if (queue.ring == nullptr || !write_frame(queue, frame)) {
    ++counts_.dma_faults;
    return;
  }
  ++queue.packets;
  queue.bytes += frame.wire_length + fcs_bytes;
  ++counts_.delivered;
}

/// Copies the frame into the buffers of the descriptors at the head, and leaves them to write_back(). If one of the
/// buffers is not mapped, the head stays.
bool ReceivePath::write_frame(Queue& queue, const WireFrame& frame) noexcept {
  if (queue.filled.size() + descriptors_for(queue, frame.wire_length) > most_filled) write_back(queue);
  const std::size_t filled_before = queue.filled.size();
  std::uint32_t slot = queue.head;
  std::uint32_t done = 0;
  do {
    const std::uint32_t length = std::min(frame.wire_length - done, queue.buffer_bytes);
    std::uint8_t* const buffer = dma_.translate(queue.ring[slot].address, length);
    if (buffer == nullptr) {
      queue.filled.resize(filled_before);
      return false;
    }
    const std::uint32_t present = done < frame.captured_length ? std::min(length, frame.captured_length - done) : 0;
    if (present != 0) [[likely]]
      std::memcpy(buffer, frame.bytes + done, present);
    if (present < length) [[unlikely]]
      std::memset(buffer + present, 0, length - present);
    done += length;
    queue.filled.push_back(ReceiveStatus::of(length, done == frame.wire_length));
    slot = slot + 1 == queue.size ? 0 : slot + 1;
  } while (done < frame.wire_length);
  queue.head = slot;
  prefetch(queue, slot);
  return true;
}

/// Asks for the lines that the frames after `slot` will be written to: the driver had them last.
void ReceivePath::prefetch(const Queue& queue, std::uint32_t slot) const noexcept {
  const std::uint32_t descriptor = slot + descriptors_ahead;
  if (descriptor >= queue.size || distance(slot, queue.tail, queue.size) <= descriptors_ahead) return;
  prefetch_for_writing(&queue.ring[descriptor]);
  const std::uint8_t* const buffer = dma_.translate(queue.ring[slot + buffers_ahead].address, 1);
  if (buffer != nullptr) prefetch_for_writing(buffer);
}

void ReceivePath::write_back() noexcept {
  Queue& queue = queues_[only_queue];
  const bool reported = !queue.filled.empty();
  write_back(queue);
  if (reported && events_ != nullptr) events_->rx(only_queue);
}

void ReceivePath::write_back(Queue& queue) noexcept {
  std::uint32_t slot = queue.write_back_from;
  for (const ReceiveStatus status : queue.filled) {
    queue.ring[slot].write_back(0, status);
    slot = slot + 1 == queue.size ? 0 : slot + 1;
  }
  queue.write_back_from = slot;
  queue.filled.clear();
}

void ReceivePath::flush_statistics() noexcept {
  constexpr std::array<const Register*, 6> by_size{&ixgbe::PRC64,  &ixgbe::PRC127,  &ixgbe::PRC255,
                                                   &ixgbe::PRC511, &ixgbe::PRC1023, &ixgbe::PRC1522};
  add_sticking(registers_, ixgbe::TPR, pending_.total_packets);
  add_sticking_wide(registers_, ixgbe::TORL, ixgbe::TORH, pending_.total_bytes);
  add_sticking(registers_, ixgbe::ROC, pending_.oversize);
  add_sticking(registers_, ixgbe::RXNFGPC, pending_.unfiltered);
  add_sticking(registers_, ixgbe::GPRC, pending_.good_packets);
  add_sticking_wide(registers_, ixgbe::GORCL, ixgbe::GORCH, pending_.good_bytes);
  add_sticking(registers_, ixgbe::BPRC, pending_.broadcast);
  add_sticking(registers_, ixgbe::MPRC, pending_.multicast);
  add_sticking(registers_, ixgbe::MPC, pending_.missed);
  for (std::size_t i = 0; i < by_size.size(); ++i) add_sticking(registers_, *by_size[i], pending_.by_size[i]);
  pending_ = {};
  for (std::uint32_t index = 0; index < queue_count; ++index) {
    Queue& queue = queues_[index];
    if (!queue.enabled) continue;
    const std::uint32_t slot = registers_.get(ixgbe::RQSMR, index / 4) >> (index % 4 * 8) & 0xF;
    add_sticking(registers_, ixgbe::QPRC, queue.packets, slot);
    add_sticking_wide(registers_, ixgbe::QBRC_L, ixgbe::QBRC_H, queue.bytes, slot);
    add_sticking(registers_, ixgbe::QPRDC, queue.no_descriptor, slot);
    queue.packets = queue.bytes = queue.no_descriptor = 0;
    registers_.set(ixgbe::RDH, queue.head, index);
  }
}

}  // namespace ixcap::emulator
