#include <algorithm>

#include <ixcap/driver/emulator/dma_map.hpp>

namespace ixcap::emulator {
namespace {

constexpr std::uint64_t gap_bytes = std::uint64_t{1} << 21;  // keeps addresses aligned to huge pages, too

}  // namespace

std::uint64_t DmaMap::map(std::uint8_t* memory, std::size_t bytes) {
  const std::uint64_t io_address = next_io_address_;
  ranges_.push_back({io_address, bytes, memory});
  next_io_address_ += (bytes / gap_bytes + 2) * gap_bytes;
  return io_address;
}

void DmaMap::unmap(std::uint64_t io_address) noexcept {
  std::erase_if(ranges_, [io_address](const Range& range) { return range.io_address == io_address; });
}

std::uint8_t* DmaMap::search(std::uint64_t io_address, std::size_t bytes) const noexcept {
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    if (!ranges_[i].covers(io_address, bytes)) continue;
    last_ = i;
    return ranges_[i].at(io_address);
  }
  return nullptr;
}

}  // namespace ixcap::emulator
