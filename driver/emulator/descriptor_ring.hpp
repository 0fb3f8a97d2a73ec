#pragma once

/// Where the descriptors of a ring are in memory: in one piece as a rule, or page by page, when the host maps its pages
/// one by one to wherever they are.
///
/// A page that is not mapped, or not for reading and writing, is a hole: its descriptors are not there, the others are.
/// Translations are kept for as long as nothing is mapped or unmapped.
///
/// Threads: one at a time (the Nic's lock).

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ixcap/driver/emulator/dma_map.hpp>

namespace ixcap::emulator {

template <typename Descriptor>
class DescriptorRing {
 public:
  static constexpr std::uint32_t page_bytes = 4096;
  static constexpr std::uint32_t alignment = 128;                      ///< of the base address and of the length
  static constexpr std::uint32_t longest = 0xFFFFF & ~0x7Fu;           ///< RDLEN and TDLEN have 20 bits
  static constexpr std::size_t most_pages = longest / page_bytes + 2;  ///< it may begin and end within pages

  /// Makes room, so that refresh() allocates nothing.
  void reserve() { pages_.reserve(most_pages); }

  /// The ring is at [base, base + bytes) from now on. One that is misaligned, empty or too long is nowhere.
  void refresh(const DmaMap& dma, std::uint64_t base, std::uint32_t bytes) noexcept {
    if (base == base_ && bytes == bytes_ && dma.generation() == generation_) return;
    base_ = base;
    bytes_ = bytes;
    generation_ = dma.generation();
    whole_ = nullptr;
    pages_.clear();
    if (base % alignment != 0 || bytes % alignment != 0 || bytes == 0 || bytes > longest) return;
    whole_ = aligned(dma.translate(base, bytes));
    if (whole_ == nullptr) find_pages(dma);
  }

  /// Whether any of its descriptors can be reached.
  bool mapped() const noexcept { return whole_ != nullptr || !pages_.empty(); }

  /// A descriptor of the ring; nullptr if its page is a hole, or the ring is not mapped() at all.
  Descriptor* at(std::uint32_t slot) const noexcept {
    if (whole_ != nullptr) [[likely]]
      return whole_ + slot;
    return in_page(slot);
  }

  /// All of it, if it is in one piece: for loops that care.
  Descriptor* whole() const noexcept { return whole_; }

 private:
  static_assert(alignment % sizeof(Descriptor) == 0);

  [[gnu::noinline]] Descriptor* in_page(std::uint32_t slot) const noexcept {
    const std::uint64_t offset = base_ % page_bytes + std::uint64_t{slot} * sizeof(Descriptor);
    const std::uint64_t page = offset / page_bytes;
    if (page >= pages_.size() || pages_[page] == nullptr) return nullptr;
    // The first page's pointer is that of the ring's first descriptor.
    const std::uint64_t in_page = page == 0 ? std::uint64_t{slot} * sizeof(Descriptor) : offset % page_bytes;
    return pages_[page] + in_page / sizeof(Descriptor);
  }

  static Descriptor* aligned(std::uint8_t* memory) noexcept {
    const bool is_aligned = reinterpret_cast<std::uintptr_t>(memory) % alignof(Descriptor) == 0;
    return is_aligned ? reinterpret_cast<Descriptor*>(memory) : nullptr;
  }

  void find_pages(const DmaMap& dma) noexcept {
    bool any = false;
    for (std::uint64_t done = 0; done < bytes_;) {
      const std::uint64_t place = base_ + done;
      const std::uint64_t there = std::min<std::uint64_t>(page_bytes - place % page_bytes, bytes_ - done);
      pages_.push_back(aligned(dma.translate(place, there)));  // within what reserve() made room for
      any |= pages_.back() != nullptr;
      done += there;
    }
    if (!any) pages_.clear();
  }

  Descriptor* whole_ = nullptr;
  std::uint64_t base_ = 0;
  std::uint32_t bytes_ = 0;
  std::uint64_t generation_ = ~std::uint64_t{0};  ///< of the map, when this was found out
  std::vector<Descriptor*> pages_;                ///< if it is not in one piece; empty if it is nowhere
};

}  // namespace ixcap::emulator
