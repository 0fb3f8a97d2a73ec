#pragma once

/// Frames made to measure, for what looks at addresses and ports.

#include <cstdint>
#include <initializer_list>
#include <utility>

#include <ixcap/filter/flow_key.hpp>

#include "tests/filter/samples.hpp"

namespace ixcap::filter {

inline void put(Bytes& bytes, std::uint64_t value, unsigned size) {
  for (unsigned i = size; i-- > 0;) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

inline void put(Bytes& bytes, const Address& address) {
  bytes.insert(bytes.end(), address.bytes.begin(), address.bytes.begin() + (address.family == Family::ipv4 ? 4 : 16));
}

/// Two MAC addresses and an ethertype.
inline Bytes ethernet(std::uint16_t ethertype) {
  Bytes bytes(12, 2);
  put(bytes, ethertype, 2);
  return bytes;
}

/// A frame of that flow, eight bytes of transport header at its end. Each extension is a header of the IPv6 packet, of
/// eight bytes; none for IPv4.
inline Bytes packet_of(const Flow& flow, Bytes link = {}, std::initializer_list<std::uint8_t> extensions = {}) {
  const bool ipv4 = flow.source.family == Family::ipv4;
  Bytes bytes = link.empty() ? ethernet(ipv4 ? 0x0800 : 0x86dd) : std::move(link);
  if (ipv4) {
    put(bytes, 0x4500'001c'0000'0000, 8);
    put(bytes, std::uint64_t{0x4000'0000} | std::uint64_t{flow.protocol} << 16, 4);
  } else {
    put(bytes, 0x6000'0000'0008, 6);
    bytes.push_back(extensions.size() != 0 ? *extensions.begin() : flow.protocol);
    bytes.push_back(64);
  }
  put(bytes, flow.source);
  put(bytes, flow.destination);
  for (const auto* extension = extensions.begin(); extension != extensions.end(); ++extension) {
    bytes.push_back(extension + 1 != extensions.end() ? extension[1] : flow.protocol);
    put(bytes, 0, 7);
  }
  put(bytes, flow.source_port, 2);
  put(bytes, flow.destination_port, 2);
  put(bytes, 0, 4);
  return bytes;
}

inline Frame frame_of(const Bytes& bytes) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  return {bytes.data(), length, length};
}

}  // namespace ixcap::filter
