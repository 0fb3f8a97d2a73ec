#include <cstring>
#include <utility>

#include <ixcap/driver/emulator/packet_builder.hpp>

namespace ixcap::emulator {
namespace {

/// Adds `bytes` to a one's complement sum (RFC 1071); an odd last byte counts as if a zero followed.
std::uint32_t add_to_sum(std::uint32_t sum, ByteView bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i]) << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

}  // namespace

PacketBuilder& PacketBuilder::u8(unsigned value) {
  assert(room() >= 1);
  bytes_[end_++] = static_cast<std::uint8_t>(value);
  return *this;
}

PacketBuilder& PacketBuilder::u16(unsigned value) {
  return u8(value >> 8 & 0xff).u8(value & 0xff);
}

PacketBuilder& PacketBuilder::u32(std::uint32_t value) {
  return u16(value >> 16).u16(value & 0xffff);
}

PacketBuilder& PacketBuilder::append(ByteView bytes) {
  for (const std::uint8_t byte : bytes) u8(byte);
  return *this;
}

PacketBuilder& PacketBuilder::append(std::string_view text) {
  for (const char letter : text) u8(static_cast<std::uint8_t>(letter));
  return *this;
}

PacketBuilder& PacketBuilder::ethernet(const MacAddress& destination, const MacAddress& source) {
  return append(ByteView(destination)).append(ByteView(source));
}

PacketBuilder& PacketBuilder::tag(std::uint16_t protocol, std::uint16_t vlan) {
  return u16(protocol).u16(vlan);
}

PacketBuilder& PacketBuilder::ipv4(const Ipv4Header& header, std::size_t payload_length) {
  const std::size_t start = end_;
  u8(0x45).u8(0).u16(static_cast<unsigned>(ipv4_header + payload_length));
  u16(header.identification).u16(header.flags_and_offset);
  u8(64).u8(header.protocol).u16(0);  // time to live, protocol, checksum
  u32(header.source).u32(header.destination);
  put_checksum(start, start + 10, 0);
  pseudo_header_sum_ = add_to_sum(header.protocol, ByteView(bytes_).subspan(end_ - 8, 8));
  return *this;
}

PacketBuilder& PacketBuilder::ipv6(const Ipv6Header& header, std::size_t payload_length) {
  u32(6u << 28 | (header.flow_label & 0xfffff)).u16(static_cast<unsigned>(payload_length));
  u8(header.next_header).u8(64);  // hop limit
  append(ByteView(header.source)).append(ByteView(header.destination));
  pseudo_header_sum_ = add_to_sum(header.next_header, ByteView(bytes_).subspan(end_ - 32, 32));
  return *this;
}

PacketBuilder& PacketBuilder::tcp(const TcpHeader& header, ByteView options, ByteView payload) {
  assert(options.size() % 4 == 0);
  constexpr unsigned window = 64240;
  const std::size_t start = end_;
  const auto words = static_cast<unsigned>((tcp_header + options.size()) / 4);
  u16(header.source_port).u16(header.destination_port).u32(header.sequence).u32(header.acknowledgement);
  u8(words << 4).u8(header.flags).u16(window).u16(0).u16(0);  // checksum, urgent pointer
  append(options).append(payload);
  put_checksum(start, start + 16, pseudo_header_sum_ + static_cast<std::uint32_t>(end_ - start));
  return *this;
}

PacketBuilder& PacketBuilder::udp(std::uint16_t source_port, std::uint16_t destination_port, ByteView payload) {
  const std::size_t start = end_;
  const auto length = static_cast<std::uint32_t>(udp_header + payload.size());
  u16(source_port).u16(destination_port).u16(length).u16(0).append(payload);
  put_checksum(start, start + 6, pseudo_header_sum_ + length);
  // 0 would say "no checksum"; all ones is the same number in one's complement (RFC 768).
  if (bytes_[start + 6] == 0 && bytes_[start + 7] == 0) bytes_[start + 6] = bytes_[start + 7] = 0xff;
  return *this;
}

PacketBuilder& PacketBuilder::icmp_echo(bool reply, std::uint16_t identifier, std::uint16_t sequence,
                                        ByteView payload) {
  pseudo_header_sum_ = 0;  // ICMP over IPv4 covers itself only
  return echo(reply ? 0 : 8, identifier, sequence, payload);
}

PacketBuilder& PacketBuilder::icmpv6_echo(bool reply, std::uint16_t identifier, std::uint16_t sequence,
                                          ByteView payload) {
  pseudo_header_sum_ += static_cast<std::uint32_t>(icmp_echo_header + payload.size());
  return echo(reply ? 129 : 128, identifier, sequence, payload);
}

PacketBuilder& PacketBuilder::echo(unsigned type, std::uint16_t identifier, std::uint16_t sequence, ByteView payload) {
  const std::size_t start = end_;
  u8(type).u8(0).u16(0).u16(identifier).u16(sequence).append(payload);
  put_checksum(start, start + 2, pseudo_header_sum_);
  return *this;
}

/// Writes the Internet checksum of everything appended since `from`, and of what `sum` holds, to offset `at`.
void PacketBuilder::put_checksum(std::size_t from, std::size_t at, std::uint32_t sum) {
  sum = add_to_sum((sum & 0xffff) + (sum >> 16), ByteView(bytes_).subspan(from, end_ - from));
  const std::uint32_t checksum = ~((sum & 0xffff) + (sum >> 16));
  bytes_[at] = static_cast<std::uint8_t>(checksum >> 8);
  bytes_[at + 1] = static_cast<std::uint8_t>(checksum);
}

}  // namespace ixcap::emulator
