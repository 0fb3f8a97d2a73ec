#pragma once

/// The descriptors as the 82599 and the driver share them. Receive (data sheet 7.1.6, advanced descriptors, one
/// buffer; a header buffer's address stands where the 0 is):
///
///     written by the driver                            written back by the hardware
///     ┌──────────────────────────────────┐             ┌──────────────────┬──────────────────┐
///   0 │ address of the packet buffer     │           0 │ RSS type, packet │ RSS hash         │
///     ├──────────────────────────────────┤             ├─────────┬────────┼────────┬─────────┤
///   8 │ address of the header buffer: 0  │           8 │ status  │ errors │ length │ VLAN    │
///     └──────────────────────────────────┘             └─────────┴────────┴────────┴─────────┘
///                                                        19:0      31:20    47:32    63:48
///
/// Bit 0 of the second half is where DD lands: the driver writes 0 there, the hardware sets it last.
/// All fields are little-endian. What is read here was written by a device and is not to be trusted.

#include <cstddef>
#include <cstdint>

namespace ixcap::ixgbe {

/// The second half of a descriptor that the hardware has written back.
struct ReceiveStatus {
  static constexpr std::uint64_t DD = 1u << 0;    ///< descriptor done
  static constexpr std::uint64_t EOP = 1u << 1;   ///< last buffer of its frame
  static constexpr std::uint64_t TS = 1u << 16;   ///< the card has latched this frame's time
  static constexpr std::uint64_t CE = 1u << 24;   ///< FCS wrong; this and the next come only with FCTRL.SBP
  static constexpr std::uint64_t LE = 1u << 25;   ///< length field wrong
  static constexpr std::uint64_t PE = 1u << 27;   ///< packet error: a symbol on the wire was none
  static constexpr std::uint64_t OSE = 1u << 28;  ///< oversize
  static constexpr std::uint64_t USE = 1u << 29;  ///< undersize
  static constexpr std::uint64_t MAC_errors = CE | LE | PE | OSE | USE;
  static constexpr unsigned length_shift = 32;

  /// What a frame of which there is nothing to tell has of plain_mask.
  static constexpr std::uint64_t plain_mask = DD | EOP | TS | MAC_errors;
  static constexpr std::uint64_t plain_bits = DD | EOP;

  std::uint64_t bits;

  /// Done, one whole frame that fits its buffer, and nothing special about it.
  constexpr bool plain(std::uint32_t most_bytes) const noexcept {
    return (bits & plain_mask) == plain_bits && length() <= most_bytes;
  }

  constexpr bool done() const noexcept { return (bits & DD) != 0; }
  constexpr bool end_of_packet() const noexcept { return (bits & EOP) != 0; }
  /// Bytes in this descriptor's buffer.
  constexpr std::uint32_t length() const noexcept { return static_cast<std::uint16_t>(bits >> length_shift); }

  static constexpr ReceiveStatus of(std::uint32_t length, bool end_of_packet) noexcept {
    return {DD | (end_of_packet ? EOP : 0) | std::uint64_t{length} << length_shift};
  }
};

struct ReceiveDescriptor {
  // First half, dw0: RSS type 3:0, packet type 15:4 (from bit 4 on, in place), header length 30:21, SPH.
  static constexpr std::uint32_t rss_type_mask = 0xF;
  static constexpr std::uint32_t rss_tcp_ipv4 = 1;
  static constexpr std::uint32_t rss_ipv4 = 2;
  static constexpr std::uint32_t rss_tcp_ipv6 = 3;
  static constexpr std::uint32_t rss_ipv6 = 5;
  static constexpr std::uint32_t rss_udp_ipv4 = 7;
  static constexpr std::uint32_t rss_udp_ipv6 = 8;
  static constexpr std::uint32_t rss_flow_director = 0xF;  ///< no hash, but what Flow Director found
  static constexpr std::uint32_t type_ipv4 = 1u << 4;      ///< with options: and the bit above it
  static constexpr std::uint32_t type_ipv6 = 1u << 6;      ///< with extension headers: and the bit above it
  static constexpr std::uint32_t type_tcp = 1u << 8;
  static constexpr std::uint32_t type_udp = 1u << 9;
  static constexpr std::uint32_t type_sctp = 1u << 10;
  static constexpr std::uint32_t type_esp = 1u << 12;
  static constexpr std::uint32_t type_ah = 1u << 13;
  static constexpr std::uint32_t type_ethertype_filter = 1u << 15;  ///< the filter's number instead of the above
  static constexpr unsigned type_filter_shift = 4;
  static constexpr unsigned header_length_shift = 21;
  static constexpr std::uint32_t SPH = 1u << 31;  ///< split: the header is in the header buffer

