#pragma once

/// Filter expressions that look behind VLAN tags: `tcp port 80` also finds TCP port 80 under one or two of them.
///
/// The frame is looked at as if its first tags, at most two (802.1Q 0x8100, 802.1ad 0x88a8, 0x9100), were not there; so
/// `not tcp port 80` does not match a tagged frame of TCP port 80. A third tag is looked at as what it is. Three things
/// are about the frame as it came, tags included: `len`, `less` and `greater`; the offsets of `ether[...]` and
/// `link[...]`; and what is kept of a frame that matches.
///
/// A frame of which fewer bytes were captured than the addresses and types passed on the way (14, 18, 22) does not
/// match, unless the expression asks only about the addresses and the length.
///
/// All this is one classic BPF program: it counts the tags, then goes on with the expression's program as libpcap
/// compiles it for that many. docs/filter.md has the details.

#include <cstdint>
#include <string_view>

#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

/// Like compile(), which also has the threads and the meaning of the arguments. Throws ExpressionError, too, if the
/// expression names `vlan` itself, or if its three programs together have more than 4,096 instructions.
Program compile_vlan_aware(std::string_view expression, std::uint32_t snaplen = 262144, bool optimize = true);

}  // namespace ixcap::filter
