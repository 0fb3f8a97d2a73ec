#pragma once

/// What the software NIC may touch of its host's memory: the ranges that were mapped for DMA, by I/O address.
///
/// Everything the NIC reads or writes in memory goes through translate(), so an address that a driver never mapped is a
/// counted fault and never an access.
///
/// Threads: one at a time.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ixcap::emulator {

class DmaMap {
 public:
  /// Maps `bytes` at `memory`; answers the I/O address of the first. I/O addresses differ from pointers on purpose and
  /// are separated by unmapped gaps, so that a driver that confuses or overruns them is found out.
  std::uint64_t map(std::uint8_t* memory, std::size_t bytes);

  /// Ends a mapping made by map(). An address that is not one is ignored.
  void unmap(std::uint64_t io_address) noexcept;

  /// The memory behind [io_address, io_address + bytes), or nullptr when not all of it is mapped in one piece.
  std::uint8_t* translate(std::uint64_t io_address, std::size_t bytes) const noexcept {
    if (last_ < ranges_.size() && ranges_[last_].covers(io_address, bytes)) [[likely]] {
      return ranges_[last_].at(io_address);
    }
    return search(io_address, bytes);
  }

 private:
  struct Range {
    std::uint64_t io_address;
    std::size_t bytes;
    std::uint8_t* memory;

    bool covers(std::uint64_t address, std::size_t length) const noexcept {
      const std::uint64_t offset = address - io_address;
      return offset < bytes && length <= bytes - offset;
    }
    std::uint8_t* at(std::uint64_t address) const noexcept { return memory + (address - io_address); }
  };

  std::uint8_t* search(std::uint64_t io_address, std::size_t bytes) const noexcept;

  std::vector<Range> ranges_;
  mutable std::size_t last_ = 0;  ///< the range that answered last: descriptors and buffers of a queue share one
  std::uint64_t next_io_address_ = std::uint64_t{1} << 32;
};

}  // namespace ixcap::emulator
