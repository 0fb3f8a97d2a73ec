#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <new>

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
  insert(next, {io_address, bytes, memory, static_cast<std::uint8_t>(allowed)});
  ++generation_;
  return true;
}

/// Puts a range before `next`, as a part of its neighbours where it continues them.
void DmaMap::insert(Ranges::iterator next, const Range& range) {
  const auto joins = [](const Range& first, const Range& second) {
    return first.continues_in(second) && first.allowed == second.allowed;
  };
  const bool joins_next = next != ranges_.end() && joins(range, next->second);
  if (next != ranges_.begin() && joins(std::prev(next)->second, range)) {
    Range& before = std::prev(next)->second;
    before.bytes += range.bytes;
    if (!joins_next) return;
    before.bytes += next->second.bytes;
    erase(next);
  } else if (joins_next) {
    auto node = ranges_.extract(next++);
    node.key() = range.io_address;
    node.mapped() = {range.io_address, range.bytes + node.mapped().bytes, range.memory, range.allowed};
    ranges_.insert(next, std::move(node));
  } else {
    ranges_.emplace_hint(next, range.io_address, range);
  }
}

void DmaMap::unmap(std::uint64_t io_address) noexcept {
  const auto range = ranges_.find(io_address);
  if (range == ranges_.end()) return;
  erase(range);
  ++generation_;
}

bool DmaMap::remove(std::uint64_t io_address, std::uint64_t bytes) noexcept {
  const auto after = ranges_.upper_bound(io_address);
  if (bytes == 0 || after == ranges_.begin() || !std::prev(after)->second.covers(io_address, bytes)) return false;
  cut(std::prev(after), io_address, bytes);
  ++generation_;
  return true;
}

/// Takes the bytes out of a range that has them, and leaves of it what is before and behind them.
void DmaMap::cut(Ranges::iterator range, std::uint64_t io_address, std::uint64_t bytes) noexcept {
  const Range whole = range->second;
  const std::uint64_t before = io_address - whole.io_address;
  const std::uint64_t behind = whole.bytes - before - bytes;
  if (before == 0) {
    erase(range);
  } else {
    forget(io_address, bytes + behind);
    range->second.bytes = before;
  }
  if (behind == 0) return;
  const std::uint64_t start = io_address + bytes;
  try {
    ranges_.emplace(start, Range{start, behind, whole.memory == nullptr ? nullptr : whole.at(start), whole.allowed});
  } catch (const std::bad_alloc&) {
    // The NIC then reaches less than it might, which is a fault and no harm.
  }
}

void DmaMap::erase(Ranges::iterator range) noexcept {
  forget(range->second.io_address, range->second.bytes);
  ranges_.erase(range);
}

/// No answer given lately for these addresses counts any more. A range is among the recent ones only where its own
/// pages are, so it may go once all of them were forgotten.
void DmaMap::forget(std::uint64_t io_address, std::uint64_t bytes) noexcept {
  last_ = &nowhere;
  const std::uint64_t first = io_address >> recent_page_shift;
  const std::uint64_t last = (io_address + (bytes - 1)) >> recent_page_shift;
  if (last - first >= recent_count - 1) {
    recent_.fill(&nowhere);
    return;
  }
  for (std::uint64_t page = first; page <= last; ++page) recent_[page % recent_count] = &nowhere;
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
  if (!joined_.covers(io_address, 0)) return &nowhere;
  while (!joined_.covers(io_address, bytes)) {
    ++range;
    if (range == ranges_.end() || !joined_.continues_in(range->second)) return &nowhere;
    joined_.bytes += range->second.bytes;
    joined_.allowed &= range->second.allowed;
  }
  return &joined_;
}

/// The memory of the first of these bytes, and of as many after it as lie behind it; empty if there is none.
std::span<std::uint8_t> DmaMap::piece(std::uint64_t io_address, std::size_t bytes, DmaAccess access) const noexcept {
  const Range* range = last_;
  if (!range->covers(io_address, 1)) range = search(io_address, 1);
  if (!range->allows(access)) return {};
  const std::uint64_t there = range->bytes - (io_address - range->io_address);
  return {range->at(io_address), static_cast<std::size_t>(std::min<std::uint64_t>(there, bytes))};
}

bool DmaMap::read(std::uint64_t io_address, std::span<std::uint8_t> bytes) const noexcept {
  while (!bytes.empty()) {
    const std::span<std::uint8_t> from = piece(io_address, bytes.size(), DmaAccess::read);
    if (from.empty()) return false;
    std::memcpy(bytes.data(), from.data(), from.size());
    io_address += from.size();
    bytes = bytes.subspan(from.size());
  }
  return true;
}

bool DmaMap::write(std::uint64_t io_address, std::span<const std::uint8_t> bytes, std::size_t length) const noexcept {
  while (length != 0) {
    const std::span<std::uint8_t> to = piece(io_address, length, DmaAccess::write);
    if (to.empty()) return false;
    const std::size_t present = std::min(bytes.size(), to.size());
    if (present != 0) std::memcpy(to.data(), bytes.data(), present);
    std::memset(to.data() + present, 0, to.size() - present);
    bytes = bytes.subspan(present);
    io_address += to.size();
    length -= to.size();
  }
  return true;
}

}  // namespace ixcap::emulator
