#include <algorithm>
#include <bit>
#include <cstring>

#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/sticking_counter.hpp>
#include <ixcap/driver/emulator/transmit_path.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {

using ixgbe::Register;
using ixgbe::TransmitDescriptor;

namespace {

constexpr std::uint32_t addresses_bytes = 12;
constexpr std::uint32_t shortest_padded = 60;  // without FCS: HLREG0.TXPADEN

}  // namespace

TransmitPath::TransmitPath(RegisterFile& registers, const DmaMap& dma, QueueEvents* events, TimeStamps* stamps)
    : registers_(registers),
      dma_(dma),
      events_(events),
      stamps_(stamps),
      packet_(vlan_tag_bytes + longest_packet),
      segment_(vlan_tag_bytes + longest_frame) {
  enabled_.reserve(queue_count);
}

void TransmitPath::reset() noexcept {
  for (std::uint32_t index = 0; index < queue_count; ++index) {
    keep_counts(index);
    queues_[index] = {};
  }
  enabled_.clear();
  pending_ = {};
}

void TransmitPath::set_queue_enabled(std::uint32_t index, bool enabled) noexcept {
  Queue& queue = queues_[index];
  if (!enabled) std::erase(enabled_, index);
  if (enabled == queue.enabled) return;
  queue.enabled = enabled;
  if (!enabled) return;
  enabled_.push_back(index);
  queue.head = registers_.get(ixgbe::TDH, index);
  queue.unfinished_tail = no_tail;
  queue.contexts = {};
  queue.ring.reserve();
}

std::size_t TransmitPath::run(Wire* wire) noexcept {
  if ((registers_.get(ixgbe::DMATXCTL) & ixgbe::DMATXCTL_TE) == 0) return 0;
  std::size_t packets = 0;
  for (const std::uint32_t index : enabled_) packets += run_queue(index, wire);
  return packets;
}

std::size_t TransmitPath::run_queue(std::uint32_t index, Wire* wire) noexcept {
  Queue& queue = queues_[index];
  const std::uint32_t tail = registers_.load_doorbell(ixgbe::TDT, index);
  const bool waits = tail == queue.unfinished_tail && queue.unfinished_generation == dma_.generation();
  if (tail == queue.head || waits) return 0;
  if (!refresh_queue(index)) {
    ++counts_.packets;
    ++counts_.dma_faults;
    queue.head = tail;  // nothing can be read there, and nothing is tried twice
    registers_.set(ixgbe::TDH, queue.head, index);
    return 0;
  }
  if (tail >= queue.size) return 0;  // a tail outside the ring is ignored
  queue.unfinished_tail = no_tail;
  bool reported = false;
  std::size_t packets = 0;
  while (queue.head != tail && packets < most_packets) {
    const Packet packet = gather(queue, tail);
    if (packet.unreachable || (!packet.complete && packet.descriptors + 1 < queue.size)) {
      counts_.descriptor_faults += packet.unreachable ? 1 : 0;
      queue.unfinished_tail = tail;
      queue.unfinished_generation = dma_.generation();
      break;
    }
    if (packet.has_data) {
      send(queue, packet, wire);
      ++packets;
    }
    const std::uint32_t from = queue.head;
    queue.head = (from + packet.descriptors) % queue.size;
    reported |= report(queue, index, from, packet.descriptors);
  }
  registers_.set(ixgbe::TDH, queue.head, index);
  if (reported && events_ != nullptr) events_->raise_tx(index);
  return packets;
}

/// Looks at the registers of the queue again. False if its ring is no memory that may be used.
bool TransmitPath::refresh_queue(std::uint32_t index) noexcept {
  Queue& queue = queues_[index];
  const std::uint64_t base =
      std::uint64_t{registers_.get(ixgbe::TDBAH, index)} << 32 | registers_.get(ixgbe::TDBAL, index);
  const std::uint32_t bytes = registers_.get(ixgbe::TDLEN, index);
  queue.size = bytes / std::uint32_t{sizeof(TransmitDescriptor)};
  queue.ring.refresh(dma_, base, bytes);
  queue.head = queue.head < queue.size ? queue.head : 0;
  return queue.ring.mapped();
}

/// Reads descriptors from the head to the end of the packet there, or to the tail. Context descriptors on the way take
/// effect at once: reading them again, because the packet was not complete, gives the same.
TransmitPath::Packet TransmitPath::gather(Queue& queue, std::uint32_t tail) noexcept {
  Packet packet;
  for (std::uint32_t slot = queue.head; slot != tail; slot = slot + 1 == queue.size ? 0 : slot + 1) {
    const TransmitDescriptor* const place = queue.ring.at(slot);
    packet.unreachable = place == nullptr;
    if (packet.unreachable) return packet;
    const TransmitDescriptor descriptor = place->load();
    ++packet.descriptors;
    const bool legacy = (descriptor.command & TransmitDescriptor::DEXT) == 0;
    if (!legacy && (descriptor.command & TransmitDescriptor::DTYP_mask) == TransmitDescriptor::DTYP_context) {
      queue.contexts[descriptor.status >> TransmitDescriptor::IDX_shift & 1] = TransmitContext::of(descriptor);
      packet.complete = !packet.has_data;
      if (packet.complete) return packet;
      continue;
    }
    gather_data(packet, descriptor);
    packet.complete = (descriptor.command & TransmitDescriptor::EOP) != 0;
    if (packet.complete) return packet;
  }
  return packet;
}

