#include "tests/bench/bench_filters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include <ixcap/driver/emulator/mix_traffic.hpp>
#include <ixcap/driver/emulator/random.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/filter/expression.hpp>

namespace ixcap::bench {
namespace {

constexpr std::size_t hosts_in_list = 32;
constexpr std::uint8_t tcp = 6;
constexpr std::uint16_t tls_port = 443;

/// An untagged IPv4 packet with ports, of a frame of `mix`: those have no IP options.
struct Packet {
  std::uint8_t protocol;
  std::uint32_t source;
  std::uint32_t destination;
  std::uint16_t source_port;
  std::uint16_t destination_port;
};

std::uint32_t big_endian(const std::uint8_t* bytes, int count) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | bytes[i];
  return value;
}

std::optional<Packet> packet_in(const emulator::WireFrame& frame) {
  constexpr std::uint32_t ipv4 = 0x0800;
  if (big_endian(frame.bytes + 12, 2) != ipv4) return std::nullopt;
  return Packet{frame.bytes[23], big_endian(frame.bytes + 26, 4), big_endian(frame.bytes + 30, 4),
                static_cast<std::uint16_t>(big_endian(frame.bytes + 34, 2)),
                static_cast<std::uint16_t>(big_endian(frame.bytes + 36, 2))};
}

/// The IPv4 packets with which every frame set of this seed begins.
std::vector<Packet> first_packets(std::uint64_t seed) {
  emulator::MixTraffic mix({.seed = seed});
  std::vector<Packet> packets;
  for (std::size_t i = 0; i < mix.period(); ++i) {
    if (const std::optional<Packet> packet = packet_in(*mix.next())) packets.push_back(*packet);
  }
  return packets;
}

bool in_net_10(std::uint32_t address) {
  return address >> 24 == 10;
}

std::string dotted(std::uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff, address & 0xff);
}

/// A client in 10.0.0.0/8 with a connection to port 443.
std::string tls_client(std::span<const Packet> packets) {
  const auto packet = std::ranges::find_if(packets, [](const Packet& each) {
    return each.protocol == tcp && each.destination_port == tls_port && in_net_10(each.source);
  });
  if (packet == packets.end())
    throw Error("cannot choose a host", "mix", "no TLS client of 10.0.0.0/8", "take another --seed");
  return dotted(packet->source);
}

/// Half of the hosts occur: a name server with many packets, clients with one, and servers with some. The others are
/// random, and as good as absent. Duplicates are left out.
std::string host_list(std::span<const Packet> packets, std::uint64_t seed) {
  std::vector<std::string> hosts{"8.8.8.8"};
  const auto add = [&](std::uint32_t address) {
    const std::string host = dotted(address);
    if (std::ranges::find(hosts, host) == hosts.end()) hosts.push_back(host);
  };
  for (std::size_t i = 0; i < packets.size() && hosts.size() < hosts_in_list / 2; i += 50) {
    add(hosts.size() % 2 == 0 ? packets[i].source : packets[i].destination);
  }
  emulator::Random random(seed);
  while (hosts.size() < hosts_in_list) add(static_cast<std::uint32_t>(random.next()));
  return fmt::format("host {}", fmt::join(hosts, " or host "));
}

}  // namespace

std::vector<BenchFilter> make_bench_filters(std::uint64_t seed) {
  const std::vector<Packet> packets = first_packets(seed);
  std::vector<BenchFilter> filters;
  const auto add = [&](std::string name, std::string expression) {
    const filter::Program program = filter::compile(expression);
    filters.push_back({std::move(name), std::move(expression), program});
  };
  add("null", "");
  add("ip", "ip");
  add("tcp", "tcp");
  add("tcp80", "tcp port 80");
  add("udp53", "udp port 53");
  add("host+443", fmt::format("host {} and tcp port 443", tls_client(packets)));
  add("net10", "net 10.0.0.0/8");
  add("syn", "tcp[tcpflags] & tcp-syn != 0");
  add("vlan6+443", "vlan and ip6 and tcp port 443");
  add("32hosts", host_list(packets, seed));
  return filters;
}

}  // namespace ixcap::bench
