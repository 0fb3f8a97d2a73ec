#include <linux/vfio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include <ixcap/driver/pci/vfio_capabilities.hpp>

namespace ixcap::pci {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint32_t dma_available_capability = 3;  // VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL
constexpr std::uint32_t usual_mappings = 65535;        // the module's default, where the kernel does not tell
constexpr std::uint64_t smallest_page_bit = 4096;

/// The window that x86 interrupts are written to, and the shortest addresses of VT-d.
constexpr IoRange below_interrupts = {0, 0xFEDF'FFFF};
constexpr IoRange above_interrupts = {0xFEF0'0000, (std::uint64_t{1} << 39) - 1};

template <typename Structure>
bool read_at(Bytes bytes, std::size_t offset, Structure& structure) noexcept {
  if (offset > bytes.size() || bytes.size() - offset < sizeof structure) return false;
  std::memcpy(&structure, bytes.data() + offset, sizeof structure);
  return true;
}

/// Ranges come in rising order and apart from each other.
bool read_ranges(Bytes answer, std::size_t offset, std::vector<IoRange>& ranges) {
  vfio_iommu_type1_info_cap_iova_range head;  // with an array of no length, which has no initializer
  if (!read_at(answer, offset, head)) return false;
  const std::size_t room = (answer.size() - offset - sizeof head) / sizeof(vfio_iova_range);
  if (head.nr_iovas == 0 || head.nr_iovas > room) return false;
  for (std::uint32_t i = 0; i < head.nr_iovas; ++i) {
    vfio_iova_range range = {};
    if (!read_at(answer, offset + sizeof head + i * sizeof range, range) || range.end < range.start) return false;
    if (!ranges.empty() && range.start <= ranges.back().last) return false;
    ranges.push_back({range.start, range.end});
  }
  return true;
}

bool read_capability(Bytes answer, std::size_t offset, const vfio_info_cap_header& header, IommuInfo& info) {
  if (header.version != 1) return true;  // of a kind that came later
  if (header.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
    return info.usable.empty() && read_ranges(answer, offset, info.usable);
  if (header.id != dma_available_capability) return true;
  vfio_iommu_type1_info_dma_avail available = {};
  if (!read_at(answer, offset, available)) return false;
  info.mappings_left = available.avail;
  return true;
}

}  // namespace

std::optional<IommuInfo> parse_iommu_info(Bytes answer) {
  vfio_iommu_type1_info head = {};
  constexpr std::size_t without_capabilities = offsetof(vfio_iommu_type1_info, cap_offset);
  if (answer.size() < without_capabilities) return std::nullopt;
  std::memcpy(&head, answer.data(), std::min(answer.size(), sizeof head));
  IommuInfo info{.page_sizes = smallest_page_bit, .usable = {}, .mappings_left = usual_mappings};
  if ((head.flags & VFIO_IOMMU_INFO_PGSIZES) != 0) info.page_sizes = head.iova_pgsizes;
  if (info.page_sizes == 0) return std::nullopt;
  if ((head.flags & VFIO_IOMMU_INFO_CAPS) != 0) {
    std::size_t offset = answer.size() < sizeof head ? 0 : head.cap_offset;
    while (offset != 0) {
      vfio_info_cap_header header = {};
      if (!read_at(answer, offset, header) || !read_capability(answer, offset, header, info)) return std::nullopt;
      // Each lies behind the one before, so that the list ends.
      if (header.next != 0 && header.next <= offset) return std::nullopt;
      offset = header.next;
    }
  }
  if (info.usable.empty()) info.usable = {below_interrupts, above_interrupts};
  return info;
}

}  // namespace ixcap::pci