  // Second half, dw2: status and errors, beside ReceiveStatus::DD and EOP. A legacy descriptor has the same status in
  // eight bits, and the errors in eight, from HBO's neighbour on.
  static constexpr std::uint32_t FLM = 1u << 2;              ///< Flow Director has a filter for it
  static constexpr std::uint32_t VP = 1u << 3;               ///< a VLAN tag was stripped
  static constexpr std::uint32_t UDPCS = 1u << 4;            ///< the L4 checksum was UDP's
  static constexpr std::uint32_t L4CS = 1u << 5;             ///< L4 checksum looked at
  static constexpr std::uint32_t IPCS = 1u << 6;             ///< IPv4 checksum looked at
  static constexpr std::uint32_t FDIR_LENGTH = 1u << 20;     ///< that filter is far down in its bucket
  static constexpr std::uint32_t FDIR_DROP = 1u << 21;       ///< and says drop
  static constexpr std::uint32_t FDIR_COLLISION = 1u << 22;  ///< and was programmed twice
  static constexpr std::uint32_t HBO = 1u << 23;             ///< the header did not fit its buffer
  static constexpr std::uint32_t CE = 1u << 24;              ///< CRC error; this and the next four only with FCTRL.SBP
  static constexpr std::uint32_t LE = 1u << 25;              ///< length error
  static constexpr std::uint32_t PE = 1u << 27;              ///< illegal symbol or error byte
  static constexpr std::uint32_t OSE = 1u << 28;             ///< oversize
  static constexpr std::uint32_t USE = 1u << 29;             ///< undersize
  static constexpr std::uint32_t TCPE = 1u << 30;            ///< L4 checksum wrong
  static constexpr std::uint32_t IPE = 1u << 31;             ///< IPv4 checksum wrong
  static constexpr unsigned legacy_status_shift = 32;
  static constexpr unsigned legacy_errors_shift = 40;
  static constexpr unsigned errors_shift = 24;  ///< of dw2: to what a legacy descriptor has as errors
  static constexpr unsigned vlan_shift = 48;

  std::uint64_t address;
  std::uint64_t status;

  /// Driver's side. Acquire order: who sees DD sees the frame, because the hardware writes DD last.
  ReceiveStatus load_status() const noexcept { return {__atomic_load_n(&status, __ATOMIC_ACQUIRE)}; }

  /// Driver's side: gives the descriptor back with `buffer` to fill. The doorbell's release order publishes it.
  void arm(std::uint64_t buffer) noexcept {
    address = buffer;
    __atomic_store_n(&status, 0, __ATOMIC_RELAXED);
  }

  /// Hardware's side. Release order: frame and first half are written before DD can be seen.
  void write_back(std::uint64_t first_half, ReceiveStatus second_half) noexcept {
    address = first_half;
    __atomic_store_n(&status, second_half.bits, __ATOMIC_RELEASE);
  }
};

static_assert(sizeof(ReceiveDescriptor) == 16);
static_assert(offsetof(ReceiveDescriptor, status) == 8);

/// The transmit descriptor (data sheet 7.2.3), of three kinds: legacy (DEXT off), context (no data: what the offloads
/// of the frames after it need to know) and data.
///
///              legacy                           context                           data
///   dw0, dw1   address of the buffer            IPLEN 8:0, MACLEN 15:9,           address of the buffer
///                                               VLAN 31:16; dw1 unused
///   command    length 15:0, CSO 23:16,          L4T 12:11, IPV4 10,               length 15:0,
///              command bits                     DTYP, DEXT                        DTYP, command bits
///   status     DD, CSS 15:8, VLAN 31:16         IDX, L4LEN 15:8, MSS 31:16        DD, IDX, IXSM, TXSM, PAYLEN 31:14
struct TransmitDescriptor {
  static constexpr std::uint32_t length_mask = 0xFFFF;
  static constexpr std::uint32_t DTYP_mask = 0xFu << 20;
  static constexpr std::uint32_t DTYP_context = 2u << 20;
  static constexpr std::uint32_t DTYP_data = 3u << 20;
  static constexpr std::uint32_t EOP = 1u << 24;   ///< last descriptor of its frame
  static constexpr std::uint32_t IFCS = 1u << 25;  ///< append the FCS
  static constexpr std::uint32_t IC = 1u << 26;    ///< legacy: insert a checksum at CSO, taken from CSS on
  static constexpr std::uint32_t RS = 1u << 27;    ///< report when done
  static constexpr std::uint32_t DEXT = 1u << 29;  ///< not legacy
  static constexpr std::uint32_t VLE = 1u << 30;   ///< insert a VLAN tag
  static constexpr std::uint32_t TSE = 1u << 31;   ///< data: cut into segments

  static constexpr std::uint32_t DD = 1u << 0;
  static constexpr unsigned IDX_shift = 4;
  static constexpr std::uint32_t IXSM = 1u << 8;  ///< data: insert the IPv4 header checksum
  static constexpr std::uint32_t TXSM = 1u << 9;  ///< data: insert the checksum of TCP, UDP or SCTP
  static constexpr unsigned PAYLEN_shift = 14;

  static constexpr std::uint32_t TSTAMP = 1u << 19;  ///< data, in the command: the card latches when the frame goes out

  std::uint64_t address;
  std::uint32_t command;
  std::uint32_t status;

  /// Hardware's side: a copy, so that a driver that changes the original meanwhile changes nothing here.
  TransmitDescriptor load() const noexcept {
    return {__atomic_load_n(&address, __ATOMIC_RELAXED), __atomic_load_n(&command, __ATOMIC_RELAXED),
            __atomic_load_n(&status, __ATOMIC_RELAXED)};
  }

  /// Hardware's side. Release order: whoever sees DD may reuse the buffer.
  void report_done(std::uint32_t kept_bits) noexcept { __atomic_store_n(&status, kept_bits | DD, __ATOMIC_RELEASE); }

  /// Driver's side: all of the descriptor, not done. The doorbell's release order publishes it.
  void prepare(std::uint64_t buffer, std::uint32_t command_bits, std::uint32_t status_bits) noexcept {
    __atomic_store_n(&address, buffer, __ATOMIC_RELAXED);
    __atomic_store_n(&command, command_bits, __ATOMIC_RELAXED);
    __atomic_store_n(&status, status_bits, __ATOMIC_RELAXED);
  }

  /// Driver's side. Acquire order.
  bool done() const noexcept { return (__atomic_load_n(&status, __ATOMIC_ACQUIRE) & DD) != 0; }
};

static_assert(sizeof(TransmitDescriptor) == 16);
static_assert(offsetof(TransmitDescriptor, status) == 12);

}  // namespace ixcap::ixgbe
