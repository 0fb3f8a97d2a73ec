#pragma once

/// Makes the frames of the traffic `mix`, one of a wanted kind and length at a time.
///
/// A frame is filled to its length by its own content where the kind has content: HTTP by its path or body, TLS by its
/// record, DNS by EDNS padding (RFC 7830), echo and plain UDP by their data. SYN, SYN-ACK, ACK, FIN and ARP have none
/// and are followed by zeros, as a card pads. What does not fit gets a smaller form: DNS in a 60-byte frame asks for
/// the root (17 of the 18 bytes there) and is answered with TC, an IPv6 frame too short for its upper layer has No Next
/// Header. Each frame is of another conversation, except that two fragments in a row make one datagram.

#include <array>
#include <cstdint>

#include <ixcap/driver/emulator/packet_builder.hpp>
#include <ixcap/driver/emulator/random.hpp>

namespace ixcap::emulator {

enum class FrameKind : std::uint8_t {
  tcp_syn,
  tcp_syn_ack,
  tcp_ack,
  tcp_fin,
  tcp_http,
  tcp_tls,
  tcp_other,
  dns_query,
  dns_answer,
  udp_other,
  ipv4_fragment,
  icmp_echo,
  arp,
  ipv6_bare,
  ipv6_tcp,
  ipv6_udp,
  ipv6_dns,
  ipv6_icmp,
  vlan_tcp,
  vlan_udp,
  qinq_udp,
};

/// How many frames of a kind a deck holds, by the size they have in imix.
struct FrameShare {
  FrameKind kind;
  std::uint8_t small;   ///< 64 bytes
  std::uint8_t medium;  ///< 594 bytes
  std::uint8_t large;   ///< 1518 bytes
};

// clang-format off
inline constexpr std::array<FrameShare, 21> deck_shares{{
    {FrameKind::tcp_syn,       12,  0, 0},
    {FrameKind::tcp_syn_ack,    8,  0, 0},
    {FrameKind::tcp_ack,       26,  0, 0},
    {FrameKind::tcp_fin,        8,  0, 0},
    {FrameKind::tcp_http,       4, 10, 4},
    {FrameKind::tcp_tls,        8, 18, 6},
    {FrameKind::tcp_other,      6, 10, 2},
    {FrameKind::dns_query,     14,  2, 0},
    {FrameKind::dns_answer,     4, 10, 0},
    {FrameKind::udp_other,     14,  4, 2},
    {FrameKind::ipv4_fragment,  0,  4, 0},  // of one size and even, so that each has its other half in the deck
    {FrameKind::icmp_echo,      8,  2, 0},
    {FrameKind::arp,           12,  0, 0},
    {FrameKind::ipv6_bare,      4,  0, 0},
    {FrameKind::ipv6_tcp,       0,  8, 4},
    {FrameKind::ipv6_udp,       0,  2, 0},
    {FrameKind::ipv6_dns,       0,  2, 0},
    {FrameKind::ipv6_icmp,      0,  2, 0},
    {FrameKind::vlan_tcp,       6,  2, 2},
    {FrameKind::vlan_udp,       4,  2, 0},
    {FrameKind::qinq_udp,       2,  2, 0},
}};
// clang-format on

/// Bytes of VLAN tags in a frame of this kind.
constexpr std::uint32_t tag_bytes(FrameKind kind) {
  if (kind == FrameKind::qinq_udp) return 8;
  return kind == FrameKind::vlan_tcp || kind == FrameKind::vlan_udp ? 4 : 0;
}

class FrameMixer {
 public:
  explicit FrameMixer(Random& random) : random_(random) {}

  /// A new frame of `length` bytes (without FCS), 60 to longest_frame.
  Bytes make(FrameKind kind, std::uint32_t length);

 private:
  /// One direction of a conversation.
  struct Way {
    Ipv4Address source;
    Ipv4Address destination;
    std::uint16_t source_port;
    std::uint16_t destination_port;
  };

  Ipv4Address client();
  Ipv4Address server();
  std::uint16_t client_port();
  std::uint16_t identification() { return static_cast<std::uint16_t>(random_.next()); }
  Way way(std::uint16_t server_port, bool to_server);
  Way dns_way(bool answer);

  PacketBuilder start(std::uint32_t length, const Way& way, FrameKind kind);
  Bytes tcp_segment(FrameKind kind, std::uint32_t length, const Way& way, std::uint8_t flags);
  Bytes udp_datagram(FrameKind kind, std::uint32_t length, const Way& way);
  Bytes ipv4_fragment(std::uint32_t length);
  Bytes icmp_echo(std::uint32_t length);
  Bytes arp(std::uint32_t length);
  Bytes ipv6(FrameKind kind, std::uint32_t length);

  Bytes text(std::size_t length);
  Bytes http(std::size_t length, bool request);
  Bytes tls_record(std::size_t length);
  Bytes dns_message(std::size_t room, bool answer);

  struct SecondFragment {
    Ipv4Header header;
    Bytes payload;
  };

  Random& random_;
  SecondFragment second_fragment_{};  // of the datagram begun by the last fragment made; empty if it was complete
};

}  // namespace ixcap::emulator
