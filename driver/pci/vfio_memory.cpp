#include <fmt/format.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/memory_lock.hpp>
#include <ixcap/driver/pci/vfio_memory.hpp>

namespace ixcap::pci {
namespace {

constexpr const char* mapping = "cannot give DMA memory to";
constexpr const char* ask_kernel = "see what the kernel says: sudo dmesg";
constexpr std::uint32_t longest_info = 1 << 16;

/// The kernel's answer with all of its capabilities: it first says how long they are.
IommuInfo ask(int container, const std::string& subject) {
  std::vector<std::uint8_t> answer(sizeof(vfio_iommu_type1_info));
  for (unsigned attempt = 0; attempt < 3; ++attempt) {
    vfio_iommu_type1_info head = {};
    head.argsz = static_cast<std::uint32_t>(answer.size());
    std::memcpy(answer.data(), &head, sizeof head);
    if (::ioctl(container, VFIO_IOMMU_GET_INFO, answer.data()) != 0) {
      throw Error::from_errno("cannot ask about the IOMMU of", subject, errno, ask_kernel);
    }
    std::memcpy(&head, answer.data(), sizeof head);
    if (head.argsz <= answer.size()) {
      if (const auto info = parse_iommu_info(std::span(answer).first(std::max<std::size_t>(head.argsz, sizeof head)))) {
        return *info;
      }
      break;
    }
    if (head.argsz > longest_info) break;
    answer.assign(head.argsz, 0);
  }
  throw Error("cannot ask about the IOMMU of", subject, "the kernel's answer contradicts itself",
              "use a version of ixcap for this kernel");
}

}  // namespace

VfioMemory::VfioMemory(int container, std::string subject) : VfioMemory(container, subject, ask(container, subject)) {}

VfioMemory::VfioMemory(int container, std::string subject, const IommuInfo& info)
    : container_(container), subject_(std::move(subject)), mappings_left_(info.mappings_left), addresses_(info.usable) {
  if ((info.page_sizes & -info.page_sizes) > Pages::ordinary_page_bytes) {
    throw Error(mapping, subject_, "its IOMMU has larger pages than this machine", "use another machine");
  }
}

std::uint64_t VfioMemory::map(const Pages& pages) {
  if (mappings_left_ == 0) {
    throw Error(mapping, subject_, "the kernel maps no more pieces for it",
                "sudo modprobe -r vfio_iommu_type1 && sudo modprobe vfio_iommu_type1 dma_entry_limit=1000000");
  }
  if (auto shortage = memory_lock_shortage(read_memory_lock(), pages.size(), subject_)) throw *shortage;
  const auto address = addresses_.take(pages.size(), pages.page_bytes());
  if (!address.has_value()) {
    throw Error(mapping, subject_, fmt::format("no {} KiB of I/O addresses are free", pages.size() / 1024),
                "use fewer queues or descriptors");
  }
  const vfio_iommu_type1_dma_map request{
      .argsz = sizeof request,
      .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
      .vaddr = reinterpret_cast<std::uintptr_t>(pages.data()),
      .iova = *address,
      .size = pages.size(),
  };
  if (::ioctl(container_, VFIO_IOMMU_MAP_DMA, &request) != 0) {
    const int error = errno;
    addresses_.give_back(*address, pages.size());
    throw Error::from_errno(mapping, subject_, error,
                            error == ENOMEM ? "raise the limit of locked memory: ulimit -l unlimited" : ask_kernel);
  }
  --mappings_left_;
  return *address;
}

void VfioMemory::unmap(std::uint64_t io_address, const Pages& pages) noexcept {
  vfio_iommu_type1_dma_unmap request = {};
  request.argsz = sizeof request;
  request.iova = io_address;
  request.size = pages.size();
  // Addresses that may still be mapped are not given again.
  if (::ioctl(container_, VFIO_IOMMU_UNMAP_DMA, &request) != 0 || request.size != pages.size()) return;
  ++mappings_left_;
  addresses_.give_back(io_address, pages.size());
}

}  // namespace ixcap::pci
