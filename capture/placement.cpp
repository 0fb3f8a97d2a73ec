#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <charconv>
#include <fstream>

#include <ixcap/capture/placement.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

std::string local_cpu_list(const std::string& address) {
  if (address.find('/') != std::string::npos) return {};
  std::ifstream file("/sys/bus/pci/devices/" + address + "/local_cpulist");
  std::string list;
  std::getline(file, list);
  return list;
}

/// Of "0000:03:00.1": 1.
unsigned function_number(const std::string& address) {
  const char last = address.empty() ? '0' : address.back();
  return last >= '0' && last <= '7' ? static_cast<unsigned>(last - '0') : 0;
}

Error unreadable(std::string_view list) {
  return Error("cannot read the list of CPUs", std::string(list), "it is not of the form 0-3,8",
               "give numbers and ranges, as in /sys/devices/system/cpu/online");
}

}  // namespace

std::vector<unsigned> parse_cpu_list(std::string_view list) {
  std::vector<unsigned> cpus;
  const std::string_view whole = list;
  const auto take_number = [&list, whole] {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(list.data(), list.data() + list.size(), number);
    if (error != std::errc{} || number >= CPU_SETSIZE) throw unreadable(whole);
    list.remove_prefix(static_cast<std::size_t>(end - list.data()));
    return number;
  };
  while (true) {
    const unsigned first = take_number();
    unsigned last = first;
    if (list.starts_with('-')) {
      list.remove_prefix(1);
      last = take_number();
    }
    if (last < first) throw unreadable(whole);
    for (unsigned cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    if (list.empty()) return cpus;
    if (!list.starts_with(',')) throw unreadable(whole);
    list.remove_prefix(1);
  }
}

std::vector<unsigned> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<unsigned> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::vector<unsigned> place_queues(const std::string& address, unsigned queues, const std::string& chosen) {
  const std::vector<unsigned> allowed = allowed_cpus();
  const auto may_run_on = [&allowed](unsigned cpu) { return std::ranges::find(allowed, cpu) != allowed.end(); };
  if (!chosen.empty()) {
    std::vector<unsigned> cpus = parse_cpu_list(chosen);
    const auto refused = std::ranges::find_if_not(cpus, may_run_on);
    if (refused != cpus.end()) {
      throw Error("cannot receive on CPU", fmt::format("{}", *refused), "this process may not run there",
                  "name others: taskset -p $$ tells which it may use");
    }
    for (std::size_t i = 0; cpus.size() < queues; ++i) cpus.push_back(cpus[i]);
    cpus.resize(queues);
    return cpus;
  }
  const std::string list = local_cpu_list(address);
  if (list.empty()) return {};
  std::vector<unsigned> local = parse_cpu_list(list);
  std::erase_if(local, [&](unsigned cpu) { return !may_run_on(cpu); });
  if (local.size() < queues) return {};
  const std::size_t start = std::size_t{function_number(address)} * queues;
  std::vector<unsigned> cpus;
  for (std::size_t i = 0; i < queues; ++i) cpus.push_back(local[(start + i) % local.size()]);
  return cpus;
}

bool pin_this_thread(unsigned cpu) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set) == 0;
}

RunningOn::RunningOn(const std::vector<unsigned>& cpus) noexcept {
  if (cpus.empty()) return;
  cpu_set_t before;
  if (::pthread_getaffinity_np(::pthread_self(), sizeof before, &before) != 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const unsigned cpu : cpus) CPU_SET(cpu, &set);
  if (::pthread_setaffinity_np(::pthread_self(), sizeof set, &set) == 0) before_ = before;
}

RunningOn::~RunningOn() {
  if (before_.has_value()) ::pthread_setaffinity_np(::pthread_self(), sizeof *before_, &*before_);
}

}  // namespace ixcap::capture
