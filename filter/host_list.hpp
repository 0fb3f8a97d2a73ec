#pragma once

/// Lists of hosts as one filter: what `host a or host b or ...` says, for as many as a flow set holds.
///
/// libpcap tests one address after the other, and needs minutes to compile a thousand of them; here each frame costs
/// two look-ups, and making the filter takes microseconds for a thousand hosts.
///
/// Threads: any.

#include <span>

#include <ixcap/filter/flow_key.hpp>
#include <ixcap/filter/set.hpp>

namespace ixcap::filter {

/// Matches what `host` matches for any of `hosts`: source or destination of IPv4 and IPv6, sender or target of ARP and
/// RARP, in untagged frames (flow_key.hpp, host_key). No hosts match no frame. An address that is wholly captured is
/// compared even where the other one is cut off; libpcap's answer then depends on the order of the hosts.
///
/// Doubled hosts do no harm. Throws Error for more than FlowSet::most_entries, doubled ones included.
Filter host_list(std::span<const Address> hosts);

}  // namespace ixcap::filter
