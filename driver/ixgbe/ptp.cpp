#include <ixcap/driver/ixgbe/ptp.hpp>

namespace ixcap::ixgbe {
namespace {

constexpr std::size_t message_bytes = 34;
constexpr std::uint8_t version = 2;
constexpr std::uint8_t last_event = 3;

constexpr std::uint32_t ethertype_vlan = 0x8100;
constexpr std::uint32_t ethertype_ipv4 = 0x0800;
constexpr std::uint32_t ethertype_ipv6 = 0x86DD;
constexpr std::uint8_t protocol_udp = 17;
constexpr std::size_t udp_header = 8;

std::uint32_t big_16(const std::uint8_t* bytes) noexcept {
  return std::uint32_t{bytes[0]} << 8 | bytes[1];
}

/// Bytes up to the UDP header of an IP packet that holds a whole one; 0 if there is none.
std::size_t udp_offset(std::span<const std::uint8_t> packet, std::uint32_t ethertype) noexcept {
  constexpr std::size_t ipv4_header = 20;
  constexpr std::size_t ipv6_header = 40;
  if (ethertype == ethertype_ipv4 && packet.size() >= ipv4_header) {
    const std::size_t header = (packet[0] & 0xFu) * 4;
    const bool fragment = (big_16(&packet[6]) & 0x3FFF) != 0;
    const bool udp = packet[9] == protocol_udp && header >= ipv4_header && !fragment;
    return udp && packet.size() >= header + udp_header ? header : 0;
  }
  if (ethertype == ethertype_ipv6 && packet.size() >= ipv6_header + udp_header) {
    return packet[6] == protocol_udp ? ipv6_header : 0;
  }
  return 0;
}

}  // namespace

std::span<const std::uint8_t> ptp_event(std::span<const std::uint8_t> frame) noexcept {
  constexpr std::size_t ethernet_header = 14;
  constexpr std::size_t tag = 4;
  std::size_t start = ethernet_header;
  if (frame.size() < start + tag) return {};
  if (big_16(&frame[start - 2]) == ethertype_vlan) start += tag;
  const std::uint32_t ethertype = big_16(&frame[start - 2]);
  if (ethertype != ethertype_ptp) {
    const std::size_t udp = udp_offset(frame.subspan(start), ethertype);
    if (udp == 0 || big_16(&frame[start + udp + 2]) != ptp_event_port) return {};
    start += udp + udp_header;
  }
  if (frame.size() < start + message_bytes) return {};
  const std::span<const std::uint8_t> message = frame.subspan(start);
  return (message[1] & 0xF) == version && (message[0] & 0xF) <= last_event ? message : std::span<const std::uint8_t>{};
}

}  // namespace ixcap::ixgbe
