#include <fmt/format.h>
#include <sys/resource.h>

#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>

#include <ixcap/driver/pci/memory_lock.hpp>

namespace ixcap::pci {
namespace {

constexpr unsigned cap_ipc_lock = 14;  // linux/capability.h
constexpr std::uint64_t infinite = std::numeric_limits<std::uint64_t>::max();
static_assert(RLIM_INFINITY == infinite);

/// The number behind "name:" at the start of a line; 0 if there is none.
std::uint64_t number_in(std::string_view text, std::string_view name, int base) {
  std::size_t place = text.starts_with(name) ? 0 : text.find(fmt::format("\n{}", name));
  if (place == std::string_view::npos) return 0;
  place = text.find_first_not_of(" \t", text.find(name, place) + name.size());
  if (place == std::string_view::npos) return 0;
  std::uint64_t value = 0;
  std::from_chars(text.data() + place, text.data() + text.size(), value, base);
  return value;
}

constexpr std::uint64_t kib(std::uint64_t bytes) noexcept {
  return bytes / 1024 + (bytes % 1024 == 0 ? 0 : 1);
}

/// As far up as the shell may go by itself: other queues will want memory, too.
std::string mend_of(const MemoryLock& lock, std::uint64_t needed) {
  if (lock.most_bytes == infinite) return "raise it: ulimit -l unlimited";
  if (lock.most_bytes >= needed) return fmt::format("raise it: ulimit -l {}", lock.most_bytes / 1024);
  return "raise it for this shell: sudo prlimit --pid $$ --memlock=unlimited; for good: echo \"$USER - memlock "
         "unlimited\" | sudo tee /etc/security/limits.d/ixcap.conf, and log in again";
}

}  // namespace

MemoryLock parse_memory_lock(std::string_view status, std::uint64_t soft_limit, std::uint64_t hard_limit) {
  const std::uint64_t locked_kib = number_in(status, "VmLck:", 10);
  const bool capable = (number_in(status, "CapEff:", 16) >> cap_ipc_lock & 1) != 0;
  return {.locked_bytes = locked_kib > infinite / 1024 ? infinite : locked_kib * 1024,
          .limit_bytes = soft_limit,
          .most_bytes = hard_limit,
          .unlimited = capable || soft_limit == infinite};
}

MemoryLock read_memory_lock() {
  std::ostringstream status;
  status << std::ifstream("/proc/self/status").rdbuf();
  rlimit limits{};
  ::getrlimit(RLIMIT_MEMLOCK, &limits);  // fails for no argument that is one
  return parse_memory_lock(status.str(), limits.rlim_cur, limits.rlim_max);
}

std::optional<Error> memory_lock_shortage(const MemoryLock& lock, std::uint64_t bytes, const std::string& subject) {
  if (lock.unlimited) return std::nullopt;
  if (lock.locked_bytes <= lock.limit_bytes && bytes <= lock.limit_bytes - lock.locked_bytes) return std::nullopt;
  const std::uint64_t needed = bytes > infinite - lock.locked_bytes ? infinite : lock.locked_bytes + bytes;
  const std::string reason = fmt::format("{} KiB of memory are to be locked, and the limit is {} KiB (ulimit -l)",
                                         kib(needed), lock.limit_bytes / 1024);
  return Error("cannot give DMA memory to", subject, reason, mend_of(lock, needed));
}

}  // namespace ixcap::pci
