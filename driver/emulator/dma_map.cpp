#include <iterator>
#include <limits>

#include <ixcap/driver/emulator/dma_map.hpp>

namespace ixcap::emulator {
namespace {

constexpr std::uint64_t gap_bytes = std::uint64_t{1} << 21;  // keeps addresses aligned to huge pages, too

}  // namespace

const DmaMap::Range DmaMap::nowhere{};

std::uint64_t DmaMap::map(std::uint8_t* memory, std::size_t bytes) {
  std::uint64_t io_address;
  do {
    io_address = next_io_address_;
    next_io_address_ += (bytes / gap_bytes + 2) * gap_bytes;
  } while (bytes != 0 && !add(io_address, bytes, memory, true, true));
  return io_address;
}

bool DmaMap::add(std::uint64_t io_address, std::uint64_t bytes, std::uint8_t* memory, bool readable, bool writable) {
  if (bytes == 0 || bytes - 1 > std::numeric_limits<std::uint64_t>::max() - io_address) return false;
  const auto next = ranges_.lower_bound(io_address);
  if (next != ranges_.end() && next->first - io_address < bytes) return false;
  if (next != ranges_.begin() && std::prev(next)->second.covers(io_address, 0)) return false;
  unsigned allowed = 0;
  if (memory != nullptr && readable) allowed |= static_cast<unsigned>(DmaAccess::read);
  if (memory != nullptr && writable) allowed |= static_cast<unsigned>(DmaAccess::write);
  ranges_.emplace_hint(next, io_address, Range{io_address, bytes, memory, static_cast<std::uint8_t>(allowed)});
  return true;
}

void DmaMap::unmap(std::uint64_t io_address) noexcept {
  const auto range = ranges_.find(io_address);
  if (range == ranges_.end()) return;
  forget(range->second);
  ranges_.erase(range);
}

bool DmaMap::remove(std::uint64_t io_address, std::uint64_t bytes) noexcept {
  const auto range = ranges_.find(io_address);
  if (range == ranges_.end() || range->second.bytes != bytes) return false;
  forget(range->second);
  ranges_.erase(range);
  return true;
}

void DmaMap::forget(const Range& range) noexcept {
  if (last_ == &range) last_ = &nowhere;
  for (const Range*& recent : recent_) {
    if (recent == &range) recent = &nowhere;
  }
}

/// The range that covers these bytes, or `nowhere`.
const DmaMap::Range* DmaMap::search(std::uint64_t io_address, std::size_t bytes) const noexcept {
  const Range*& recent = recent_[(io_address >> recent_page_shift) % recent_count];
  if (!recent->covers(io_address, bytes)) {
    const auto after = ranges_.upper_bound(io_address);
    if (after == ranges_.begin()) return &nowhere;
    const Range& candidate = std::prev(after)->second;
    if (!candidate.covers(io_address, bytes)) return join(std::prev(after), io_address, bytes);
    recent = &candidate;
  }
  last_ = recent;
  return last_;
}

/// The range together with as many of its neighbours as these bytes reach into, or `nowhere`.
const DmaMap::Range* DmaMap::join(Ranges::const_iterator range, std::uint64_t io_address,
                                  std::size_t bytes) const noexcept {
  joined_ = range->second;
  if (joined_.memory == nullptr || !joined_.covers(io_address, 0)) return &nowhere;
  while (!joined_.covers(io_address, bytes)) {
    ++range;
    if (range == ranges_.end()) return &nowhere;
    const Range& next = range->second;
    const bool continues =
        next.io_address - joined_.io_address == joined_.bytes && next.memory == joined_.memory + joined_.bytes;
    if (!continues) return &nowhere;
    joined_.bytes += next.bytes;
    joined_.allowed &= next.allowed;
  }
  return &joined_;
}

}  // namespace ixcap::emulator
