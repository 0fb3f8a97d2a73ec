#pragma once

/// What the transmit path does to a packet before it becomes frames: checksums (data sheet 7.2.5) and segmentation
/// (7.2.4). No descriptors, no registers, no wire.
///
///     packet   [ L2 header, MACLEN │ IP header, IPLEN │ L4 header, L4LEN │ payload ........................... ]
///     segment  [ the same headers, lengths, ids, flags and checksums renewed │ MSS bytes of payload, or what is left ]
///
/// The driver stores the sum of the pseudo-header in the L4 checksum field, without the length when it asks for
/// segmentation; the card adds the rest. The lengths come from the driver's context descriptor and are not trusted:
/// headers that are not all inside the packet, or too short to hold the fields to be renewed, are refused.

#include <cstdint>
#include <span>

#include <ixcap/driver/ixgbe/descriptors.hpp>

namespace ixcap::emulator {

/// A context descriptor taken apart.
struct TransmitContext {
  enum class L4 : std::uint8_t { udp, tcp, sctp, reserved };

  std::uint32_t mac_length = 0;  ///< bytes of L2 header, tags in the packet included
  std::uint32_t ip_length = 0;   ///< bytes of IP header with options or extension headers
  std::uint32_t l4_length = 0;   ///< bytes of L4 header; used by segmentation only
  std::uint32_t mss = 0;         ///< bytes of payload a segment
  std::uint16_t vlan = 0;        ///< tag control information to insert
  bool ipv4 = false;             ///< IPv6 otherwise
  L4 l4 = L4::udp;

  static TransmitContext of(const ixgbe::TransmitDescriptor& descriptor) noexcept;

  std::uint32_t header_length() const noexcept { return mac_length + ip_length + l4_length; }
};

/// The shortest packet that offloads look into: an Ethernet header.
inline constexpr std::uint32_t shortest_mac_header = 14;

/// Inserts the IPv4 header checksum. False, and nothing changed, when the header is not inside the packet.
bool insert_ip_checksum(std::span<std::uint8_t> packet, const TransmitContext& context) noexcept;

/// Completes the checksum of TCP, UDP or SCTP, from the seed in its field and all that follows the IP header. False,
/// and nothing changed, when the field is not inside the packet.
bool insert_l4_checksum(std::span<std::uint8_t> packet, const TransmitContext& context) noexcept;

/// Legacy offload: the checksum from `start` on goes to `offset`. False, and nothing changed, when they are outside.
bool insert_legacy_checksum(std::span<std::uint8_t> packet, std::uint32_t start, std::uint32_t offset) noexcept;

/// Cuts one packet into segments, each with headers of its own.
///
/// Ownership: borrows packet and context.
class Segmentation {
 public:
  /// More segments than a driver asks for: a bound on what one packet can make.
  static constexpr std::uint32_t most_segments = 4096;

  Segmentation(std::span<const std::uint8_t> packet, const TransmitContext& context) noexcept;

  /// Whether the packet can be cut; otherwise there is nothing to be had from next().
  bool sound() const noexcept { return segments_ != 0; }
  std::uint32_t segments() const noexcept { return segments_; }

  /// The longest segment, bytes.
  std::uint32_t longest_segment() const noexcept;

  /// Writes the next segment to `room`, at least longest_segment() bytes; answers its length, 0 after the last.
  std::uint32_t next(std::uint8_t* room) noexcept;

 private:
  bool headers_sound() const noexcept;
  void renew_ip(std::uint8_t* ip, std::uint32_t l4_bytes) const noexcept;
  void renew_l4(std::uint8_t* l4, std::uint32_t l4_bytes) const noexcept;

  std::span<const std::uint8_t> packet_;
  const TransmitContext& context_;
  std::uint32_t segments_ = 0;
  std::uint32_t segment_ = 0;
};

}  // namespace ixcap::emulator
