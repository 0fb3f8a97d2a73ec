#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/frame_parser.hpp>

namespace ixcap::emulator {
namespace {

using L3 = ParsedFrame::L3;
using L4 = ParsedFrame::L4;

constexpr std::uint32_t ethertype_offset = 12;
constexpr std::uint32_t vlan_tag_bytes = 4;
constexpr std::uint16_t ethertype_ipv4 = 0x0800;
constexpr std::uint16_t ethertype_ipv6 = 0x86DD;
constexpr std::uint32_t shortest_ipv4 = 20;
constexpr std::uint32_t ipv6_header = 40;
constexpr std::uint32_t extension_unit = 8;

// IP protocol numbers.
constexpr std::uint8_t hop_by_hop = 0;
constexpr std::uint8_t tcp = 6;
constexpr std::uint8_t udp = 17;
constexpr std::uint8_t routing = 43;
constexpr std::uint8_t fragment = 44;
constexpr std::uint8_t esp = 50;
constexpr std::uint8_t ah = 51;
constexpr std::uint8_t destination_options = 60;
constexpr std::uint8_t sctp = 132;

/// Extension headers that are followed; a longer chain is not recognised.
constexpr int most_extension_headers = 8;

class Parser {
 public:
  Parser(const WireFrame& frame, std::uint32_t vlan_ethertype) : bytes_(frame.bytes), present_(frame.captured_length) {
    if (!has(0, ethertype_offset + 2)) return;
    std::uint32_t offset = ethertype_offset;
    result_.ethertype = load_big_16(bytes_ + offset);
    if (result_.ethertype == vlan_ethertype && has(offset, vlan_tag_bytes + 2)) {
      result_.tagged = true;
      result_.vlan = load_big_16(bytes_ + offset + 2);
      offset += vlan_tag_bytes;
      result_.ethertype = load_big_16(bytes_ + offset);
    }
    result_.header_end = offset + 2;
    if (result_.ethertype == ethertype_ipv4) take_ipv4(offset + 2);
    if (result_.ethertype == ethertype_ipv6) take_ipv6(offset + 2);
    if (result_.l3 != L3::none && !result_.fragment) take_l4();
  }

  const ParsedFrame& result() const noexcept { return result_; }

 private:
  bool has(std::uint32_t offset, std::uint32_t length) const noexcept {
    return offset <= present_ && length <= present_ - offset;
  }

  void take_ipv4(std::uint32_t offset) noexcept {
    if (!has(offset, shortest_ipv4) || bytes_[offset] >> 4 != 4) return;
    const std::uint32_t header = (bytes_[offset] & 0xFu) * 4;
    const std::uint32_t total = load_big_16(bytes_ + offset + 2);
    if (header < shortest_ipv4 || !has(offset, header) || total < header) return;
    constexpr std::uint16_t more_fragments_and_offset = 0x3FFF;
    result_.l3 = L3::ipv4;
    result_.ip_extended = header > shortest_ipv4;
    result_.fragment = (load_big_16(bytes_ + offset + 6) & more_fragments_and_offset) != 0;
    result_.protocol = bytes_[offset + 9];
    result_.l3_offset = offset;
    result_.l4_offset = result_.header_end = offset + header;
    result_.l4_end = offset + total;
  }

  void take_ipv6(std::uint32_t offset) noexcept {
    if (!has(offset, ipv6_header) || bytes_[offset] >> 4 != 6) return;
    std::uint32_t end = offset + ipv6_header;
    std::uint8_t next = bytes_[offset + 6];
    for (int count = 0; is_extension(next); ++count) {
      if (count == most_extension_headers || !has(end, extension_unit)) return;
      // A fragment header has a fixed length, and zero where the others have theirs.
      const std::uint32_t length =
          next == fragment ? extension_unit : extension_unit * (std::uint32_t{bytes_[end + 1]} + 1);
      if (!has(end, length)) return;
      constexpr std::uint16_t offset_and_more_fragments = 0xFFF9;
      if (next == fragment) result_.fragment = (load_big_16(bytes_ + end + 2) & offset_and_more_fragments) != 0;
      result_.rerouted |= next == routing;
      result_.ip_extended = true;
      next = bytes_[end];
      end += length;
      if (result_.fragment) break;
    }
    result_.l3 = L3::ipv6;
    result_.protocol = next;
    result_.l3_offset = offset;
    result_.l4_offset = result_.header_end = end;
    result_.l4_end = offset + ipv6_header + load_big_16(bytes_ + offset + 4);
  }

  static bool is_extension(std::uint8_t protocol) noexcept {
    return protocol == hop_by_hop || protocol == routing || protocol == fragment || protocol == destination_options;
  }

  void take_l4() noexcept {
    constexpr std::uint32_t shortest_tcp = 20;
    constexpr std::uint32_t udp_header = 8;
    constexpr std::uint32_t sctp_header = 12;
    const std::uint32_t offset = result_.l4_offset;
    if (result_.protocol == tcp && has(offset, shortest_tcp)) {
      const std::uint32_t header = (bytes_[offset + 12] >> 4) * 4u;
      if (header >= shortest_tcp && has(offset, header)) take_l4(L4::tcp, header);
    } else if (result_.protocol == udp && has(offset, udp_header)) {
      take_l4(L4::udp, udp_header);
    } else if (result_.protocol == sctp && has(offset, sctp_header)) {
      take_l4(L4::sctp, sctp_header);
    } else if (result_.protocol == esp || result_.protocol == ah) {
      take_l4(result_.protocol == esp ? L4::esp : L4::ah, 0);
    }
  }

  void take_l4(L4 l4, std::uint32_t header) noexcept {
    if (result_.l4_offset + header > result_.l4_end) return;  // the header would lie outside the packet
    result_.l4 = l4;
    result_.header_end = result_.l4_offset + header;
  }

  const std::uint8_t* bytes_;
  std::uint32_t present_;
  ParsedFrame result_;
};

}  // namespace

ParsedFrame parse_frame(const WireFrame& frame, std::uint32_t vlan_ethertype) noexcept {
  return Parser(frame, vlan_ethertype).result();
}

}  // namespace ixcap::emulator
