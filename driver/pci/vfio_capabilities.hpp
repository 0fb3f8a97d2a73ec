#pragma once

/// What the kernel tells of an IOMMU (VFIO_IOMMU_GET_INFO), read with distrust: every offset and count is checked.
///
/// Source: linux/vfio.h, structures vfio_iommu_type1_info and its capabilities.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <ixcap/driver/pci/io_address_space.hpp>

namespace ixcap::pci {

struct IommuInfo {
  std::uint64_t page_sizes = 0;  ///< a bit for each power of two
  std::vector<IoRange> usable;   ///< what can be mapped: inside the IOMMU's reach, outside of reserved windows
  std::uint32_t mappings_left = 0;
};

/// `answer` is the structure with the capabilities behind it. A kernel that does not tell ranges (before 5.4) is taken
/// to have x86's: 39 bits, without the window of message-signalled interrupts. Nothing if it contradicts itself.
std::optional<IommuInfo> parse_iommu_info(std::span<const std::uint8_t> answer);

}  // namespace ixcap::pci
