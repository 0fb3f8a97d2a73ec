#include "tests/filter/guarded_frames.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

namespace ixcap::filter {
namespace {

constexpr std::size_t page_size = 4096;

struct sigaction previous_handler = {};

void say(std::string_view text) {
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;  // nobody is left to be told
}

void report_fault(int) {
  say("\nA read outside the captured bytes of a frame, by: ");
  say(tried);
  say("\n");
  ::sigaction(SIGSEGV, &previous_handler, nullptr);  // the read happens again, and is then theirs
}

}  // namespace

GuardedFrames::GuardedFrames(std::size_t count, std::size_t longest)
    : size_((longest + 64 + page_size - 1) / page_size * page_size),
      stride_(size_ + page_size),
      mapped_(count * stride_ + page_size) {
  void* const memory = ::mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory for guarded frames");
  memory_ = static_cast<std::uint8_t*>(memory);
  for (std::size_t place = 0; place < count; ++place) {
    if (::mprotect(memory_ + page_size + place * stride_, size_, PROT_READ | PROT_WRITE) != 0) {
      throw std::runtime_error("no memory for guarded frames");
    }
  }
}

GuardedFrames::~GuardedFrames() {
  ::munmap(memory_, mapped_);
}

Frame GuardedFrames::at_end(std::size_t place, std::span<const std::uint8_t> bytes, std::size_t captured) {
  std::uint8_t* const data = memory_ + page_size + place * stride_ + size_ - captured;
  if (captured != 0) std::memcpy(data, bytes.data(), captured);
  return {data, static_cast<std::uint32_t>(captured), static_cast<std::uint32_t>(bytes.size())};
}

Frame GuardedFrames::at_start(std::size_t place, std::span<const std::uint8_t> bytes, std::size_t captured,
                              std::size_t offset) {
  std::uint8_t* const data = memory_ + page_size + place * stride_ + offset;
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  return {data, static_cast<std::uint32_t>(captured), static_cast<std::uint32_t>(bytes.size())};
}

void report_faults() {
  struct sigaction action = {};
  action.sa_handler = report_fault;
  ::sigaction(SIGSEGV, &action, &previous_handler);
}

}  // namespace ixcap::filter
