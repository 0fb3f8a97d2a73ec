#pragma once

/// The memory that a card may reach through the kernel's IOMMU: what pci::Device::map_dma does in /dev/vfio.
///
/// The kernel pins the pages, so nothing else has to lock them, and counts them against the memlock limit
/// (memory_lock.hpp). Addresses come from IoAddressSpace, aligned to the pages' size, so that the IOMMU can use huge
/// entries, too.
///
/// Ownership: borrows the container, which outlives it.
/// Threads: one at a time.
/// Errors: ixcap::Error naming the device `subject`.

#include <cstdint>
#include <string>

#include <ixcap/driver/pci/io_address_space.hpp>
#include <ixcap/driver/pci/pages.hpp>
#include <ixcap/driver/pci/vfio_capabilities.hpp>

namespace ixcap::pci {

class VfioMemory {
 public:
  VfioMemory(int container, std::string subject);

  std::uint64_t map(const Pages& pages);
  void unmap(std::uint64_t io_address, const Pages& pages) noexcept;

 private:
  VfioMemory(int container, std::string subject, const IommuInfo& info);

  int container_;
  std::string subject_;
  std::uint32_t mappings_left_;
  IoAddressSpace addresses_;
};

}  // namespace ixcap::pci
