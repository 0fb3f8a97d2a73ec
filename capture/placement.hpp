#pragma once

/// Which CPUs receive: near the card, one for each queue.
///
/// A card on a PCI slot tells the CPUs of its NUMA node (sysfs, local_cpulist). Of those that this process may run on,
/// queue i gets the i-th, counted from a place that the card's function number chooses, so that two ports of one card
/// do not begin at the same CPU. Where there are fewer CPUs than queues, or the interface is no card, threads are left
/// to the scheduler, unless the user names CPUs.
///
/// Threads: any. Errors: Error for a list that cannot be read, or a CPU that this process may not run on.

#include <sched.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ixcap::capture {

/// "0-3,8" as numbers, in that order. Throws Error.
std::vector<unsigned> parse_cpu_list(std::string_view list);

/// The CPUs for the queues of the card at `address` ("0000:03:00.0"; anything else is no card). `chosen`: a list that
/// the user gave, or empty. Empty if threads shall not be pinned; otherwise `queues` CPUs. Throws Error.
std::vector<unsigned> place_queues(const std::string& address, unsigned queues, const std::string& chosen);

/// The CPUs that this thread may run on.
std::vector<unsigned> allowed_cpus();

/// Binds this thread to `cpu`. False if that is refused.
bool pin_this_thread(unsigned cpu) noexcept;

/// While it lives, this thread runs on `cpus`; what it allocates meanwhile lies in their memory. Empty: no change.
class RunningOn {
 public:
  explicit RunningOn(const std::vector<unsigned>& cpus) noexcept;
  ~RunningOn();
  RunningOn(const RunningOn&) = delete;
  RunningOn& operator=(const RunningOn&) = delete;

 private:
  std::optional<cpu_set_t> before_;
};

}  // namespace ixcap::capture
