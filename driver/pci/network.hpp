#pragma once

/// The kernel's network interfaces: how one is set up, and setting one up the same way again.
///
/// Threads: any; each call asks the kernel anew.

#include <string>
#include <vector>

namespace ixcap::pci {

/// What a network interface loses when its driver lets go of the card. Routes are not part of it.
struct NetworkState {
  std::string name;
  unsigned mtu = 0;
  std::string mac;                     ///< "02:00:00:00:00:07"
  bool up = false;                     ///< administratively
  std::vector<std::string> addresses;  ///< "192.0.2.2/24"; those that stay, not what DHCP or a router lends
  bool operator==(const NetworkState&) const = default;
};

/// Addresses of `interface` with their prefix lengths. `lasting`: without those that run out, and without link-local
/// ones, which the kernel makes itself. Empty where it has none or the kernel does not answer.
std::vector<std::string> interface_addresses(const std::string& interface, bool lasting);

/// Whether a default route, of IPv4 or IPv6 and in any routing table, leaves through `interface`.
bool holds_default_route(const std::string& interface);

/// Makes the interface that is called `now` what `wanted` says, from its name to its addresses. Throws ixcap::Error
/// with the command that does what the kernel refused; the rest has been done by then.
void restore_interface(const std::string& now, const NetworkState& wanted);

}  // namespace ixcap::pci
