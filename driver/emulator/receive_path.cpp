#include <algorithm>
#include <cstring>
#include <span>

#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/damage.hpp>
#include <ixcap/driver/emulator/receive_path.hpp>
#include <ixcap/driver/emulator/sticking_counter.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {

using ixgbe::ReceiveDescriptor;
using ixgbe::ReceiveStatus;
using ixgbe::Register;

namespace {

constexpr std::uint32_t address_bytes = 6;
constexpr std::uint32_t vlan_tag_bytes = 4;
constexpr std::uint32_t ethertype_offset = 12;
constexpr std::uint32_t longest_without_jumbo = 1518;     // with FCS; data sheet 8.2.3.22, HLREG0.JUMBOEN
constexpr std::uint32_t longest_stored = (1u << 16) + 4;  // MAXFRS has 16 bits
constexpr std::uint32_t longest_bad = longest_frame;      // what a bad frame has beyond is not stored

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

/// The MAC's counters of bad frames, in the order of Pending::bad.
constexpr std::array<std::uint64_t WireCounts::*, 8> bad_counts{
    &WireCounts::crc_errors, &WireCounts::illegal_symbols, &WireCounts::error_bytes, &WireCounts::length_errors,
    &WireCounts::undersize,  &WireCounts::fragments,       &WireCounts::oversize,    &WireCounts::jabber};
constexpr std::array<const Register*, 8> bad_registers{&ixgbe::CRCERRS, &ixgbe::ILLERRC, &ixgbe::ERRBC, &ixgbe::RLEC,
                                                       &ixgbe::RUC,     &ixgbe::RFC,     &ixgbe::ROC,   &ixgbe::RJC};

/// Which of them counts a frame.
std::size_t bad_kind(std::uint8_t damage) {
  const bool crc = (damage & damage::crc) != 0;
  if ((damage & damage::oversize) != 0) return crc ? 7 : 6;
  if ((damage & damage::undersize) != 0) return crc ? 5 : 4;
  if ((damage & damage::symbol) != 0) return 1;
  if ((damage & damage::error_byte) != 0) return 2;
  return crc ? 0 : 3;
}

/// What the descriptor of a bad frame says of it (dw2).
std::uint32_t errors_of(std::uint8_t damage) {
  std::uint32_t errors = 0;
  if ((damage & damage::crc) != 0) errors |= ReceiveDescriptor::CE;
  if ((damage & damage::length) != 0) errors |= ReceiveDescriptor::LE;
  if ((damage & (damage::symbol | damage::error_byte)) != 0) errors |= ReceiveDescriptor::PE;
  if ((damage & damage::undersize) != 0) errors |= ReceiveDescriptor::USE;
  if ((damage & damage::oversize) != 0) errors |= ReceiveDescriptor::OSE;
  return errors;
}

}  // namespace

ReceivePath::ReceivePath(RegisterFile& registers, const DmaMap& dma, QueueEvents* events, TimeStamps* stamps)
    : registers_(registers),
      dma_(dma),
      events_(events),
      stamps_(stamps),
      flow_director_(registers),
      classifier_(registers, flow_director_),
      stored_(longest_stored) {
  enabled_.reserve(queue_count);
}

void ReceivePath::reset() noexcept {
  for (std::uint32_t index = 0; index < queue_count; ++index) {
    keep_counts(index);
    queues_[index] = {};
  }
  enabled_.clear();
  counts_.missed += counts_.waiting;  // a reset throws them away
  counts_.waiting = 0;
  packet_buffer_.clear();
  pending_ = {};
  flow_director_.reset();
  stale_ = true;
}

