#pragma once

/// What `ixcap doctor` finds out about one card, without changing anything.
///
/// Threads: one at a time.

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include <ixcap/driver/pci/discovery.hpp>
#include <ixcap/driver/pci/kernel.hpp>
#include <ixcap/driver/pci/memory_lock.hpp>

namespace ixcap::tools {

enum class Verdict {
  ok,
  note,     ///< in nobody's way, but better otherwise
  fault,    ///< stands between the card and a capture
  unknown,  ///< cannot be told now
};

struct Finding {
  std::string check;  ///< what was looked at, one word: "driver", "iommu"
  Verdict verdict = Verdict::unknown;
  std::string finding;  ///< what it is like
  std::string mend;     ///< the command that mends it, or tells more; empty if there is nothing to mend
};

/// Who would capture.
struct Caller {
  uid_t user = 0;
  std::string name;  ///< of the user
  pci::MemoryLock memory = {};
  std::vector<unsigned> cpus;  ///< that it may run on
};

/// This process's.
Caller this_caller();

/// All checks of one card, in the order in which they are mended.
std::vector<Finding> examine(const pci::Kernel& kernel, const pci::Function& card, const Caller& caller);

/// Whether a capture can begin: no finding is a fault.
bool nothing_in_the_way(const std::vector<Finding>& findings) noexcept;

/// "0-3,8" as {0, 1, 2, 3, 8}; what is no such list is empty.
std::vector<unsigned> parse_cpu_list(std::string_view list);

}  // namespace ixcap::tools
