#pragma once

/// What the card may throw away by itself (driver/ixgbe/hardware_filter.hpp), given the filters of a capture: only
/// frames that none of them can match. Each kind of frame that the card could drop is held against every filter
/// (filter/frame_class.hpp), so what is dropped follows from the programs, not from how their expressions are written:
///
///     udp port 53                TCP and SCTP over IPv4, ARP and the like, and every VLAN
///     host 10.0.0.1              IPv4 packets from and to others, and every VLAN
///     vlan 5 and tcp             every VLAN but 5; UDP and SCTP
///     tcp[tcpflags] & tcp-syn != 0, --vlan-aware     UDP, SCTP, and ARP and the like
///     net 10.0.0.0/8, ip6, ...   every VLAN, and of the rest what their ethertype or protocol tells
///     not port 22, no filter     nothing: they match frames of every kind
///
/// A filter's flow set plays no part: the program that goes with it lets through more.
///
/// Threads: any. Errors: none.

#include <memory>
#include <string>
#include <vector>

#include <ixcap/driver/ixgbe/hardware_filter.hpp>
#include <ixcap/filter/set.hpp>

namespace ixcap::capture {

/// As filter::LiveSet tells its watcher: frames that none of these matches are wanted by nobody.
ixgbe::HardwareRules hardware_rules(const std::vector<std::shared_ptr<const filter::Filter>>& filters);

/// For people: "every VLAN; TCP, SCTP; ethertypes 0x0806, 0x8035", or "nothing".
std::string describe(const ixgbe::HardwareRules& rules);

}  // namespace ixcap::capture