void TransmitPath::gather_data(Packet& packet, const TransmitDescriptor& descriptor) noexcept {
  if (!packet.has_data) {
    packet.has_data = true;
    packet.command = descriptor.command;
    packet.status = descriptor.status;
  }
  packet.last_status = descriptor.status;
  const std::uint32_t length = descriptor.command & TransmitDescriptor::length_mask;
  if (length == 0 || packet.fault || packet.too_long) return;
  if (length > longest_packet - packet.length) {
    packet.too_long = true;
    return;
  }
  if (!dma_.read(descriptor.address, {packet_.data() + vlan_tag_bytes + packet.length, length})) {
    packet.fault = true;
    return;
  }
  packet.length += length;
}

void TransmitPath::send(Queue& queue, const Packet& packet, Wire* wire) noexcept {
  ++counts_.packets;
  if (packet.fault) {
    ++counts_.dma_faults;
  } else if (packet.too_long || !packet.complete || packet.length < shortest_packet) {
    ++counts_.malformed;
  } else if (wire == nullptr) {
    ++counts_.unsent;
  } else {
    const bool legacy = (packet.command & TransmitDescriptor::DEXT) == 0;
    const bool sent = legacy ? send_legacy(queue, packet, *wire) : send_advanced(queue, packet, *wire);
    ++(sent ? counts_.sent : counts_.malformed);
  }
}

bool TransmitPath::send_legacy(Queue& queue, const Packet& packet, Wire& wire) noexcept {
  std::uint8_t* const frame = packet_.data() + vlan_tag_bytes;
  if ((packet.command & TransmitDescriptor::IC) != 0) {
    const std::uint32_t start = packet.status >> 8 & 0xFF;     // CSS
    const std::uint32_t offset = packet.command >> 16 & 0xFF;  // CSO
    if (!insert_legacy_checksum({frame, packet.length}, start, offset)) return false;
  }
  const auto vlan = static_cast<std::uint16_t>(packet.last_status >> 16);
  return send_frame(queue, frame, packet.length, packet.command, vlan, wire);
}

bool TransmitPath::send_advanced(Queue& queue, const Packet& packet, Wire& wire) noexcept {
  if ((packet.command & TransmitDescriptor::DTYP_mask) != TransmitDescriptor::DTYP_data) return false;
  const TransmitContext& context = queue.contexts[packet.status >> TransmitDescriptor::IDX_shift & 1];
  if ((packet.command & TransmitDescriptor::TSE) != 0) return send_segments(queue, packet, context, wire);
  std::uint8_t* const frame = packet_.data() + vlan_tag_bytes;
  const std::span<std::uint8_t> bytes{frame, packet.length};
  if ((packet.status & TransmitDescriptor::IXSM) != 0 && !insert_ip_checksum(bytes, context)) return false;
  if ((packet.status & TransmitDescriptor::TXSM) != 0 && !insert_l4_checksum(bytes, context)) return false;
  return send_frame(queue, frame, packet.length, packet.command, context.vlan, wire);
}

bool TransmitPath::send_segments(Queue& queue, const Packet& packet, const TransmitContext& context,
                                 Wire& wire) noexcept {
  Segmentation segmentation({packet_.data() + vlan_tag_bytes, packet.length}, context);
  if (!segmentation.sound()) return false;
  std::uint8_t* const frame = segment_.data() + vlan_tag_bytes;
  bool all_sent = true;
  while (const std::uint32_t length = segmentation.next(frame)) {
    all_sent &= send_frame(queue, frame, length, packet.command | TransmitDescriptor::IFCS, context.vlan, wire);
  }
  return all_sent;
}

/// What the MAC does. `frame` has room for a tag before it, and for padding behind it. False if it is too long, or
/// came with an FCS that is not right.
bool TransmitPath::send_frame(Queue& queue, std::uint8_t* frame, std::uint32_t length, std::uint32_t command,
                              std::uint16_t vlan, Wire& wire) noexcept {
  if (length > longest_frame) return false;
  if ((command & TransmitDescriptor::IFCS) == 0) {
    length -= fcs_bytes;  // shortest_packet leaves enough
    std::uint32_t fcs;
    std::memcpy(&fcs, frame + length, sizeof fcs);
    if (fcs != frame_check_sequence({frame, length})) return false;
  }
  if ((command & TransmitDescriptor::VLE) != 0) {
    std::memmove(frame - vlan_tag_bytes, frame, addresses_bytes);
    frame -= vlan_tag_bytes;
    length += vlan_tag_bytes;
    store_big_16(frame + addresses_bytes, registers_.get(ixgbe::DMATXCTL) >> ixgbe::DMATXCTL_VT_SHIFT);
    store_big_16(frame + addresses_bytes + 2, vlan);
  }
  if (length < shortest_padded && (registers_.get(ixgbe::HLREG0) & ixgbe::HLREG0_TXPADEN) != 0) {
    std::memset(frame + length, 0, shortest_padded - length);
    counts_.padding += shortest_padded - length;
    length = shortest_padded;
  }
  count(queue, {frame, length});
  constexpr std::uint32_t stamped = TransmitDescriptor::DEXT | TransmitDescriptor::TSTAMP;
  if ((command & stamped) == stamped && stamps_ != nullptr) stamps_->send();
  wire.send({frame, length});
  return true;
}

