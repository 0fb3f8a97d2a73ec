#pragma once

/// What one queue of the software NIC has moved, in 64 bits and never cleared, as the registers QPRC and QBRC, or QPTC
/// and QBTC, would have it if they were neither shared nor read to clear.

#include <cstdint>

namespace ixcap::emulator {

struct QueueCounts {
  std::uint64_t frames = 0;  ///< written to memory, or sent
  std::uint64_t bytes = 0;   ///< of these frames as they are on the wire: with tag, padding and FCS
};

}  // namespace ixcap::emulator
