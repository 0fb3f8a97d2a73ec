#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include <ixcap/filter/jit/code_memory.hpp>

namespace ixcap::filter::jit {
namespace {

[[noreturn]] void refuse(const char* subject) {
  throw Error("cannot hold a filter's native code", subject, std::strerror(errno),
              "allow this process executable memory (SELinux execmem, systemd's MemoryDenyWriteExecute), or set "
              "IXCAP_SIMD=interpreter");
}

}  // namespace

CodeMemory::CodeMemory(std::span<const std::uint8_t> image, std::size_t code_size)
    : size_((image.size() + page_size - 1) / page_size * page_size) {
  void* const memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) refuse("mmap");
  start_ = static_cast<std::uint8_t*>(memory);
  std::memcpy(start_, image.data(), image.size());
  const bool constants_sealed = code_size == size_ || ::mprotect(start_ + code_size, size_ - code_size, PROT_READ) == 0;
  if (!constants_sealed || ::mprotect(start_, code_size, PROT_READ | PROT_EXEC) != 0) {
    const int error = errno;
    ::munmap(start_, size_);
    errno = error;
    refuse("mprotect");
  }
}

CodeMemory::~CodeMemory() {
  ::munmap(start_, size_);
}

}  // namespace ixcap::filter::jit