void TransmitPath::count(Queue& queue, std::span<const std::uint8_t> frame) noexcept {
  const auto length = static_cast<std::uint32_t>(frame.size()) + fcs_bytes;
  ++counts_.frames;
  counts_.bytes += frame.size();
  ++queue.packets;
  queue.bytes += length;
  ++pending_.packets;
  pending_.bytes += length;
  ++pending_.by_size[size_bin(length)];
  if ((frame[0] & 1) != 0) {
    const bool broadcast =
        std::all_of(frame.begin(), frame.begin() + 6, [](std::uint8_t byte) { return byte == 0xFF; });
    ++(broadcast ? pending_.broadcast : pending_.multicast);
  }
}

/// Tells the driver that `count` descriptors from `from` on are done, where it asked for that; whether it did.
bool TransmitPath::report(const Queue& queue, std::uint32_t index, std::uint32_t from, std::uint32_t count) noexcept {
  const std::uint32_t write_back = registers_.get(ixgbe::TDWBAL, index);
  const bool head_write_back = (write_back & ixgbe::TDWBAL_HEAD_WB_EN) != 0;
  bool asked = false;
  for (std::uint32_t slot = from; count > 0; --count, slot = slot + 1 == queue.size ? 0 : slot + 1) {
    TransmitDescriptor* const descriptor = queue.ring.at(slot);
    if (descriptor == nullptr) continue;
    const TransmitDescriptor copy = descriptor->load();
    if ((copy.command & TransmitDescriptor::RS) == 0) continue;
    asked = true;
    const bool legacy = (copy.command & TransmitDescriptor::DEXT) == 0;
    if (!head_write_back) descriptor->report_done(legacy ? copy.status : 0);
  }
  if (asked && head_write_back) {
    const std::uint64_t address =
        std::uint64_t{registers_.get(ixgbe::TDWBAH, index)} << 32 | (write_back & ixgbe::TDWBAL_ADDRESS_MASK);
    std::uint8_t* const memory = dma_.translate(address, sizeof(std::uint32_t), DmaAccess::write);
    if (memory == nullptr || std::bit_cast<std::uintptr_t>(memory) % alignof(std::uint32_t) != 0) {
      ++counts_.write_back_faults;
    } else {
      __atomic_store_n(reinterpret_cast<std::uint32_t*>(memory), queue.head, __ATOMIC_RELEASE);
    }
  }
  return asked;
}

void TransmitPath::flush_statistics() noexcept {
  constexpr std::array<const Register*, 6> by_size{&ixgbe::PTC64,  &ixgbe::PTC127,  &ixgbe::PTC255,
                                                   &ixgbe::PTC511, &ixgbe::PTC1023, &ixgbe::PTC1522};
  if (pending_.packets == 0) return;
  for (const Register* reg : {&ixgbe::GPTC, &ixgbe::TPT, &ixgbe::TXDGPC}) {
    add_sticking(registers_, *reg, pending_.packets);
  }
  add_sticking_wide(registers_, ixgbe::GOTCL, ixgbe::GOTCH, pending_.bytes);
  add_sticking_wide(registers_, ixgbe::TXDGBCL, ixgbe::TXDGBCH, pending_.bytes);
  add_sticking(registers_, ixgbe::BPTC, pending_.broadcast);
  add_sticking(registers_, ixgbe::MPTC, pending_.multicast);
  for (std::size_t i = 0; i < by_size.size(); ++i) add_sticking(registers_, *by_size[i], pending_.by_size[i]);
  pending_ = {};
  for (std::uint32_t index = 0; index < queue_count; ++index) {
    Queue& queue = queues_[index];
    if (queue.packets == 0) continue;
    const std::uint32_t slot = registers_.get(ixgbe::TQSM, index / 4) >> (index % 4 * 8) & 0xF;
    add_sticking(registers_, ixgbe::QPTC, queue.packets, slot);
    add_sticking_wide(registers_, ixgbe::QBTC_L, ixgbe::QBTC_H, queue.bytes, slot);
    keep_counts(index);
  }
}

/// Moves what a queue has counted to where it stays.
void TransmitPath::keep_counts(std::uint32_t index) noexcept {
  queue_counts_[index] = queue_counts(index);
  queues_[index].packets = queues_[index].bytes = 0;
}

QueueCounts TransmitPath::queue_counts(std::uint32_t index) const noexcept {
  const QueueCounts& kept = queue_counts_[index];
  return {kept.frames + queues_[index].packets, kept.bytes + queues_[index].bytes};
}

}  // namespace ixcap::emulator
