#pragma once

/// Builds one frame of a length fixed in advance, front to back: each call appends a header or bytes in network order.
///
///     PacketBuilder packet(60);
///     packet.ethernet(server_mac, client_mac).ethertype(0x0800);
///     packet.ipv4({.source = client, .destination = server, .protocol = 6}, 20);
///     packet.tcp({.source_port = 40000, .destination_port = 80, .flags = flag_syn}, {}, {});
///
/// Lengths and checksums are computed; what is never appended is zeros, as a card pads a frame. The last IP header
/// appended is the one whose pseudo-header TCP, UDP and ICMPv6 checksums cover. Appending more than fits is a
/// programming error (asserted).

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace ixcap::emulator {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MacAddress = std::array<std::uint8_t, 6>;
using Ipv4Address = std::uint32_t;  ///< host order: 10.0.0.1 is 0x0a000001
using Ipv6Address = std::array<std::uint8_t, 16>;

inline constexpr std::size_t ethernet_header = 14;
inline constexpr std::size_t ipv4_header = 20;
inline constexpr std::size_t ipv6_header = 40;
inline constexpr std::size_t tcp_header = 20;  ///< without options
inline constexpr std::size_t udp_header = 8;
inline constexpr std::size_t icmp_echo_header = 8;

inline constexpr std::uint8_t protocol_icmp = 1;
inline constexpr std::uint8_t protocol_tcp = 6;
inline constexpr std::uint8_t protocol_udp = 17;
inline constexpr std::uint8_t protocol_icmpv6 = 58;
inline constexpr std::uint8_t protocol_none = 59;  ///< IPv6 No Next Header (RFC 8200 4.7)

inline constexpr std::uint8_t flag_fin = 0x01;
inline constexpr std::uint8_t flag_syn = 0x02;
inline constexpr std::uint8_t flag_push = 0x08;
inline constexpr std::uint8_t flag_ack = 0x10;

struct Ipv4Header {
  Ipv4Address source;
  Ipv4Address destination;
  std::uint8_t protocol;
  std::uint16_t identification = 0;
  std::uint16_t flags_and_offset = 0x4000;  ///< don't fragment; the offset counts units of 8 bytes
};

struct Ipv6Header {
  Ipv6Address source;
  Ipv6Address destination;
  std::uint8_t next_header;
  std::uint32_t flow_label = 0;
};

struct TcpHeader {
  std::uint16_t source_port;
  std::uint16_t destination_port;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint8_t flags = 0;
};

class PacketBuilder {
 public:
  explicit PacketBuilder(std::size_t length) : bytes_(length) {}

  /// Bytes that may still be appended.
  std::size_t room() const { return bytes_.size() - end_; }

  PacketBuilder& ethernet(const MacAddress& destination, const MacAddress& source);  ///< up to the ethertype
  PacketBuilder& tag(std::uint16_t protocol, std::uint16_t vlan);                    ///< 802.1Q or 802.1ad
  PacketBuilder& ethertype(std::uint16_t type) { return u16(type); }
  PacketBuilder& ipv4(const Ipv4Header& header, std::size_t payload_length);
  PacketBuilder& ipv6(const Ipv6Header& header, std::size_t payload_length);
  PacketBuilder& tcp(const TcpHeader& header, ByteView options, ByteView payload);  ///< options: whole 32-bit words
  PacketBuilder& udp(std::uint16_t source_port, std::uint16_t destination_port, ByteView payload);
  PacketBuilder& icmp_echo(bool reply, std::uint16_t identifier, std::uint16_t sequence, ByteView payload);
  PacketBuilder& icmpv6_echo(bool reply, std::uint16_t identifier, std::uint16_t sequence, ByteView payload);

  PacketBuilder& u8(unsigned value);
  PacketBuilder& u16(unsigned value);
  PacketBuilder& u32(std::uint32_t value);
  PacketBuilder& append(ByteView bytes);
  PacketBuilder& append(std::string_view text);

  /// The frame, all of its length; leaves the builder empty.
  Bytes take() { return std::move(bytes_); }

 private:
  PacketBuilder& echo(unsigned type, std::uint16_t identifier, std::uint16_t sequence, ByteView payload);
  void put_checksum(std::size_t from, std::size_t at, std::uint32_t sum);

  Bytes bytes_;
  std::size_t end_ = 0;
  std::uint32_t pseudo_header_sum_ = 0;  // addresses and protocol; the length is added where it is known
};

}  // namespace ixcap::emulator
