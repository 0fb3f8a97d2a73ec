#pragma once

/// What is at the other end of the software NIC's cable: a peer that frames go to and come from.
///
/// Both directions carry whole frames without preamble and FCS. A wire never waits: what it has no room for is lost, as
/// on a cable whose other end does not listen.
///
/// Ownership: whoever made the wire; it outlives the NIC, or is disconnected first.
/// Threads: called by one thread of the NIC at a time, with the NIC's lock held: it must not call back.

#include <cstdint>
#include <span>

namespace ixcap::emulator {

class Wire {
 public:
  virtual ~Wire() = default;

  /// Takes a frame that the NIC sends. The bytes are borrowed for the duration of the call.
  virtual void send(std::span<const std::uint8_t> frame) noexcept = 0;

  /// The next frame for the NIC, valid until the next call; empty if there is none now.
  virtual std::span<const std::uint8_t> receive() noexcept = 0;
};

}  // namespace ixcap::emulator
