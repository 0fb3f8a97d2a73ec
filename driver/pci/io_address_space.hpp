#pragma once

/// I/O addresses (IOVA) to give to DMA memory: those that the IOMMU can translate and nothing else claims.
///
/// Lowest first, so that addresses stay below 4 GiB while they can: the header of such a request is a word shorter on
/// PCI Express. Address 0 is never given, and behind each piece a page stays free: a device that runs over the end of
/// its memory meets a fault, not the next piece.
///
/// Threads: one at a time.

#include <cstdint>
#include <map>
#include <optional>
#include <span>

namespace ixcap::pci {

/// I/O addresses from `first` to `last`, both included.
struct IoRange {
  std::uint64_t first;
  std::uint64_t last;
};

class IoAddressSpace {
 public:
  static constexpr std::uint64_t page_bytes = 4096;

  /// Ranges in any order. What is not a whole page is left out, and so is a range that ends before it begins.
  explicit IoAddressSpace(std::span<const IoRange> usable);

  /// `bytes` of it, whole pages, at a multiple of `alignment` (a power of two, at least a page). Nothing if no free
  /// piece is large enough.
  std::optional<std::uint64_t> take(std::uint64_t bytes, std::uint64_t alignment);

  /// Ends what take(bytes) answered.
  void give_back(std::uint64_t address, std::uint64_t bytes);

 private:
  void add(std::uint64_t first, std::uint64_t last);

  std::map<std::uint64_t, std::uint64_t> free_;  ///< first to last; neither touch nor overlap
};

}  // namespace ixcap::pci
