#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include <ixcap/driver/emulator/shared_doorbells.hpp>

namespace ixcap::emulator {
namespace {

/// Acquire: what the client wrote before it stored the word is visible.
std::uint32_t load(std::uint32_t& word) noexcept {
  return std::atomic_ref<std::uint32_t>(word).load(std::memory_order_acquire);
}

}  // namespace

SharedDoorbells::~SharedDoorbells() {
  if (page_ != nullptr) ::munmap(page_, sizeof(Page));
}

int SharedDoorbells::file() noexcept {
  if (page_ != nullptr) return file_.number();
  pci::FileDescriptor file(::memfd_create("ixcap-doorbells", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid() || ::ftruncate(file.number(), sizeof(Page)) != 0) return -1;
  // The client gets a file that it can write to, but not take the page from.
  if (::fcntl(file.number(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return -1;
  void* const memory =
      ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.number(), 0);
  if (memory == MAP_FAILED) return -1;
  page_ = static_cast<Page*>(memory);
  file_ = std::move(file);
  return file_.number();
}

bool SharedDoorbells::forward() noexcept {
  if (page_ == nullptr) return false;
  const std::uint32_t count = std::min(load(page_->count), Page::slot_count);
  for (; count_ < count; ++count_) {
    const std::uint32_t offset = load(page_->slots[count_].offset);
    const bool valid = offset % 4 == 0 && std::uint64_t{offset} + 4 <= function_.bar_size(0);
    seen_[count_] = {offset, 0, valid};
  }
  bool changed = false;
  for (std::uint32_t slot = 0; slot < count_; ++slot) {
    Seen& seen = seen_[slot];
    if (!seen.valid) continue;
    const std::uint32_t value = load(page_->slots[slot].value);
    if (value == seen.value) continue;
    seen.value = value;
    function_.write_bar(0, seen.offset, 4, value);
    changed = true;
  }
  return changed;
}

void SharedDoorbells::written(std::uint64_t offset, std::uint64_t value) noexcept {
  for (std::uint32_t slot = 0; slot < count_; ++slot) {
    if (seen_[slot].offset == offset) seen_[slot].value = static_cast<std::uint32_t>(value);
  }
}

}  // namespace ixcap::emulator
