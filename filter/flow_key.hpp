#pragma once

/// What a frame says about who talks to whom: its addresses and ports, as flow sets (flow_set.hpp) look them up.
///
/// Threads: any. Errors: only Address::parse throws.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <ixcap/driver/frame.hpp>

namespace ixcap::filter {

enum class Family : std::uint8_t { ipv4, ipv6 };

/// An IP address. Bytes are in network order; an IPv4 address has the first four, the others are 0.
struct Address {
  Family family = Family::ipv4;
  std::array<std::uint8_t, 16> bytes = {};

  /// `value` as it is written, most significant byte first: 0x0a000001 is 10.0.0.1.
  static constexpr Address ipv4(std::uint32_t value) noexcept {
    Address address;
    for (unsigned i = 0; i < 4; ++i) address.bytes[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
    return address;
  }
  static constexpr Address ipv6(const std::array<std::uint8_t, 16>& bytes) noexcept { return {Family::ipv6, bytes}; }

  /// `10.0.0.1` or `2001:db8::1`; no names, no prefixes. Throws Error.
  static Address parse(std::string_view text);

  std::string to_string() const;

  friend auto operator<=>(const Address&, const Address&) = default;
};

/// A 5-tuple. Both addresses are of one family; ports are in host order.
struct Flow {
  std::uint8_t protocol = 0;  ///< IP protocol number: 6 TCP, 17 UDP, 132 SCTP
  Address source = {};
  std::uint16_t source_port = 0;
  Address destination = {};
  std::uint16_t destination_port = 0;

  /// The same flow seen from the other side.
  Flow reversed() const noexcept { return {protocol, destination, destination_port, source, source_port}; }

  friend bool operator==(const Flow&, const Flow&) = default;
};

/// What was found in one frame. What was not found means nothing in `flow`.
struct FrameKey {
  bool has_source = false;       ///< source address
  bool has_destination = false;  ///< destination address
  bool has_ports = false;        ///< the whole of the flow
  Flow flow = {};
};

/// Reads addresses and ports: Ethernet; up to two VLAN tags (802.1Q, 802.1ad); IPv4 or IPv6, the latter with up to
/// most_extension_headers extension headers; TCP, UDP or SCTP.
///
/// Nothing beyond captured_length is read: what lies there is not found. Ports are found in unfragmented packets and in
/// first fragments only; addresses in all. The lengths that the IP headers state are not looked at, nor are checksums.
FrameKey frame_key(const Frame& frame) noexcept;

/// Beyond this many extension headers no ports are found.
inline constexpr unsigned most_extension_headers = 8;

/// The two addresses that pcap-filter(7)'s `host` looks at, each found where it is wholly captured; no ports.
///
/// As `host` does, this goes by the ethertype of an untagged frame alone: 0x0800 and 0x86dd for IP, 0x0806 and 0x8035
/// for ARP and RARP, whose sender and target protocol addresses are taken for IPv4 ones. No other field is looked at.
FrameKey host_key(const Frame& frame) noexcept;

}  // namespace ixcap::filter
