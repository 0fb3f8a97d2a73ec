#pragma once

/// Memory that a device may read and write while this process runs: huge pages when the system has some free (of 1 GiB
/// for what fills at least half of one, of 2 MiB otherwise), else ordinary pages.
///
/// The pages are backed by a memfd, so that a device in another process (vfio-user) can map the same memory. Whoever
/// gives them to hardware locks them into memory: the kernel's VFIO pins what it maps. Locking them here, too, would
/// count them twice against the memlock limit.
///
/// Ownership: Pages owns mapping and descriptor; a device's mapping of them (pci::DmaMemory) must end first.
/// Errors: the constructor throws ixcap::Error when the memory cannot be had.

#include <cstddef>
#include <cstdint>

namespace ixcap::pci {

class Pages {
 public:
  static constexpr std::size_t ordinary_page_bytes = 4096;
  static constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;
  static constexpr std::size_t giant_page_bytes = std::size_t{1} << 30;

  /// At least `bytes`, zeroed, rounded up to whole pages of the kind that was had.
  explicit Pages(std::size_t bytes);
  ~Pages();
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&&) = delete;

  std::uint8_t* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t page_bytes() const noexcept { return page_bytes_; }
  int memfd() const noexcept { return memfd_; }

 private:
  bool map_huge(std::size_t bytes, std::size_t page_bytes) noexcept;
  void map_ordinary(std::size_t bytes);

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t page_bytes_ = 0;
  int memfd_ = -1;
};

}  // namespace ixcap::pci
