#pragma once

/// What a record says of its frame beyond the ordinary, as a pcapng file has it (docs/pcapng.md).

#include <cstdint>
#include <string>

#include <ixcap/capture/record.hpp>

namespace ixcap::capture {

/// Flags of records that have something to note; all others cost a test of these.
inline constexpr std::uint16_t record_noted = record_bad_mask | record_has_stamp;

/// The link-layer-dependent errors of an enhanced packet block's flags, bits 16 to 31, for a record's flags.
constexpr std::uint32_t link_layer_errors(std::uint16_t flags) noexcept {
  const auto bit = [flags](std::uint16_t flag, unsigned place) { return (flags & flag) != 0 ? 1u << place : 0u; };
  return bit(record_bad_fcs, 24) | bit(record_too_long, 25) | bit(record_too_short, 26) | bit(record_bad_symbol, 31);
}

/// What no flag can say: the card's stamp, and a wrong length field. Empty for an ordinary frame.
std::string note_on(const Record& record);

}  // namespace ixcap::capture
