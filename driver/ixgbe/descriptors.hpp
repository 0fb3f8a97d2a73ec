#pragma once

/// The receive descriptor as the 82599 and the driver share it (data sheet 7.1.6, advanced descriptors, one buffer).
///
///     written by the driver                            written back by the hardware
///     ┌──────────────────────────────────┐             ┌──────────────────┬──────────────────┐
///   0 │ address of the packet buffer     │           0 │ RSS type, packet │ RSS hash         │
///     ├──────────────────────────────────┤             ├─────────┬────────┼────────┬─────────┤
///   8 │ address of the header buffer: 0  │           8 │ status  │ errors │ length │ VLAN    │
///     └──────────────────────────────────┘             └─────────┴────────┴────────┴─────────┘
///                                                        19:0      31:20    47:32    63:48
///
/// Bit 0 of the second half is where DD lands: the driver writes 0 there, the hardware sets it last.
/// All fields are little-endian. What is read here was written by a device and is not to be trusted.

#include <cstddef>
#include <cstdint>

namespace ixcap::ixgbe {

/// The second half of a descriptor that the hardware has written back.
struct ReceiveStatus {
  static constexpr std::uint64_t DD = 1u << 0;   ///< descriptor done
  static constexpr std::uint64_t EOP = 1u << 1;  ///< last buffer of its frame
  static constexpr unsigned length_shift = 32;

  std::uint64_t bits;

  constexpr bool done() const noexcept { return (bits & DD) != 0; }
  constexpr bool end_of_packet() const noexcept { return (bits & EOP) != 0; }
  /// Bytes in this descriptor's buffer.
  constexpr std::uint32_t length() const noexcept { return static_cast<std::uint16_t>(bits >> length_shift); }

  static constexpr ReceiveStatus of(std::uint32_t length, bool end_of_packet) noexcept {
    return {DD | (end_of_packet ? EOP : 0) | std::uint64_t{length} << length_shift};
  }
};

struct ReceiveDescriptor {
  std::uint64_t address;
  std::uint64_t status;

  /// Driver's side. Acquire order: who sees DD sees the frame, because the hardware writes DD last.
  ReceiveStatus load_status() const noexcept { return {__atomic_load_n(&status, __ATOMIC_ACQUIRE)}; }

  /// Driver's side: gives the descriptor back with `buffer` to fill. The doorbell's release order publishes it.
  void arm(std::uint64_t buffer) noexcept {
    address = buffer;
    __atomic_store_n(&status, 0, __ATOMIC_RELAXED);
  }

  /// Hardware's side. Release order: frame and first half are written before DD can be seen.
  void write_back(std::uint64_t first_half, ReceiveStatus second_half) noexcept {
    address = first_half;
    __atomic_store_n(&status, second_half.bits, __ATOMIC_RELEASE);
  }
};

static_assert(sizeof(ReceiveDescriptor) == 16);
static_assert(offsetof(ReceiveDescriptor, status) == 8);

}  // namespace ixcap::ixgbe