void ReceivePath::refresh() noexcept {
  for (const std::uint32_t index : enabled_) queues_[index].refresh(registers_, dma_, index);
  if (faults_ != nullptr) [[unlikely]]
    starve_queues();
  listening_ = (registers_.get(ixgbe::RXCTRL) & ixgbe::RXCTRL_RXEN) != 0 && !enabled_.empty();
  if (!stale_) return;
  stale_ = false;
  classifier_.refresh();
  if (stamps_ != nullptr) stamps_->refresh();
  stamping_ = stamps_ != nullptr && stamps_->receiving();
  const std::uint32_t fctrl = registers_.get(ixgbe::FCTRL);
  constexpr std::uint32_t promiscuous = ixgbe::FCTRL_UPE | ixgbe::FCTRL_MPE | ixgbe::FCTRL_BAM;
  admit_all_ = (fctrl & promiscuous) == promiscuous && (registers_.get(ixgbe::VLNCTRL) & ixgbe::VLNCTRL_VFE) == 0;
  const std::uint32_t hlreg0 = registers_.get(ixgbe::HLREG0);
  longest_ = (hlreg0 & ixgbe::HLREG0_JUMBOEN) != 0 ? registers_.get(ixgbe::MAXFRS) >> ixgbe::MAXFRS_MFS_SHIFT
                                                   : longest_without_jumbo;
  store_bad_ = (fctrl & ixgbe::FCTRL_SBP) != 0;
  strip_fcs_ = (hlreg0 & ixgbe::HLREG0_RXCRCSTRP) != 0;
  const ReceiveQueue& queue = queues_[plain_queue];
  plain_ = classifier_.idle() && strip_fcs_ && queue.enabled && !queue.strip_vlan &&
           queue.layout == ReceiveQueue::Layout::one_buffer;
}

void ReceivePath::set_queue_enabled(std::uint32_t index, bool enabled) noexcept {
  ReceiveQueue& queue = queues_[index];
  stale_ = true;
  if (enabled == queue.enabled) return;
  if (!enabled) {
    if (!queue.filled.empty()) {  // late, by a fault
      queue.refresh(registers_, dma_, index);
      queue.write_back();
    }
    queue.enabled = false;
    std::erase(enabled_, index);
    return;
  }
  queue.start();
  enabled_.push_back(index);
  registers_.set(ixgbe::RDH, 0, index);
}

bool ReceivePath::long_by_its_tag(const WireFrame& frame) const noexcept {
  const bool tagged =
      frame.captured_length >= ethertype_offset + vlan_tag_bytes &&
      load_big_16(frame.bytes + ethertype_offset) == (registers_.get(ixgbe::VLNCTRL) & ixgbe::VLNCTRL_VET_MASK);
  return tagged && frame.wire_length + fcs_bytes <= longest_ + vlan_tag_bytes;
}

bool ReceivePath::has_room(const WireFrame& frame) noexcept {
  const bool is_bad = bad(frame);
  if (is_bad && !store_bad_) return true;  // it will not get as far as the ring
  if (!packet_buffer_.empty()) return false;
  if (plain_ && !is_bad) [[likely]]
    return has_descriptors(plain_queue, queues_[plain_queue].descriptors_for(frame.wire_length)) ||
           queues_[plain_queue].hung;
  const WireFrame kept = is_bad ? as_kept(frame) : frame;
  const ReceiveVerdict verdict = judge(kept, false);
  const ReceiveQueue& queue = queues_[verdict.queue];
  return !queue.enabled || has_descriptors(verdict.queue, descriptors_for(queue, kept, verdict)) || queue.drops_all();
}

void ReceivePath::receive(const WireFrame& frame) {
  count_on_wire(frame);
  if (bad(frame)) [[unlikely]]
    return receive_bad(frame);
  count_good(frame);
  ++pending_.unfiltered;
  if (!admit_all_ && !admitted(frame)) {
    ++counts_.not_admitted;
    return;
  }
  ++pending_.good_packets;
  pending_.good_bytes += frame.wire_length + fcs_bytes;
  const bool stamped = stamping_ && stamps_->receive(frame);
  if (!plain_) return receive_classified(frame, stamped);

  ReceiveQueue& queue = queues_[plain_queue];
  const bool starved = !has_descriptors(plain_queue, queue.descriptors_for(frame.wire_length));
  if (!starved && packet_buffer_.empty()) [[likely]] {
    deliver(queue, frame, stamped);
  } else {
    keep_or_drop(queue, frame, starved, stamped);
  }
}

/// A bad frame as it is stored: the MAC's own judgement among its damage, and no longer than a frame can be.
WireFrame ReceivePath::as_kept(const WireFrame& frame) const noexcept {
  const std::uint32_t length = std::min(frame.wire_length, longest_bad);
  const auto damage = static_cast<std::uint8_t>(frame.damage | (too_long(frame) ? damage::oversize : 0));
  return {frame.bytes, std::min(frame.captured_length, length), length, damage};
}

