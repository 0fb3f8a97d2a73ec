#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <limits>

#include <ixcap/driver/emulator/client_memory.hpp>

namespace ixcap::emulator {
namespace {

constexpr std::uint64_t highest_address = std::numeric_limits<std::uint64_t>::max();

/// Whether the file keeps its length; seals it if that helps. A file that is no memfd has no seals to give.
bool keeps_its_length(int file) noexcept {
  const auto sealed = [file] {
    const int seals = ::fcntl(file, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
  };
  return sealed() || (::fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK) == 0 && sealed());
}

}  // namespace

ClientMemory::MappedFile::~MappedFile() {
  --mapped;
  if (memory != nullptr) ::munmap(memory, size);
}

Refusal ClientMemory::map(const Place& place, const pci::FileDescriptor& file) {
  if (place.size == 0 || place.size % page_bytes != 0 || place.address % page_bytes != 0) {
    return {EINVAL, "the range is not of whole pages"};
  }
  if (place.size - 1 > highest_address - place.address) return {EINVAL, "the range wraps around"};
  if (ranges_.size() >= most_ranges) return {ENOSPC, "there are too many ranges"};
  std::shared_ptr<MappedFile> mapped;
  if (file.valid()) {
    if (const Refusal refusal = map_file(place, file, mapped); refusal.error != 0) return refusal;
  }
  const auto present = ranges_.find(place.address);
  if (present != ranges_.end()) {
    const Range& range = present->second;
    if (range.size == place.size && range.offset == place.offset && range.readable == place.readable &&
        range.writable == place.writable && range.file == mapped) {
      return {};
    }
  }
  unmap(place.address, place.size);
  insert(place.address, {place.size, place.offset, place.readable, place.writable, std::move(mapped)});
  return {};
}

/// The file's mapping that holds the range: one that is there, or a new one.
Refusal ClientMemory::map_file(const Place& place, const pci::FileDescriptor& file,
                               std::shared_ptr<MappedFile>& mapped) {
  struct stat status = {};
  if (::fstat(file.number(), &status) != 0) return {errno, "the file tells nothing of itself"};
  if (!S_ISREG(status.st_mode)) return {EINVAL, "the file is no memory"};
  if (!keeps_its_length(file.number()))
    return {EPERM, "the file could shrink under the device: it needs F_SEAL_SHRINK"};
  // Its length only counts from when it can no longer shrink.
  if (::fstat(file.number(), &status) != 0) return {errno, "the file tells nothing of itself"};
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  if (place.offset % page_bytes != 0) return {EINVAL, "the range does not begin with a page of the file"};
  if (place.offset > bytes || place.size > bytes - place.offset) return {EINVAL, "the range ends behind the file"};
  const FileKey key{status.st_dev, status.st_ino, place.writable};
  const auto known = files_.find(key);
  if (known != files_.end() && place.offset + place.size <= known->second->size) {
    mapped = known->second;
    return {};
  }
  if (mapped_files_ >= most_files) return {ENOSPC, "there are too many files"};
  auto fresh = std::make_shared<MappedFile>(mapped_files_);
  fresh->key = key;
  const int protection = place.writable ? PROT_READ | PROT_WRITE : PROT_READ;
  // Huge pages are reserved here, so that they are there at the first touch.
  void* const memory = ::mmap(nullptr, bytes, protection, MAP_SHARED, file.number(), 0);
  if (memory == MAP_FAILED) return {errno, "the file cannot be mapped"};
  fresh->memory = static_cast<std::uint8_t*>(memory);
  fresh->size = bytes;
  files_[key] = fresh;
  mapped = std::move(fresh);
  return {};
}

/// Puts a range where there is none, here and in the function.
void ClientMemory::insert(std::uint64_t address, const Range& range) {
  const auto inserted = ranges_.emplace(address, range).first;
  if (range.file == nullptr) return;
  try {
    function_.add_dma_range(address, range.size, range.file->memory + range.offset, range.readable, range.writable);
  } catch (...) {
    ranges_.erase(inserted);
    throw;
  }
}

/// Lets go of a file that a range was in; unmaps it if that was the last.
void ClientMemory::release(std::shared_ptr<MappedFile> file) noexcept {
  if (file == nullptr || file.use_count() != 2) return;  // one use is here and one in files_
  const auto known = files_.find(file->key);
  if (known != files_.end() && known->second == file) files_.erase(known);
}

void ClientMemory::unmap(std::uint64_t address, std::uint64_t size) {
  if (size == 0) return;
  const std::uint64_t last = size - 1 > highest_address - address ? highest_address : address + size - 1;
  auto range = ranges_.upper_bound(address);
  if (range != ranges_.begin()) --range;
  while (range != ranges_.end() && range->first <= last) {
    const std::uint64_t start = range->first;
    const std::uint64_t end = start + (range->second.size - 1);
    if (end < address) {
      ++range;
      continue;
    }
    Range whole = std::move(range->second);
    if (whole.file != nullptr) function_.remove_dma_range(start, whole.size);
    range = ranges_.erase(range);
    if (start < address) {
      Range before = whole;
      before.size = address - start;
      insert(start, before);
    }
    if (end > last && ranges_.size() < most_ranges) {
      Range after = whole;
      after.size = end - last;
      after.offset += last + 1 - start;
      insert(last + 1, after);
    }
    release(std::move(whole.file));
  }
}

void ClientMemory::clear() noexcept {
  for (const auto& [address, range] : ranges_) {
    if (range.file != nullptr) function_.remove_dma_range(address, range.size);
  }
  ranges_.clear();
  files_.clear();
}

}  // namespace ixcap::emulator
