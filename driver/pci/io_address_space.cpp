#include <algorithm>
#include <iterator>
#include <limits>

#include <ixcap/driver/pci/io_address_space.hpp>

namespace ixcap::pci {
namespace {

constexpr std::uint64_t page = IoAddressSpace::page_bytes;
constexpr std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();

}  // namespace

IoAddressSpace::IoAddressSpace(std::span<const IoRange> usable) {
  for (const IoRange& range : usable) {
    const std::uint64_t first = std::max(range.first, page);
    if (range.last < first || first > highest - page) continue;
    const std::uint64_t start = (first + page - 1) / page * page;
    // The last page of 64 bits stays out: its end is no number.
    const std::uint64_t end = (std::min(range.last, highest - page) + 1) / page * page;
    if (start < end) add(start, end - 1);
  }
}

/// Joins the range with those that it touches or overlaps.
void IoAddressSpace::add(std::uint64_t first, std::uint64_t last) {
  auto next = free_.upper_bound(first);
  if (next != free_.begin() && std::prev(next)->second >= first - 1) {
    --next;
    first = next->first;
  }
  while (next != free_.end() && next->first <= last + 1) {
    last = std::max(last, next->second);
    next = free_.erase(next);
  }
  free_.emplace(first, last);
}

std::optional<std::uint64_t> IoAddressSpace::take(std::uint64_t bytes, std::uint64_t alignment) {
  if (bytes == 0 || bytes % page != 0 || bytes > highest - page) return std::nullopt;
  const std::uint64_t wanted = bytes + page;
  for (auto piece = free_.begin(); piece != free_.end(); ++piece) {
    const auto [first, last] = *piece;
    if (first > highest - alignment) break;
    const std::uint64_t address = (first + alignment - 1) / alignment * alignment;
    if (address > last || last - address < wanted - 1) continue;
    free_.erase(piece);
    if (address > first) free_.emplace(first, address - 1);
    if (address + (wanted - 1) < last) free_.emplace(address + wanted, last);
    return address;
  }
  return std::nullopt;
}

void IoAddressSpace::give_back(std::uint64_t address, std::uint64_t bytes) {
  add(address, address + (bytes + page - 1));
}

}  // namespace ixcap::pci