void ReceivePath::receive_bad(const WireFrame& frame) {
  if ((frame.damage & damage::unmapped) != 0) return receive_unmapped(frame);
  const WireFrame kept = as_kept(frame);
  const std::size_t kind = bad_kind(kept.damage);
  ++pending_.bad[kind];
  ++(counts_.*bad_counts[kind]);
  if (!store_bad_) return;
  ++counts_.bad_kept;
  if (!admit_all_ && !admitted(kept)) {
    ++counts_.not_admitted;
    return;
  }
  receive_classified(kept, false);
}

/// A good frame that the card writes to an address that is not its host's.
void ReceivePath::receive_unmapped(const WireFrame& frame) noexcept {
  count_good(frame);
  ++pending_.unfiltered;
  if (!admit_all_ && !admitted(frame)) {
    ++counts_.not_admitted;
    return;
  }
  ++pending_.good_packets;
  pending_.good_bytes += frame.wire_length + fcs_bytes;
  ++counts_.dma_faults;
}

/// The verdict on a frame that does not go the short way, or is bad.
ReceiveVerdict ReceivePath::judge(const WireFrame& frame, bool stamped) const noexcept {
  ReceiveVerdict verdict = plain_ ? ReceiveVerdict{} : classifier_.classify(frame);
  verdict.status |= errors_of(frame.damage);
  if (stamped) verdict.status |= static_cast<std::uint32_t>(ReceiveStatus::TS);
  return verdict;
}

void ReceivePath::receive_classified(const WireFrame& frame, bool stamped) {
  const ReceiveVerdict verdict = judge(frame, stamped);
  if (verdict.flow_director != FlowDirectorOutcome::not_asked) {
    flow_director_.count(verdict.flow_director == FlowDirectorOutcome::matched);
  }
  ReceiveQueue& queue = queues_[verdict.queue];
  if (!queue.enabled) {
    ++counts_.discarded;
    return;
  }
  const bool starved = !has_descriptors(verdict.queue, descriptors_for(queue, frame, verdict));
  if (!starved && packet_buffer_.empty()) {
    deliver_classified(queue, frame, verdict);
  } else {
    keep_or_drop(queue, frame, starved, stamped);
  }
}

/// A frame that finds no descriptors, or others waiting before it.
void ReceivePath::keep_or_drop(ReceiveQueue& queue, const WireFrame& frame, bool starved, bool stamped) {
  if (starved && queue.drop_enabled) {
    ++queue.no_descriptor;
    ++counts_.no_descriptor;
  } else if (packet_buffer_.push(
                 frame,
                 std::min(registers_.get(ixgbe::RXPBSIZE) & ixgbe::RXPBSIZE_MASK, flow_director_.packet_buffer_bytes()),
                 stamped)) {
    ++counts_.waiting;
  } else {
    ++pending_.missed;
    ++counts_.missed;
  }
}

/// One queue without descriptors holds up all that wait behind it, as on the card.
void ReceivePath::drain_packet_buffer() {
  while (!packet_buffer_.empty()) {
    const WireFrame frame = packet_buffer_.front();
    const bool stamped = packet_buffer_.front_is_stamped();
    const bool plain = plain_ && frame.damage == 0;
    const ReceiveVerdict verdict = plain ? ReceiveVerdict{} : judge(frame, stamped);
    ReceiveQueue& queue = queues_[verdict.queue];
    if (!queue.enabled) {
      ++counts_.discarded;
    } else if (has_descriptors(verdict.queue, descriptors_for(queue, frame, verdict))) {
      plain ? deliver(queue, frame, stamped) : deliver_classified(queue, frame, verdict);
    } else {
      return;
    }
    --counts_.waiting;
    packet_buffer_.pop();
  }
}

void ReceivePath::count_on_wire(const WireFrame& frame) noexcept {
  ++counts_.frames;
  counts_.bytes += frame.wire_length;
  ++pending_.total_packets;
  pending_.total_bytes += frame.wire_length + fcs_bytes;
}

