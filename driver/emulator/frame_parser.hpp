#pragma once

/// What the receive path understands of a frame: one VLAN tag, IPv4 or IPv6 with extension headers, TCP, UDP or SCTP
/// (data sheet 7.1.6.2, packet types). Whatever does not add up is simply not recognised.
///
/// Only bytes that are present are looked at; of a frame that its capture file truncated, the rest counts as unknown.

#include <cstdint>

#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::emulator {

struct ParsedFrame {
  enum class L3 : std::uint8_t { none, ipv4, ipv6 };
  enum class L4 : std::uint8_t { none, tcp, udp, sctp, esp, ah };

  bool tagged = false;           ///< with the VLAN ethertype that the parser was told
  std::uint16_t vlan = 0;        ///< tag control information
  std::uint16_t ethertype = 0;   ///< behind the tag
  L3 l3 = L3::none;              ///< with a header that is all there
  L4 l4 = L4::none;              ///< of an unfragmented packet, with a header that is all there
  bool ip_extended = false;      ///< IPv4 options, or IPv6 extension headers
  bool fragment = false;         ///< more fragments follow, or this is not the first
  bool rerouted = false;         ///< IPv6 routing header: the destination in the IP header may not be the last one
  std::uint8_t protocol = 0;     ///< of the upper layer
  std::uint32_t l3_offset = 0;   ///< bytes from the start of the frame; this and the following are 0 where unknown
  std::uint32_t l4_offset = 0;   ///< end of the IP headers
  std::uint32_t l4_end = 0;      ///< end of the IP packet, as its header says; may lie beyond the frame
  std::uint32_t header_end = 0;  ///< end of the last header recognised
};

/// `vlan_ethertype` as in VLNCTRL.VET.
ParsedFrame parse_frame(const WireFrame& frame, std::uint32_t vlan_ethertype) noexcept;

}  // namespace ixcap::emulator
