#pragma once

/// What the data path tells whoever makes interrupts: that something a driver waits for has been written back.
///
/// Threads: called with the NIC's lock held, after the write-back is visible; once a queue and pass, not once a frame.

#include <cstdint>

namespace ixcap::emulator {

class QueueEvents {
 public:
  virtual ~QueueEvents() = default;

  /// Descriptors of receive queue `queue` were written back.
  virtual void raise_rx(std::uint32_t queue) noexcept = 0;

  /// Descriptors of transmit queue `queue` that ask for it (RS) were written back.
  virtual void raise_tx(std::uint32_t queue) noexcept = 0;
};

}  // namespace ixcap::emulator