void ReceivePath::count_good(const WireFrame& frame) noexcept {
  ++pending_.by_size[size_bin(frame.wire_length + fcs_bytes)];
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
  if (load_big_16(frame.bytes + ethertype_offset) != (vlnctrl & ixgbe::VLNCTRL_VET_MASK)) return true;
  const std::uint32_t vlan = load_big_16(frame.bytes + ethertype_offset + 2) & 0xFFFu;
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

void ReceivePath::deliver(ReceiveQueue& queue, const WireFrame& frame, bool stamped) noexcept {
  if (!write_frame(queue, frame)) {
    ++counts_.dma_faults;
    return;
  }
  if (stamped) [[unlikely]]
    queue.filled.back().second_half.bits |= ReceiveStatus::TS;
  ++queue.packets;
  queue.bytes += frame.wire_length + fcs_bytes;
  ++counts_.delivered;
}

void ReceivePath::deliver_classified(ReceiveQueue& queue, const WireFrame& frame,
                                     const ReceiveVerdict& verdict) noexcept {
  const WireFrame stored = as_stored(queue, frame, verdict);
  const ReceiveQueue::Split split = queue.split_for(stored.wire_length, verdict);
  if (!queue.write_frame(stored, verdict, split, dma_)) {
    ++counts_.dma_faults;
    return;
  }
  ++queue.packets;
  queue.bytes += frame.wire_length + fcs_bytes;
  ++counts_.delivered;
}

std::uint32_t ReceivePath::stored_length(const ReceiveQueue& queue, const WireFrame& frame,
                                         const ReceiveVerdict& verdict) const noexcept {
  const std::uint32_t stripped = queue.strip_vlan && verdict.tagged ? vlan_tag_bytes : 0;
  return frame.wire_length - stripped + (strip_fcs_ ? 0 : fcs_bytes);
}

std::uint32_t ReceivePath::descriptors_for(const ReceiveQueue& queue, const WireFrame& frame,
                                           const ReceiveVerdict& verdict) const noexcept {
  const std::uint32_t length = stored_length(queue, frame, verdict);
  return queue.descriptors_for(length - queue.split_for(length, verdict).in_header_buffer);
}

/// The frame without its tag, with its FCS, with the bytes that its file left out: as the registers have it.
WireFrame ReceivePath::as_stored(const ReceiveQueue& queue, const WireFrame& frame,
                                 const ReceiveVerdict& verdict) noexcept {
  const bool strip = queue.strip_vlan && verdict.tagged;
  const std::uint32_t length = stored_length(queue, frame, verdict);
  if (!strip && strip_fcs_ && frame.captured_length == frame.wire_length) return frame;
  const std::uint32_t kept = strip ? ethertype_offset : 0;
  const std::uint32_t rest = strip ? ethertype_offset + vlan_tag_bytes : 0;
  if (kept != 0) std::memcpy(stored_.data(), frame.bytes, kept);
  std::uint32_t end = kept;
  if (frame.captured_length > rest) {
    std::memcpy(stored_.data() + kept, frame.bytes + rest, frame.captured_length - rest);
    end += frame.captured_length - rest;
  }
  const std::uint32_t without_fcs = length - (strip_fcs_ ? 0 : fcs_bytes);
  if (end < without_fcs) std::memset(stored_.data() + end, 0, without_fcs - end);
  if (!strip_fcs_) {
    std::uint32_t fcs =
        frame_check_sequence({frame.bytes, frame.captured_length}, frame.wire_length - frame.captured_length);
    if ((frame.damage & damage::crc) != 0) fcs = ~fcs;
    std::memcpy(stored_.data() + without_fcs, &fcs, sizeof fcs);
  }
  return {stored_.data(), length, length};
}

/// Copies the frame into the buffers of the descriptors at the head, and leaves them to write_back(). If one of them is
/// not mapped, the head stays.
bool ReceivePath::write_frame(ReceiveQueue& queue, const WireFrame& frame) noexcept {
  if (queue.filled.size() + queue.descriptors_for(frame.wire_length) > ReceiveQueue::most_filled) queue.write_back();
  const std::size_t filled_before = queue.filled.size();
  std::uint32_t slot = queue.head;
  std::uint32_t done = 0;
  do {
    const std::uint32_t length = std::min(frame.wire_length - done, queue.buffer_bytes);
    const std::uint32_t present = done < frame.captured_length ? std::min(length, frame.captured_length - done) : 0;
    const ReceiveDescriptor* const descriptor = queue.ring.at(slot);
    std::uint8_t* const buffer =
        descriptor != nullptr ? dma_.translate(descriptor->address, length, DmaAccess::write) : nullptr;
    if (buffer == nullptr) [[unlikely]] {
      const std::span<const std::uint8_t> bytes(frame.bytes + (present != 0 ? done : 0), present);
      if (descriptor == nullptr || !dma_.write(descriptor->address, bytes, length)) {
        queue.filled.resize(filled_before);
        return false;
      }
    } else {
      if (present != 0) [[likely]]
        std::memcpy(buffer, frame.bytes + done, present);
      if (present < length) [[unlikely]]
        std::memset(buffer + present, 0, length - present);
    }
    done += length;
    queue.filled.push_back({0, ReceiveStatus::of(length, done == frame.wire_length)});
    slot = queue.after(slot);
  } while (done < frame.wire_length);
  queue.head = slot;
  prefetch(queue, slot);
  return true;
}

/// Asks for the lines that the frames after `slot` will be written to: the driver had them last.
void ReceivePath::prefetch(const ReceiveQueue& queue, std::uint32_t slot) const noexcept {
  const std::uint32_t descriptor = slot + descriptors_ahead;
  const std::uint32_t ahead = queue.tail >= slot ? queue.tail - slot : queue.tail + queue.size - slot;
  const ReceiveDescriptor* const ring = queue.ring.whole();
  if (ring == nullptr || descriptor >= queue.size || ahead <= descriptors_ahead) return;
  prefetch_for_writing(&ring[descriptor]);
  const std::uint8_t* const buffer = dma_.translate(ring[slot + buffers_ahead].address, 1, DmaAccess::write);
  if (buffer != nullptr) prefetch_for_writing(buffer);
}

void ReceivePath::write_back() noexcept {
  if (faults_ != nullptr) [[unlikely]]
    return write_back_with_faults();
  for (const std::uint32_t index : enabled_) write_back(index);
}

void ReceivePath::write_back(std::uint32_t index) noexcept {
  ReceiveQueue& queue = queues_[index];
  if (!queue.filled.empty()) queue.write_back();
  if (!queue.to_announce) return;
  queue.to_announce = false;
  if (events_ != nullptr) events_->raise_rx(index);
}

void ReceivePath::flush_statistics() noexcept {
  constexpr std::array<const Register*, 6> by_size{&ixgbe::PRC64,  &ixgbe::PRC127,  &ixgbe::PRC255,
                                                   &ixgbe::PRC511, &ixgbe::PRC1023, &ixgbe::PRC1522};
  add_sticking(registers_, ixgbe::TPR, pending_.total_packets);
  add_sticking_wide(registers_, ixgbe::TORL, ixgbe::TORH, pending_.total_bytes);
  add_sticking(registers_, ixgbe::RXNFGPC, pending_.unfiltered);
  add_sticking(registers_, ixgbe::GPRC, pending_.good_packets);
  add_sticking_wide(registers_, ixgbe::GORCL, ixgbe::GORCH, pending_.good_bytes);
  add_sticking(registers_, ixgbe::BPRC, pending_.broadcast);
  add_sticking(registers_, ixgbe::MPRC, pending_.multicast);
  add_sticking(registers_, ixgbe::MPC, pending_.missed);
  flow_director_.flush_statistics();
  for (std::size_t i = 0; i < by_size.size(); ++i) add_sticking(registers_, *by_size[i], pending_.by_size[i]);
  for (std::size_t i = 0; i < bad_registers.size(); ++i) add_sticking(registers_, *bad_registers[i], pending_.bad[i]);
  pending_ = {};
  for (const std::uint32_t index : enabled_) {
    ReceiveQueue& queue = queues_[index];
    const std::uint32_t slot = registers_.get(ixgbe::RQSMR, index / 4) >> (index % 4 * 8) & 0xF;
    add_sticking(registers_, ixgbe::QPRC, queue.packets, slot);
    add_sticking_wide(registers_, ixgbe::QBRC_L, ixgbe::QBRC_H, queue.bytes, slot);
    add_sticking(registers_, ixgbe::QPRDC, queue.no_descriptor, slot);
    add_sticking(registers_, ixgbe::RXDGPC, queue.packets);
    add_sticking_wide(registers_, ixgbe::RXDGBCL, ixgbe::RXDGBCH, queue.bytes);
    keep_counts(index);
    queue.no_descriptor = 0;
    registers_.set(ixgbe::RDH, queue.head, index);
  }
}

/// Moves what a queue has counted to where it stays.
void ReceivePath::keep_counts(std::uint32_t index) noexcept {
  ReceiveQueue& queue = queues_[index];
  queue_counts_[index] = queue_counts(index);
  queue.packets = queue.bytes = 0;
}

QueueCounts ReceivePath::queue_counts(std::uint32_t index) const noexcept {
  const QueueCounts& kept = queue_counts_[index];
  return {kept.frames + queues_[index].packets, kept.bytes + queues_[index].bytes};
}

}  // namespace ixcap::emulator
