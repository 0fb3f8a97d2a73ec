#pragma once

/// What the software NIC may touch of its host's memory: the ranges that were mapped for DMA, by I/O address.
///
/// Everything the NIC reads or writes in memory goes through here, so an address that nobody mapped is a counted fault
/// and never an access. A host with an IOMMU of its own maps page by page, hundreds of thousands of them: ranges side
/// by side whose memory is side by side, too, become one, and what is left in pieces is reached piece by piece.
///
/// Threads: one at a time.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

namespace ixcap::emulator {

/// What an access wants of a range; a range that does not allow it is as if it were not there.
enum class DmaAccess : std::uint8_t { read = 1, write = 2, read_write = 3 };

class DmaMap {
 public:
  /// Maps `bytes` at `memory` at an I/O address of the map's choice, and answers it. I/O addresses differ from pointers
  /// on purpose and are separated by unmapped gaps, so that a driver that confuses or overruns them is found out.
  std::uint64_t map(std::uint8_t* memory, std::size_t bytes);

  /// Maps [io_address, io_address + bytes) to `memory`. Memory that is nullptr is a range that no access reaches.
  /// False, and nothing changed, if the range is empty, wraps around or overlaps another.
  bool add(std::uint64_t io_address, std::uint64_t bytes, std::uint8_t* memory, bool readable, bool writable);

  /// Ends a mapping made by map(). An address that is not one is ignored.
  void unmap(std::uint64_t io_address) noexcept;

  /// Ends what is mapped here, which was one add() or a part of one. False, and nothing changed, if it is not all
  /// mapped. (If there is no memory left to remember what lies behind it in the same range, that ends, too.)
  bool remove(std::uint64_t io_address, std::uint64_t bytes) noexcept;

  /// The memory behind [io_address, io_address + bytes), or nullptr when not all of it is mapped in one piece: one
  /// range, or neighbours whose memory continues.
  std::uint8_t* translate(std::uint64_t io_address, std::size_t bytes,
                          DmaAccess access = DmaAccess::read_write) const noexcept {
    const Range* range = last_;
    if (!range->covers(io_address, bytes)) [[unlikely]] {
      range = search(io_address, bytes);
    }
    return range->allows(access) ? range->at(io_address) : nullptr;
  }

  /// Copies from memory that may lie in pieces. False if not all of it is mapped; then some of it was copied.
  bool read(std::uint64_t io_address, std::span<std::uint8_t> bytes) const noexcept;

  /// Copies `bytes`, and zeros up to `length`, to memory that may lie in pieces. False if not all of it is mapped; then
  /// some of it was written.
  bool write(std::uint64_t io_address, std::span<const std::uint8_t> bytes, std::size_t length) const noexcept;

  /// Changes with everything that is mapped or unmapped: what was translated before may be wrong now.
  std::uint64_t generation() const noexcept { return generation_; }

  /// Ranges that are kept apart because their memory is.
  std::size_t range_count() const noexcept { return ranges_.size(); }

 private:
  struct Range {
    std::uint64_t io_address = 0;
    std::uint64_t bytes = 0;
    std::uint8_t* memory = nullptr;
    std::uint8_t allowed = 0;  ///< bits of DmaAccess

    bool covers(std::uint64_t address, std::uint64_t length) const noexcept {
      const std::uint64_t offset = address - io_address;
      return offset < bytes && length <= bytes - offset;
    }
    bool allows(DmaAccess access) const noexcept {
      const auto wanted = static_cast<std::uint8_t>(access);
      return (allowed & wanted) == wanted;
    }
    std::uint8_t* at(std::uint64_t address) const noexcept { return memory + (address - io_address); }
    /// Whether `next` goes on where this ends, in both address spaces.
    bool continues_in(const Range& next) const noexcept {
      return next.io_address - io_address == bytes && memory != nullptr && next.memory == memory + bytes;
    }
  };

  /// Ranges that answered lately, by the page of the address: buffers that lie in ranges of their own are found again
  /// without walking the tree.
  static constexpr std::size_t recent_count = 1024;
  static constexpr unsigned recent_page_shift = 12;

  static const Range nowhere;

  using Ranges = std::map<std::uint64_t, Range>;

  const Range* search(std::uint64_t io_address, std::size_t bytes) const noexcept;
  const Range* join(Ranges::const_iterator range, std::uint64_t io_address, std::size_t bytes) const noexcept;
  std::span<std::uint8_t> piece(std::uint64_t io_address, std::size_t bytes, DmaAccess access) const noexcept;
  void insert(Ranges::iterator next, const Range& range);
  void cut(Ranges::iterator range, std::uint64_t io_address, std::uint64_t bytes) noexcept;
  void erase(Ranges::iterator range) noexcept;
  void forget(std::uint64_t io_address, std::uint64_t bytes) noexcept;

  Ranges ranges_;                         ///< by I/O address; nodes stay where they are
  mutable Range joined_;                  ///< the last answer of join(); nothing keeps it
  mutable const Range* last_ = &nowhere;  ///< answered last: descriptors and buffers of a queue often share one
  mutable std::array<const Range*, recent_count> recent_ = [] {
    std::array<const Range*, recent_count> all{};
    all.fill(&nowhere);
    return all;
  }();
  std::uint64_t next_io_address_ = std::uint64_t{1} << 32;
  std::uint64_t generation_ = 0;
};

}  // namespace ixcap::emulator
