#pragma once

/// A vfio-user client's memory, as far as it has mapped it for DMA: files of the client, mapped here, and which of
/// their bytes are at which I/O address.
///
/// A file is mapped once and whole however many ranges lie in it, so a range costs a node in a tree and no mapping of
/// the system's: a guest behind an IOMMU maps hundreds of thousands of single pages. Ranges side by side whose memory
/// is side by side in one file are side by side here, too.
///
/// What a client could pull from under the process is refused: an access behind the end of a file is SIGBUS, so a file
/// must be a memfd that cannot shrink (F_SEAL_SHRINK), or can be sealed so here. What remains is memory that the system
/// cannot provide at the first touch: a client that overcommits its memory, or punches holes into huge pages and has
/// others take them.
///
/// A range without a file is known and unreachable: the function sees a fault there.
///
/// Ownership: the ranges in the function and the mapped files; both end with this.
/// Threads: one at a time.

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include <ixcap/driver/emulator/pci_function.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::emulator {

/// Why a client's message is refused: an errno value for the client, 0 if it is not, and a sentence for people.
struct Refusal {
  int error = 0;
  const char* why = "";
};

class ClientMemory {
 public:
  static constexpr std::size_t most_ranges = std::size_t{1} << 20;
  static constexpr std::size_t most_files = 4096;  ///< a process has some 65,000 mappings (vm.max_map_count)
  static constexpr std::uint64_t page_bytes = 4096;

  /// [address, address + size) of the I/O address space; multiples of page_bytes.
  struct Place {
    std::uint64_t address;
    std::uint64_t size;
    std::uint64_t offset;  ///< in the file
    bool readable;         ///< for the function
    bool writable;
  };

  explicit ClientMemory(PciFunction& function) noexcept : function_(function) {}
  ~ClientMemory() { clear(); }
  ClientMemory(const ClientMemory&) = delete;
  ClientMemory& operator=(const ClientMemory&) = delete;

  /// Adds a range, which replaces what it overlaps; the same range again changes nothing. `file` may be none. Throws
  /// std::bad_alloc, after which the range is not there.
  Refusal map(const Place& place, const pci::FileDescriptor& file);

  /// Ends whatever is mapped in [address, address + size); ranges that reach out of it keep what is outside
  /// (with most_ranges, only what is before it). The function touches what ended no more once this returns.
  void unmap(std::uint64_t address, std::uint64_t size);

  /// Ends all ranges.
  void clear() noexcept;

  std::size_t range_count() const noexcept { return ranges_.size(); }
  std::size_t file_count() const noexcept { return files_.size(); }

 private:
  using FileKey = std::tuple<dev_t, ino_t, bool>;  ///< device, inode, writable: the same file under any number

  struct MappedFile {
    explicit MappedFile(std::size_t& count) : mapped(count) { ++mapped; }
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    std::size_t& mapped;  ///< how many there are
    FileKey key;
    std::uint8_t* memory = nullptr;
    std::uint64_t size = 0;
  };
  struct Range {
    std::uint64_t size;
    std::uint64_t offset;
    bool readable;
    bool writable;
    std::shared_ptr<MappedFile> file;
  };

  Refusal map_file(const Place& place, const pci::FileDescriptor& file, std::shared_ptr<MappedFile>& mapped);
  void insert(std::uint64_t address, const Range& range);
  void release(std::shared_ptr<MappedFile> file) noexcept;

  PciFunction& function_;
  std::size_t mapped_files_ = 0;                          ///< also shorter mappings of files that have grown
  std::map<std::uint64_t, Range> ranges_;                 ///< by I/O address; they do not overlap
  std::map<FileKey, std::shared_ptr<MappedFile>> files_;  ///< of each file the longest mapping
};

}  // namespace ixcap::emulator
