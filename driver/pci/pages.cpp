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

constexpr std::size_t most_bytes = std::size_t{1} << 46;  // as much as a process has addresses for

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
  if (bytes > most_bytes) throw refused(bytes, ENOMEM);
  if (bytes >= giant_page_bytes / 2 && map_huge(bytes, giant_page_bytes)) return;
  if (!map_huge(bytes, huge_page_bytes)) map_ordinary(round_up(bytes, ordinary_page_bytes));
}

Pages::~Pages() {
  if (data_ != nullptr) munmap(data_, size_);
  if (memfd_ >= 0) close(memfd_);
}

Pages::Pages(Pages&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(other.size_),
      page_bytes_(other.page_bytes_),
      memfd_(std::exchange(other.memfd_, -1)) {}

bool Pages::map_huge(std::size_t wanted_bytes, std::size_t page_bytes) noexcept {
  const unsigned size_flag = page_bytes == giant_page_bytes ? MFD_HUGE_1GB : MFD_HUGE_2MB;
  const int memfd = memfd_create("ixcap-dma", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | size_flag);
  if (memfd < 0) return false;
  const std::size_t bytes = round_up(wanted_bytes, page_bytes);
  if (set_size(memfd, bytes)) {
    // MAP_POPULATE takes the huge pages now: a pool that is too small must show here, not as SIGBUS at first touch.
    void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memfd, 0);
    if (address != MAP_FAILED) {
      data_ = static_cast<std::uint8_t*>(address);
      size_ = bytes;
      page_bytes_ = page_bytes;
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
  memfd_ = memfd;
}

}  // namespace ixcap::pci
