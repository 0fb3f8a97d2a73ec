#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <utility>

#include <ixcap/capture/hardware_rules.hpp>
#include <ixcap/filter/frame_class.hpp>

namespace ixcap::capture {
namespace {

using filter::FrameClass;
using ixgbe::FilterProtocol;
using ixgbe::HardwareRules;
using Filters = std::vector<std::shared_ptr<const filter::Filter>>;

constexpr std::uint32_t ethertype_offset = 12;
constexpr std::uint32_t vlan_tag_bytes = 4;
constexpr std::uint32_t ethertype_vlan = 0x8100;  // VLNCTRL.VET after reset
constexpr std::uint32_t ethertype_ipv4 = 0x0800;

// What networks are full of besides IP: ARP, RARP, LLDP, flow control, MPLS, PPPoE.
constexpr std::array<std::uint16_t, HardwareRules::most_ethertypes> ethertypes = {0x0806, 0x8035, 0x88CC, 0x8808,
                                                                                  0x8847, 0x8863, 0x8864};

struct Protocol {
  FilterProtocol filter;
  std::uint32_t number;
  std::string_view name;
};
constexpr std::array protocols = {Protocol{FilterProtocol::tcp, 6, "TCP"}, Protocol{FilterProtocol::udp, 17, "UDP"},
                                  Protocol{FilterProtocol::sctp, 132, "SCTP"}};

/// Trying 4,096 VLANs on more instructions than this takes too long for a change of filters.
constexpr std::size_t most_instructions = 512;

bool wanted(const Filters& filters, const FrameClass& frames) {
  return std::ranges::any_of(filters, [&](const auto& one) { return may_match(one->program, frames); });
}

template <typename Classes, typename Of = std::identity>
bool any_wanted(const Filters& filters, const Classes& classes, Of frames_of = {}) {
  return std::ranges::any_of(
      classes, [&](const FrameClass& frames) { return wanted(filters, frames); }, frames_of);
}

FrameClass tagged() {
  FrameClass frames;
  frames.set(ethertype_offset, ethertype_vlan, 2);
  return frames;
}

/// The ways in which the card can have made out a frame of an ethertype: with a tag and without.
std::array<FrameClass, 2> of_ethertype(std::uint16_t ethertype) {
  std::array<FrameClass, 2> classes = {FrameClass{}, tagged()};
  classes[0].set(ethertype_offset, ethertype, 2);
  classes[1].set(ethertype_offset + vlan_tag_bytes, ethertype, 2);
  return classes;
}

struct Ipv4Class {
  FrameClass frames;
  std::uint32_t header;  // offset of the IPv4 header
};

/// The ways in which the card can have made out an IPv4 packet: with a tag and without, in Ethernet II and, should it
/// look into that, in IEEE 802.3 with LLC and SNAP.
std::array<Ipv4Class, 4> ipv4() {
  std::array<Ipv4Class, 4> classes;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    FrameClass frames = i % 2 == 0 ? FrameClass{} : tagged();
    std::uint32_t type = ethertype_offset + (i % 2 == 0 ? 0 : vlan_tag_bytes);
    if (i >= 2) {
      frames.set(type, 0, 2, 0xF800);  // a length: at most 1,500
      frames.set(type + 2, 0xAAAA0300, 4);
      frames.set(type + 6, 0, 2);
      type += 8;
    }
    frames.set(type, ethertype_ipv4, 2);
    frames.set(type + 2, 0x40, 1, 0xF0);
    classes[i] = {frames, type + 2};
  }
  return classes;
}

std::optional<std::bitset<ixgbe::vlan_count>> wanted_vlans(const Filters& filters) {
  std::bitset<ixgbe::vlan_count> vlans;
  FrameClass frames = tagged();
  if (!wanted(filters, frames)) return vlans;
  std::size_t instructions = 0;
  for (const auto& one : filters) instructions += one->program.instructions().size();
  if (instructions > most_instructions) return std::nullopt;
  for (std::uint32_t vlan = 0; vlan < ixgbe::vlan_count; ++vlan) {
    frames.set(ethertype_offset + 2, vlan, 2, 0x0FFF);
    vlans[vlan] = wanted(filters, frames);
  }
  if (vlans.all()) return std::nullopt;
  return vlans;
}

bool wanted(const Filters& filters, const Protocol& protocol) {
  std::array<Ipv4Class, 4> classes = ipv4();
  for (Ipv4Class& one : classes) one.frames.set(one.header + 9, protocol.number, 1);
  return any_wanted(filters, classes, &Ipv4Class::frames);
}

/// The addresses such that no filter wants an IPv4 packet with others. Empty where there are none that are few enough.
std::optional<HardwareRules::Addresses> wanted_addresses(const Filters& filters) {
  std::array<Ipv4Class, 4> classes = ipv4();
  std::array<std::set<std::uint32_t>, 2> compared;
  for (Ipv4Class& one : classes) {
    for (std::uint32_t slot = 0; slot < 2; ++slot) one.frames.exclude(slot, one.header + 12 + 4 * slot);
    for (const auto& each : filters) {
      const auto words = filter::compared(each->program, one.frames);
      for (std::size_t slot = 0; slot < 2; ++slot) compared[slot].insert(words[slot].begin(), words[slot].end());
    }
  }
  if (compared[0].size() + compared[1].size() > HardwareRules::most_addresses) return std::nullopt;
  const HardwareRules::Addresses addresses = {{compared[0].begin(), compared[0].end()},
                                              {compared[1].begin(), compared[1].end()}};
  for (Ipv4Class& one : classes) {
    one.frames.exclude(0, one.header + 12, addresses.sources);
    one.frames.exclude(1, one.header + 16, addresses.destinations);
  }
  if (any_wanted(filters, classes, &Ipv4Class::frames)) return std::nullopt;
  return addresses;
}

}  // namespace

HardwareRules hardware_rules(const Filters& filters) {
  HardwareRules rules;
  rules.vlans = wanted_vlans(filters);
  for (const std::uint16_t ethertype : ethertypes) {
    if (!any_wanted(filters, of_ethertype(ethertype))) rules.dropped_ethertypes.push_back(ethertype);
  }
  rules.only = wanted_addresses(filters);
  const bool no_ipv4 = rules.only && rules.only->sources.empty() && rules.only->destinations.empty();
  for (const Protocol& protocol : protocols) {
    if (!no_ipv4 && !wanted(filters, protocol)) rules.dropped_protocols.push_back(protocol.filter);
  }
  return rules;
}

std::string describe(const HardwareRules& rules) {
  std::vector<std::string> parts;
  if (rules.vlans) {
    const std::size_t kept = rules.vlans->count();
    parts.push_back(kept == 0 ? "every VLAN" : fmt::format("all VLANs but {}", kept));
  }
  if (rules.only) {
    const std::set<std::uint32_t> sources(rules.only->sources.begin(), rules.only->sources.end());
    std::set<std::uint32_t> all = sources;
    all.insert(rules.only->destinations.begin(), rules.only->destinations.end());
    parts.push_back(all.empty() ? "IPv4" : fmt::format("IPv4 of all but {} addresses", all.size()));
  }
  for (const Protocol& protocol : protocols) {
    if (std::ranges::find(rules.dropped_protocols, protocol.filter) != rules.dropped_protocols.end())
      parts.push_back(fmt::format("{} over IPv4", protocol.name));
  }
  if (!rules.dropped_ethertypes.empty())
    parts.push_back(fmt::format("ethertypes {:#06x}", fmt::join(rules.dropped_ethertypes, ", ")));
  return parts.empty() ? "nothing" : fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace ixcap::capture
