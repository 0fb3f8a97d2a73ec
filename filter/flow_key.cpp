#include <arpa/inet.h>

#include <array>
#include <cstring>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/flow_key.hpp>

namespace ixcap::filter {
namespace {

constexpr std::uint16_t ethertype_ipv4 = 0x0800;
constexpr std::uint16_t ethertype_arp = 0x0806;
constexpr std::uint16_t ethertype_rarp = 0x8035;
constexpr std::uint16_t ethertype_vlan = 0x8100;
constexpr std::uint16_t ethertype_ipv6 = 0x86dd;
constexpr std::uint16_t ethertype_service_vlan = 0x88a8;
constexpr unsigned most_tags = 2;

constexpr std::uint8_t tcp = 6;
constexpr std::uint8_t udp = 17;
constexpr std::uint8_t sctp = 132;

// IPv6 next headers that are walked over.
constexpr std::uint8_t hop_by_hop = 0;
constexpr std::uint8_t routing = 43;
constexpr std::uint8_t fragment = 44;
constexpr std::uint8_t authentication = 51;
constexpr std::uint8_t destination_options = 60;
constexpr std::uint8_t mobility = 135;
constexpr std::uint8_t host_identity = 139;
constexpr std::uint8_t shim6 = 140;

// The captured bytes. Offsets stay far below 2^32 (at most 8 extension headers of about 2 KiB), so sums do not wrap.
struct Bytes {
  const std::uint8_t* data;
  std::uint32_t size;

  bool has(std::uint32_t offset, std::uint32_t count) const noexcept { return size >= count && offset <= size - count; }
  std::uint8_t byte(std::uint32_t offset) const noexcept { return data[offset]; }
  std::uint16_t half(std::uint32_t offset) const noexcept {
    return static_cast<std::uint16_t>(data[offset] << 8 | data[offset + 1]);
  }
  Address ipv4(std::uint32_t offset) const noexcept {
    Address address;
    std::memcpy(address.bytes.data(), data + offset, 4);
    return address;
  }
  Address ipv6(std::uint32_t offset) const noexcept {
    Address address;
    address.family = Family::ipv6;
    std::memcpy(address.bytes.data(), data + offset, 16);
    return address;
  }
};

void find_ports(const Bytes& bytes, std::uint32_t offset, std::uint8_t protocol, FrameKey& key) noexcept {
  if (protocol != tcp && protocol != udp && protocol != sctp) return;
  if (!bytes.has(offset, 4)) return;
  key.has_ports = true;
  key.flow.protocol = protocol;
  key.flow.source_port = bytes.half(offset);
  key.flow.destination_port = bytes.half(offset + 2);
}

void find_in_ipv4(const Bytes& bytes, std::uint32_t offset, FrameKey& key) noexcept {
  constexpr std::uint32_t header_size = 20;
  if (!bytes.has(offset, header_size)) return;
  const std::uint32_t length = std::uint32_t{bytes.byte(offset)} % 16 * 4;
  if (bytes.byte(offset) >> 4 != 4 || length < header_size) return;
  key.has_source = key.has_destination = true;
  key.flow.source = bytes.ipv4(offset + 12);
  key.flow.destination = bytes.ipv4(offset + 16);
  const bool later_fragment = (bytes.half(offset + 6) & 0x1fff) != 0;
  if (!later_fragment) find_ports(bytes, offset + length, bytes.byte(offset + 9), key);
}

void find_in_ipv6(const Bytes& bytes, std::uint32_t offset, FrameKey& key) noexcept {
  constexpr std::uint32_t header_size = 40;
  if (!bytes.has(offset, header_size) || bytes.byte(offset) >> 4 != 6) return;
  key.has_source = key.has_destination = true;
  key.flow.source = bytes.ipv6(offset + 8);
  key.flow.destination = bytes.ipv6(offset + 24);

  std::uint8_t next = bytes.byte(offset + 6);
  offset += header_size;
  for (unsigned i = 0; i <= most_extension_headers; ++i) {
    std::uint32_t unit = 8;
    std::uint32_t units_more = 1;
    switch (next) {
      case hop_by_hop:
      case routing:
      case destination_options:
      case mobility:
      case host_identity:
      case shim6:
        break;
      case authentication:
        unit = 4;
        units_more = 2;
        break;
      case fragment:
        if (!bytes.has(offset, 8) || (bytes.half(offset + 2) & 0xfff8) != 0) return;
        next = bytes.byte(offset);
        offset += 8;
        continue;
      default:
        return find_ports(bytes, offset, next, key);
    }
    if (!bytes.has(offset, 2)) return;
    next = bytes.byte(offset);
    offset += (bytes.byte(offset + 1) + units_more) * unit;
  }
}

}  // namespace

Address Address::parse(std::string_view text) {
  const std::string copy(text);
  Address address;
  const bool whole = text.find('\0') == std::string_view::npos;
  if (whole && inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) return address;
  address = {Family::ipv6, {}};
  if (whole && inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) return address;
  throw Error("cannot read address", copy, "it is neither an IPv4 nor an IPv6 address",
              "write it like 10.0.0.1 or 2001:db8::1");
}

std::string Address::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  inet_ntop(family == Family::ipv4 ? AF_INET : AF_INET6, bytes.data(), text.data(), text.size());
  return text.data();
}

FrameKey frame_key(const Frame& frame) noexcept {
  const Bytes bytes = {frame.data, frame.captured_length};
  FrameKey key;
  std::uint32_t offset = 12;
  for (unsigned tags = 0; bytes.has(offset, 2); ++tags, offset += 4) {
    const std::uint16_t ethertype = bytes.half(offset);
    if (ethertype == ethertype_ipv4) {
      find_in_ipv4(bytes, offset + 2, key);
    } else if (ethertype == ethertype_ipv6) {
      find_in_ipv6(bytes, offset + 2, key);
    } else if (tags < most_tags && (ethertype == ethertype_vlan || ethertype == ethertype_service_vlan)) {
      continue;
    }
    break;
  }
  return key;
}

FrameKey host_key(const Frame& frame) noexcept {
  const Bytes bytes = {frame.data, frame.captured_length};
  FrameKey key;
  if (!bytes.has(12, 2)) return key;
  const auto find = [&](std::uint32_t source, std::uint32_t destination, std::uint32_t size, auto read) {
    key.has_source = bytes.has(source, size);
    key.has_destination = bytes.has(destination, size);
    if (key.has_source) key.flow.source = (bytes.*read)(source);
    if (key.has_destination) key.flow.destination = (bytes.*read)(destination);
  };
  switch (bytes.half(12)) {
    case ethertype_ipv4:
      find(26, 30, 4, &Bytes::ipv4);
      break;
    case ethertype_arp:
    case ethertype_rarp:
      find(28, 38, 4, &Bytes::ipv4);
      break;
    case ethertype_ipv6:
      find(22, 38, 16, &Bytes::ipv6);
      break;
    default:
      break;
  }
  return key;
}

}  // namespace ixcap::filter
