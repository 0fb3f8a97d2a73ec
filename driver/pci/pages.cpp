#include <fcntl.h>
#include <fmt/format.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/pages.hpp>

namespace ixcap::pci {
namespace {

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) noexcept {
  return (bytes + unit - 1) / unit * unit;
}

/// Gives the file its size for good: a device in another process need not fear that it shrinks.
bool set_size(int memfd, std::size_t bytes) noexcept {
  return ftruncate(memfd, static_cast<off_t>(bytes)) == 0 &&
         fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0;
}

Error refused(std::size_t bytes, int error_number) {
  return Error::from_errno(fmt::format("cannot allocate {} KiB of DMA memory", bytes / 1024), "", error_number,
                           error_number == EFBIG ? "raise the file size limit: ulimit -f unlimited"
                                                 : "free some memory or ask for fewer descriptors");
}

}  // namespace

Pages::Pages(std::size_t bytes) {
  if (!map_huge(round_up(bytes, huge_page_bytes))) map_ordinary(round_up(bytes, ordinary_page_bytes));
}

Pages::~Pages() {
  if (data_ != nullptr) munmap(data_, size_);
  if (memfd_ >= 0) close(memfd_);
}

Pages::Pages(Pages&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(other.size_),
      page_bytes_(other.page_bytes_),
      locked_(other.locked_),
      memfd_(std::exchange(other.memfd_, -1)) {}

bool Pages::map_huge(std::size_t bytes) noexcept {
  const int memfd = memfd_create("ixcap-dma", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_2MB);
  if (memfd < 0) return false;
  if (set_size(memfd, bytes)) {
    // MAP_POPULATE takes the huge pages now: a pool that is too small must show here, not as SIGBUS at first touch.
    void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memfd, 0);
    if (address != MAP_FAILED) {
      data_ = static_cast<std::uint8_t*>(address);
      size_ = bytes;
      page_bytes_ = huge_page_bytes;
      locked_ = true;  // hugetlbfs pages are never swapped
      memfd_ = memfd;
      return true;
    }
  }
  close(memfd);
  return false;
}

void Pages::map_ordinary(std::size_t bytes) {
  const int memfd = memfd_create("ixcap-dma", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memfd < 0) throw refused(bytes, errno);
  void* address = MAP_FAILED;
  if (set_size(memfd, bytes)) {
    address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memfd, 0);
  }
  if (address == MAP_FAILED) {
    const int error_number = errno;
    close(memfd);
    throw refused(bytes, error_number);
  }
  data_ = static_cast<std::uint8_t*>(address);
  size_ = bytes;
  page_bytes_ = ordinary_page_bytes;
  locked_ = mlock(address, bytes) == 0;
  memfd_ = memfd;
}

}  // namespace ixcap::pci
