#pragma once

/// Encodes pcapng blocks into memory (draft-ietf-opsawg-pcapng). Pure: no file, no clock, no state.
///
/// One section, one interface, little-endian, Ethernet, time in nanoseconds since 1970 UTC. docs/pcapng.md lists what
/// is written. Text is UTF-8 without an end mark; text that is empty is not written, and of one longer than an option
/// holds (65,535 bytes) the beginning is. A number that is not known is std::nullopt and is not written, never written
/// as 0.
///
/// The blocks written once or now and then are appended to a vector. The enhanced packet block, written for every
/// frame, goes to memory that the caller has measured with enhanced_packet_length().

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ixcap/capture/file_sink.hpp>

namespace ixcap::capture::pcapng {

static_assert(std::endian::native == std::endian::little,
              "blocks are written in the machine's byte order, little-endian");

using MacAddress = std::array<std::uint8_t, 6>;

inline constexpr std::uint32_t section_header_block = 0x0a0d0d0a;
inline constexpr std::uint32_t interface_description_block = 1;
inline constexpr std::uint32_t interface_statistics_block = 5;
inline constexpr std::uint32_t enhanced_packet_block = 6;

/// Section header block: what wrote the file, and where.
struct Section {
  std::string hardware = {};          ///< the machine ("Intel(R) Xeon(R) ...")
  std::string operating_system = {};  ///< "Linux 6.1.0-18-amd64"
  std::string application = {};       ///< "ixcap 0.1.0"
  std::string comment = {};
};

/// Interface description block: what the frames were captured from, and how.
struct InterfaceDescription {
  std::string name = {};         ///< "0000:03:00.0"
  std::string description = {};  ///< in words
  std::optional<MacAddress> mac = {};
  std::optional<std::uint64_t> speed_bits_per_second = {};
  std::string filter = {};            ///< the capture filter, in the words it was given
  std::string operating_system = {};  ///< of the machine the interface is in
  std::string hardware = {};          ///< "Intel 82599"
  std::uint32_t snaplen = 0;          ///< bytes kept of a frame at most; 0 = all
  std::uint8_t fcs_bytes = 0;         ///< of its frame check sequence that every frame ends with: 0 or 4
};

/// Interface statistics block. Counts are totals since the capture's start.
struct InterfaceStatistics {
  std::uint64_t timestamp_ns = 0;                          ///< when the counts were taken
  std::optional<std::uint64_t> start_ns = {};              ///< when the capture started
  std::optional<std::uint64_t> end_ns = {};                ///< when it ended; none while it runs
  std::optional<std::uint64_t> received = {};              ///< ifrecv: frames that arrived at the interface
  std::optional<std::uint64_t> dropped_by_interface = {};  ///< ifdrop: of these, lost for want of room in the card
  std::optional<std::uint64_t> accepted_by_filter = {};    ///< filteraccept: frames that passed the filter
  std::optional<std::uint64_t> dropped_by_system = {};     ///< osdrop: frames lost between filter and file
  std::optional<std::uint64_t> delivered = {};             ///< usrdeliv: frames handed to the file or another reader
  std::string comment = {};                                ///< on how the counts and times came about
};

/// The reception type of an enhanced packet block's flags.
enum class Reception : std::uint32_t { unknown = 0, unicast = 1, multicast = 2, broadcast = 3, promiscuous = 4 };

/// Enhanced packet block: a received frame, or one that was sent.
struct EnhancedPacket {
  std::uint64_t timestamp_ns;
  const std::uint8_t* data;       ///< captured_length bytes; not null
  std::uint32_t captured_length;  ///< at most 2 GiB: the block's length is a 32-bit number
  std::uint32_t wire_length;
  Reception reception;
  std::uint32_t queue;        ///< receive queue of the card
  std::uint64_t dropped = 0;  ///< dropcount: frames found lost since the previous packet; 0 is not written
  std::string_view comment = {};
  bool outbound = false;     ///< sent
  std::uint32_t errors = 0;  ///< link-layer-dependent errors: bits 16 to 31 of the flags
};

void append_section_header(std::vector<std::uint8_t>& out, const Section& section);
void append_interface_description(std::vector<std::uint8_t>& out, const InterfaceDescription& description);
/// `comments`: each becomes a comment of its own.
void append_interface_statistics(std::vector<std::uint8_t>& out, const InterfaceStatistics& statistics,
                                 const std::vector<std::string>& comments = {});

/// Tells a frame's reception type from its destination address: `own` is the interface's address. A unicast frame
/// without a known `own`, or less than an address captured, is unknown.
Reception reception_of(const std::uint8_t* data, std::uint32_t captured_length,
                       const std::optional<MacAddress>& own) noexcept;

using capture::WholeBlocks;
/// Counts the whole blocks in the first `count` bytes at `blocks`, which were encoded here.
WholeBlocks count_whole_blocks(const std::uint8_t* blocks, std::size_t count, bool at_start = false) noexcept;

// The enhanced packet block, inline because it is paid for 15 million times a second.

namespace detail {

constexpr std::uint64_t padded(std::uint64_t count) noexcept {
  return (count + 3) & ~std::uint64_t{3};
}

/// Bytes of a dropcount option and of a comment option, where they are present. Out of line: hardly ever needed.
std::size_t rare_options_length(const EnhancedPacket& packet) noexcept;
std::uint8_t* put_rare_options(std::uint8_t* out, const EnhancedPacket& packet) noexcept;

inline void put_u32(std::uint8_t* out, std::uint32_t value) noexcept {
  std::memcpy(out, &value, 4);
}
inline void put_u64(std::uint8_t* out, std::uint64_t value) noexcept {
  std::memcpy(out, &value, 8);
}
/// Two 32-bit numbers next to each other, in one store.
inline void put_pair(std::uint8_t* out, std::uint32_t first, std::uint32_t second) noexcept {
  put_u64(out, first | std::uint64_t{second} << 32);
}

inline constexpr std::size_t packet_head_length = 28;  // up to the frame
inline constexpr std::size_t packet_tail_length = 24;  // flags, queue, end of options, block length

}  // namespace detail

/// Bytes that put_enhanced_packet() writes for `packet`.
inline std::size_t enhanced_packet_length(const EnhancedPacket& packet) noexcept {
  std::size_t length = detail::packet_head_length + detail::padded(packet.captured_length) + detail::packet_tail_length;
  if (packet.dropped != 0 || !packet.comment.empty()) [[unlikely]]
    length += detail::rare_options_length(packet);
  return length;
}

/// Writes the block to `out`, which has room for `length` bytes: what enhanced_packet_length() said.
inline void put_enhanced_packet(std::uint8_t* out, const EnhancedPacket& packet, std::size_t length) noexcept {
  const auto block_length = static_cast<std::uint32_t>(length);
  std::uint8_t* const data = out + detail::packet_head_length;
  std::uint8_t* tail = data + detail::padded(packet.captured_length);
  // The padding, in one store; what it hits besides is written below.
  detail::put_u32(tail - 4, 0);
  detail::put_pair(out, enhanced_packet_block, block_length);
  detail::put_pair(out + 8, 0,
                   static_cast<std::uint32_t>(packet.timestamp_ns >> 32));  // interface 0, time's upper half
  detail::put_pair(out + 16, static_cast<std::uint32_t>(packet.timestamp_ns), packet.captured_length);
  detail::put_u32(out + 24, packet.wire_length);
  std::memcpy(data, packet.data, packet.captured_length);
  if (packet.dropped != 0 || !packet.comment.empty()) [[unlikely]]
    tail = detail::put_rare_options(tail, packet);
  constexpr std::uint32_t flags_option = 2 | 4u << 16;
  constexpr std::uint32_t queue_option = 6 | 4u << 16;
  const std::uint32_t direction = 1u << (packet.outbound ? 1 : 0);  // 1: inbound, 2: outbound
  const std::uint32_t reception = static_cast<std::uint32_t>(packet.reception) << 2;
  detail::put_pair(tail, flags_option, direction | reception | packet.errors);
  detail::put_pair(tail + 8, queue_option, packet.queue);
  detail::put_pair(tail + 16, 0, block_length);  // end of options
}

inline Reception reception_of(const std::uint8_t* data, std::uint32_t captured_length,
                              const std::optional<MacAddress>& own) noexcept {
  if (captured_length < sizeof(MacAddress)) return Reception::unknown;
  if ((data[0] & 1) != 0) {
    constexpr MacAddress broadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    return std::memcmp(data, broadcast.data(), broadcast.size()) == 0 ? Reception::broadcast : Reception::multicast;
  }
  if (!own) return Reception::unknown;
  return std::memcmp(data, own->data(), own->size()) == 0 ? Reception::unicast : Reception::promiscuous;
}

}  // namespace ixcap::capture::pcapng
