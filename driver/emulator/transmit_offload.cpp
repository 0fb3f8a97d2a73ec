#include <algorithm>
#include <cstring>

#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/transmit_offload.hpp>
#include <ixcap/driver/frame.hpp>

namespace ixcap::emulator {
namespace {

using L4 = TransmitContext::L4;

// Offsets in headers (RFC 791, 8200, 9293, 768, 4960), and the shortest that hold them.
constexpr std::uint32_t ipv4_total_length = 2;
constexpr std::uint32_t ipv4_identification = 4;
constexpr std::uint32_t ipv4_checksum = 10;
constexpr std::uint32_t shortest_ipv4 = 20;
constexpr std::uint32_t ipv6_payload_length = 4;
constexpr std::uint32_t shortest_ipv6 = 40;
constexpr std::uint32_t tcp_sequence = 4;
constexpr std::uint32_t tcp_flags = 13;
constexpr std::uint32_t tcp_checksum = 16;
constexpr std::uint32_t shortest_tcp = 20;
constexpr std::uint32_t udp_length = 4;
constexpr std::uint32_t udp_checksum = 6;
constexpr std::uint32_t shortest_udp = 8;
constexpr std::uint32_t sctp_checksum_offset = 8;
constexpr std::uint32_t shortest_sctp = 12;

// Which TCP flags a segment keeps, as the card's own masks have it after reset (DTXTCPFLGL, DTXTCPFLGH): FIN and PSH
// on the last only, CWR on the first only.
constexpr std::uint8_t flag_fin = 0x01;
constexpr std::uint8_t flag_psh = 0x08;
constexpr std::uint8_t flag_cwr = 0x80;

std::uint32_t shortest_l4(L4 l4) {
  switch (l4) {
    case L4::tcp:
      return shortest_tcp;
    case L4::udp:
      return shortest_udp;
    case L4::sctp:
      return shortest_sctp;
    case L4::reserved:
      break;
  }
  return 0;
}

/// 0 in a UDP datagram says that there is no checksum; all ones is the same number (RFC 768).
std::uint16_t never_zero(std::uint16_t checksum) {
  return checksum == 0 ? 0xFFFF : checksum;
}

void store_ip_checksum(std::uint8_t* ip, std::uint32_t length) {
  store_big_16(ip + ipv4_checksum, 0);
  store_big_16(ip + ipv4_checksum, InternetSum().add({ip, length}).checksum());
}

}  // namespace

TransmitContext TransmitContext::of(const ixgbe::TransmitDescriptor& descriptor) noexcept {
  TransmitContext context;
  context.ip_length = static_cast<std::uint32_t>(descriptor.address & 0x1FF);
  context.mac_length = static_cast<std::uint32_t>(descriptor.address >> 9 & 0x7F);
  context.vlan = static_cast<std::uint16_t>(descriptor.address >> 16);
  context.ipv4 = (descriptor.command >> 10 & 1) != 0;
  context.l4 = static_cast<L4>(descriptor.command >> 11 & 3);
  context.l4_length = descriptor.status >> 8 & 0xFF;
  context.mss = descriptor.status >> 16;
  return context;
}

bool insert_ip_checksum(std::span<std::uint8_t> packet, const TransmitContext& context) noexcept {
  const std::uint32_t end = context.mac_length + context.ip_length;
  if (context.ip_length < shortest_ipv4 || context.mac_length < shortest_mac_header || end > packet.size()) {
    return false;
  }
  store_ip_checksum(packet.data() + context.mac_length, context.ip_length);
  return true;
}

bool insert_l4_checksum(std::span<std::uint8_t> packet, const TransmitContext& context) noexcept {
  const std::uint32_t start = context.mac_length + context.ip_length;
  const std::uint32_t shortest = shortest_l4(context.l4);
  if (shortest == 0 || start < shortest_mac_header || start + shortest > packet.size()) return false;
  const std::span<std::uint8_t> l4 = packet.subspan(start);
  if (context.l4 == L4::sctp) {
    const std::uint32_t checksum = sctp_checksum(l4);
    std::memcpy(l4.data() + sctp_checksum_offset, &checksum, sizeof checksum);
    return true;
  }
  const std::uint16_t checksum = InternetSum().add(l4).checksum();
  if (context.l4 == L4::tcp) {
    store_big_16(l4.data() + tcp_checksum, checksum);
  } else {
    store_big_16(l4.data() + udp_checksum, never_zero(checksum));
  }
  return true;
}

bool insert_legacy_checksum(std::span<std::uint8_t> packet, std::uint32_t start, std::uint32_t offset) noexcept {
  if (start >= packet.size() || offset + 2 > packet.size()) return false;
  store_big_16(packet.data() + offset, InternetSum().add(packet.subspan(start)).checksum());
  return true;
}

Segmentation::Segmentation(std::span<const std::uint8_t> packet, const TransmitContext& context) noexcept
    : packet_(packet), context_(context) {
  if (!headers_sound()) return;
  const auto payload = static_cast<std::uint32_t>(packet.size()) - context.header_length();
  const std::uint32_t segments = std::max(1u, (payload + context.mss - 1) / context.mss);
  segments_ = segments <= most_segments ? segments : 0;
}

bool Segmentation::headers_sound() const noexcept {
  if (context_.l4 != L4::tcp && context_.l4 != L4::udp) return false;
  return context_.mss != 0 && context_.header_length() <= packet_.size() &&
         context_.mac_length >= shortest_mac_header &&
         context_.ip_length >= (context_.ipv4 ? shortest_ipv4 : shortest_ipv6) &&
         context_.l4_length >= shortest_l4(context_.l4) && longest_segment() <= longest_frame;
}

std::uint32_t Segmentation::longest_segment() const noexcept {
  const auto packet = static_cast<std::uint32_t>(packet_.size());
  return std::min(packet, context_.header_length() + context_.mss);
}

std::uint32_t Segmentation::next(std::uint8_t* room) noexcept {
  if (segment_ == segments_) return 0;
  const std::uint32_t headers = context_.header_length();
  const std::uint32_t from = headers + segment_ * context_.mss;
  const std::uint32_t bytes = std::min(context_.mss, static_cast<std::uint32_t>(packet_.size()) - from);
  std::memcpy(room, packet_.data(), headers);
  if (bytes != 0) std::memcpy(room + headers, packet_.data() + from, bytes);
  std::uint8_t* const ip = room + context_.mac_length;
  renew_ip(ip, context_.l4_length + bytes);
  renew_l4(ip + context_.ip_length, context_.l4_length + bytes);
  ++segment_;
  return headers + bytes;
}

void Segmentation::renew_ip(std::uint8_t* ip, std::uint32_t l4_bytes) const noexcept {
  if (!context_.ipv4) {
    store_big_16(ip + ipv6_payload_length, context_.ip_length - shortest_ipv6 + l4_bytes);
    return;
  }
  store_big_16(ip + ipv4_total_length, context_.ip_length + l4_bytes);
  store_big_16(ip + ipv4_identification, load_big_16(ip + ipv4_identification) + segment_);
  store_ip_checksum(ip, context_.ip_length);
}

void Segmentation::renew_l4(std::uint8_t* l4, std::uint32_t l4_bytes) const noexcept {
  if (context_.l4 == L4::udp) {
    store_big_16(l4 + udp_length, l4_bytes);
    const std::uint16_t checksum = InternetSum().add(l4_bytes).add({l4, l4_bytes}).checksum();
    store_big_16(l4 + udp_checksum, never_zero(checksum));
    return;
  }
  store_big_32(l4 + tcp_sequence, load_big_32(l4 + tcp_sequence) + segment_ * context_.mss);
  if (segment_ != 0) l4[tcp_flags] &= static_cast<std::uint8_t>(~flag_cwr);
  if (segment_ + 1 != segments_) l4[tcp_flags] &= static_cast<std::uint8_t>(~(flag_fin | flag_psh));
  store_big_16(l4 + tcp_checksum, InternetSum().add(l4_bytes).add({l4, l4_bytes}).checksum());
}

}  // namespace ixcap::emulator
