#include <algorithm>
#include <cstring>

#include <ixcap/driver/emulator/receive_queue.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {

using ixgbe::ReceiveDescriptor;
using ixgbe::ReceiveStatus;

void ReceiveQueue::start() {
  enabled = true;
  head = 0;
  tail = 0;
  armed = false;
  write_back_from = 0;
  filled.reserve(most_filled);
  ring.reserve();
}

void ReceiveQueue::refresh(const RegisterFile& registers, const DmaMap& dma, std::uint32_t index) noexcept {
  const ReceiveDescriptor* const ring_before = ring.whole();
  const std::uint32_t size_before = size;
  const std::uint64_t base =
      std::uint64_t{registers.get(ixgbe::RDBAH, index)} << 32 | registers.get(ixgbe::RDBAL, index);
  const std::uint32_t length = registers.get(ixgbe::RDLEN, index);
  const std::uint32_t srrctl = registers.get(ixgbe::SRRCTL, index);
  const std::uint32_t buffer_kib = srrctl & ixgbe::SRRCTL_BSIZEPACKET_MASK;
  buffer_bytes = std::max(buffer_kib, 1u) * 1024;  // is divided by, even where there is no ring
  constexpr std::uint32_t most_header_bytes =
      0x3c0;  // what the 10 bits of the length in a descriptor tell, in 64 bytes
  const std::uint32_t chosen = (srrctl >> ixgbe::SRRCTL_BSIZEHEADER_SHIFT & ixgbe::SRRCTL_BSIZEHEADER_MASK) * 64;
  header_bytes = std::min(chosen, most_header_bytes);
  drop_enabled = (srrctl & ixgbe::SRRCTL_DROP_EN) != 0;
  strip_vlan = (registers.get(ixgbe::RXDCTL, index) & ixgbe::RXDCTL_VME) != 0;
  bool known = true;
  switch (srrctl & ixgbe::SRRCTL_DESCTYPE_MASK) {
    case ixgbe::SRRCTL_DESCTYPE_LEGACY:
      layout = Layout::legacy;
      break;
    case ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER:
      layout = Layout::one_buffer;
      break;
    case ixgbe::SRRCTL_DESCTYPE_SPLIT:
      layout = Layout::split;
      break;
    case ixgbe::SRRCTL_DESCTYPE_SPLIT_ALWAYS:
      layout = Layout::split_always;
      break;
    default:
      known = false;
  }
  size = length / std::uint32_t{sizeof(ReceiveDescriptor)};
  ring.refresh(dma, base, buffer_kib != 0 && known ? length : 0);
  if (ring.whole() != ring_before || size != size_before) filled.clear();
  head = head < size ? head : 0;
  tail = tail < size ? tail : 0;
  if (filled.empty()) write_back_from = head;  // follows it out of a ring that became shorter
}

/// Data sheet 7.1.10: a header that fits goes to its own buffer; one that does not stays with the payload, unless the
/// header buffer is to be used in any case.
ReceiveQueue::Split ReceiveQueue::split_for(std::uint32_t length, const ReceiveVerdict& verdict) const noexcept {
  if (layout != Layout::split && layout != Layout::split_always) return {};
  const auto reported = [](std::uint32_t header) { return header << ReceiveDescriptor::header_length_shift; };
  const std::uint32_t header = std::min(verdict.header_length, length);
  if (header != 0 && header <= header_bytes) return {header, reported(header) | ReceiveDescriptor::SPH, 0};
  const std::uint32_t in_header_buffer = layout == Layout::split_always ? std::min(length, header_bytes) : 0;
  if (header == 0) return {in_header_buffer, reported(in_header_buffer), 0};
  constexpr std::uint32_t longest_reported = 0x3FF;
  return {in_header_buffer, reported(std::min(header, longest_reported)) | ReceiveDescriptor::SPH,
          ReceiveDescriptor::HBO};
}

bool ReceiveQueue::write_frame(const WireFrame& frame, const ReceiveVerdict& verdict, const Split& split,
                               const DmaMap& dma) noexcept {
  if (filled.size() + descriptors_for(frame.wire_length) > most_filled) write_back();
  const std::size_t filled_before = filled.size();
  std::uint32_t slot = head;
  std::uint32_t done = 0;
  bool first = true;
  do {
    const ReceiveDescriptor* const descriptor = ring.at(slot);
    bool written = descriptor != nullptr;
    if (written && first && split.in_header_buffer != 0) {
      done = split.in_header_buffer;
      written = dma.write(descriptor->status, {frame.bytes, done}, done);
    }
    const std::uint32_t length = std::min(frame.wire_length - done, buffer_bytes);
    if (!written || !dma.write(descriptor->address, {frame.bytes + done, length}, length)) {
      filled.resize(filled_before);
      return false;
    }
    done += length;
    filled.push_back(describe(*descriptor, length, done == frame.wire_length, verdict, first ? split : Split{}));
    first = false;
    slot = after(slot);
  } while (done < frame.wire_length);
  head = slot;
  return true;
}

ReceiveQueue::Filled ReceiveQueue::describe(const ReceiveDescriptor& descriptor, std::uint32_t length,
                                            bool end_of_packet, const ReceiveVerdict& verdict,
                                            const Split& split) const noexcept {
  const bool stripped = strip_vlan && verdict.tagged;
  const std::uint32_t vlan = stripped ? verdict.vlan : 0u;
  // What is said of the whole frame is said with its last buffer.
  const std::uint32_t of_frame =
      end_of_packet ? (verdict.status | split.reported_status | (stripped ? ReceiveDescriptor::VP : 0)) : 0;
  if (layout == Layout::legacy) {
    const std::uint32_t status = static_cast<std::uint32_t>(ReceiveStatus::DD) |
                                 (end_of_packet ? static_cast<std::uint32_t>(ReceiveStatus::EOP) : 0) |
                                 (of_frame & 0xFF);
    const std::uint32_t errors = of_frame >> ReceiveDescriptor::errors_shift;
    return {descriptor.address,
            {length | std::uint64_t{status} << ReceiveDescriptor::legacy_status_shift |
             std::uint64_t{errors} << ReceiveDescriptor::legacy_errors_shift |
             std::uint64_t{vlan} << ReceiveDescriptor::vlan_shift}};
  }
  const std::uint64_t first_half = verdict.types | split.reported | std::uint64_t{verdict.hash} << 32;
  const ReceiveStatus bare = ReceiveStatus::of(length, end_of_packet);
  return {first_half, {bare.bits | of_frame | std::uint64_t{vlan} << ReceiveDescriptor::vlan_shift}};
}

void ReceiveQueue::write_back() noexcept {
  std::uint32_t slot = write_back_from;
  ReceiveDescriptor* const whole = ring.whole();
  for (const Filled& one : filled) {
    ReceiveDescriptor* const descriptor = whole != nullptr ? whole + slot : ring.at(slot);
    if (descriptor != nullptr) [[likely]]
      descriptor->write_back(one.first_half, one.second_half);
    slot = after(slot);
  }
  write_back_from = slot;
  to_announce |= !filled.empty();
  late_passes = 0;
  filled.clear();
}

}  // namespace ixcap::emulator
