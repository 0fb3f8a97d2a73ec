#pragma once

/// How much memory this process may keep from being paged out: what DMA through VFIO counts against (RLIMIT_MEMLOCK).
/// The kernel counts every page that it pins for a device, huge ones, too.
///
/// Threads: any.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <ixcap/driver/error.hpp>

namespace ixcap::pci {

struct MemoryLock {
  std::uint64_t locked_bytes = 0;  ///< so far
  std::uint64_t limit_bytes = 0;   ///< the soft limit, which counts
  std::uint64_t most_bytes = 0;    ///< the hard limit, up to which a process may raise it by itself
  bool unlimited = false;          ///< the process has CAP_IPC_LOCK, or there is no limit
};

/// Of this process.
MemoryLock read_memory_lock();

/// From the text of /proc/self/status and the two limits (RLIM_INFINITY: none). What the text does not tell counts as
/// nothing locked, and no capability.
MemoryLock parse_memory_lock(std::string_view status, std::uint64_t soft_limit, std::uint64_t hard_limit);

/// Why `bytes` more for the device `subject` cannot be locked, with both sums and the command that mends it. Nothing if
/// they can.
std::optional<Error> memory_lock_shortage(const MemoryLock& lock, std::uint64_t bytes, const std::string& subject);

}  // namespace ixcap::pci
