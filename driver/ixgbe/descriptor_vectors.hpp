#pragma once

/// Receive descriptors several at a time: what RxQueue does for every frame, in the widest vectors that the CPU has.
///
/// Both functions work on a *run*: descriptors that lie one behind the other in the ring, with their buffers. All
/// levels give the same answers; the scalar one is the definition.
///
/// A vector load of a descriptor is whole where it matters, its second half: x86 splits no aligned 8 bytes, and the
/// card writes none in pieces. Between the descriptors of one load nothing is promised, and nothing is taken for
/// granted: only those before the first one that is not done count. ThreadSanitizer sees no atomic access in a vector
/// load, so in its builds there is but the scalar level.
///
/// Threads: the functions touch nothing but their arguments. Errors: none.

#include <cstdint>
#include <span>
#include <string_view>

#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>

namespace ixcap::ixgbe {

/// Bytes of a buffer that the card fills (SRRCTL.BSIZEPACKET, its reset value and the least that every mode allows).
inline constexpr std::uint32_t buffer_bytes = 2048;
/// From one buffer to the next: not a power of two, which would map all buffers to a few cache sets.
inline constexpr std::uint32_t buffer_stride = buffer_bytes + 64;

enum class VectorLevel : std::uint8_t { scalar, sse42, avx2, avx512 };

std::string_view name_of(VectorLevel level) noexcept;

/// What this CPU has, from scalar upwards: the last one is the best.
std::span<const VectorLevel> available_vector_levels() noexcept;

struct DescriptorVectors {
  /// Takes plain frames (ReceiveStatus::plain) from the front of a run of `count` descriptors, whose first buffer is at
  /// `buffer`: writes them to `frames`, which has room for `count`, and asks for the first line of each. Answers how
  /// many: all, or those before the first descriptor that is not done, or not plain.
  std::uint32_t (*take)(const ReceiveDescriptor* run, std::uint32_t count, const std::uint8_t* buffer,
                        Frame* frames) noexcept;

  /// Arms a run of `count` descriptors (ReceiveDescriptor::arm), whose first buffer the card knows as `io_address`.
  void (*arm)(ReceiveDescriptor* run, std::uint32_t count, std::uint64_t io_address) noexcept;
};

/// `level`: one that is available.
const DescriptorVectors& descriptor_vectors(VectorLevel level) noexcept;

}  // namespace ixcap::ixgbe
