#include "tools/examination.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include <ixcap/driver/ixgbe/rx_queue.hpp>
#include <ixcap/driver/pci/binding.hpp>
#include <ixcap/driver/pci/iommu.hpp>
#include <ixcap/driver/pci/pages.hpp>

#include "tools/card.hpp"
#include "tools/sfp.hpp"

namespace ixcap::tools {
namespace {

namespace fs = std::filesystem;
using pci::Hands;

/// DMA memory of a capture with one queue of the default size: buffers and descriptors.
constexpr std::uint64_t queue_bytes = std::uint64_t{ixgbe::default_descriptors} * (ixgbe::buffer_stride + 16);
constexpr std::uint64_t huge_pages_needed =
    (queue_bytes + pci::Pages::huge_page_bytes - 1) / pci::Pages::huge_page_bytes;

template <typename Number>
std::optional<Number> read_number(const fs::path& path) {
  std::ifstream file(path);
  Number value{};
  file >> value;
  return file ? std::optional(value) : std::nullopt;
}

std::string read_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The command that binds the card for whoever asks.
std::string bind_command(const pci::Function& card, const Caller& caller) {
  if (caller.user == 0) return "ixcap bind " + card.address;
  return fmt::format("sudo ixcap bind {} --user {}", card.address, caller.name);
}

/// One card's checks; each is a method that answers one finding.
class Examination {
 public:
  Examination(const pci::Kernel& kernel, const pci::Function& card, const Caller& caller)
      : kernel_(kernel), card_(card), caller_(caller), hands_(pci::hands_of(kernel, card)) {}

  Finding model() const;
  Finding journal() const;
  Finding driver() const;
  Finding iommu() const;
  Finding interrupts() const;
  Finding group() const;
  Finding vfio() const;
  Finding permissions() const;
  Finding memlock() const;
  Finding huge_pages() const;
  Finding numa() const;
  Finding pcie() const;
  Finding module() const;
  Finding link() const;

 private:
  const char* sudo() const noexcept { return caller_.user == 0 ? "" : "sudo "; }
  bool has_vfio() const noexcept { return card_.kernel_driver == pci::vfio_driver; }
  fs::path huge_page_folder() const;
  std::uint64_t free_huge_pages() const {
    return read_number<std::uint64_t>(huge_page_folder() / "free_hugepages").value_or(0);
  }
  std::string describe_interface() const;
  fs::path sysfs() const { return kernel_.roots().sysfs; }
  fs::path interface_folder() const { return sysfs() / "class/net" / card_.network_interface; }
  std::string accessible_files() const;

  const pci::Kernel& kernel_;
  const pci::Function& card_;
  const Caller& caller_;
  Hands hands_;
};

Finding Examination::model() const {
  const char* name = model_of(card_);
  return {"card", name == nullptr ? Verdict::fault : Verdict::ok,
          fmt::format("{}, {:04x}:{:04x}", name == nullptr ? "no 82599" : name, card_.vendor, card_.device),
          name == nullptr ? "ixcap devices" : ""};
}

Finding Examination::journal() const {
  const std::string unbind = fmt::format("{}ixcap unbind {}", sudo(), card_.address);
  switch (hands_) {
    case Hands::interrupted:
      return {"journal", Verdict::fault, "the card was not given back: power was lost, or ixcap was killed", unbind};
    case Hands::damaged: {
      const auto path = pci::JournalFolder(kernel_.roots().state).find(card_.address).value_or("");
      return {"journal", Verdict::fault, fmt::format("{} is damaged; without it the kernel chooses the driver", path),
              fmt::format("{}rm {} && {}", sudo(), path, unbind)};
    }
    case Hands::bound:
    case Hands::lent:
      return {"journal", Verdict::ok, "says what to give back", ""};
    default:
      return {"journal", Verdict::ok, "none: nothing is left to give back", ""};
  }
}

/// "ixgbe, as enp3s0f0 with 192.0.2.2/24"
std::string Examination::describe_interface() const {
  if (card_.network_interface.empty()) return card_.kernel_driver + ", without a network interface";
  const auto addresses = kernel_.addresses(card_.network_interface, false);
  return fmt::format("{}, as {} {}", card_.kernel_driver, card_.network_interface,
                     addresses.empty() ? "without an address" : fmt::format("with {}", fmt::join(addresses, ", ")));
}

Finding Examination::driver() const {
  if (hands_ == Hands::lent) {
    const auto holder = pci::JournalFolder(kernel_.roots().state).read(card_.address)->holder;
    return {"driver", Verdict::fault, fmt::format("vfio-pci, for the capture of process {}", holder->pid),
            fmt::format("{}kill {}", sudo(), holder->pid)};
  }
  if (has_vfio()) {
    return {"driver", Verdict::ok, hands_ == Hands::bound ? "vfio-pci, by ixcap bind" : "vfio-pci", ""};
  }
  if (card_.kernel_driver.empty()) return {"driver", Verdict::fault, "none", bind_command(card_, caller_)};
  if (const auto obstacle = pci::network_obstacle(kernel_, card_, sudo())) {
    return {"driver", Verdict::fault, fmt::format("{}; {}", describe_interface(), obstacle->reason()),
            obstacle->mend()};
  }
  return {"driver", Verdict::fault, describe_interface(), bind_command(card_, caller_)};
}

Finding Examination::iommu() const {
  if (const auto missing = pci::why_no_iommu(kernel_, card_, sudo())) {
    return {"iommu", Verdict::fault, missing->reason(), missing->mend()};
  }
  return {"iommu", Verdict::ok, "on", ""};
}

Finding Examination::interrupts() const {
  if (!card_.iommu_group) return {"interrupts", Verdict::unknown, "nothing confines them without an IOMMU", ""};
  switch (pci::stray_interrupts(kernel_.roots())) {
    case pci::StrayInterrupts::none:
      return {"interrupts", Verdict::ok, "confined", ""};
    case pci::StrayInterrupts::trusted:
      return {"interrupts", Verdict::ok, "not confined, and cards are trusted with them", ""};
    case pci::StrayInterrupts::refused:
      return {"interrupts", Verdict::fault, "the IOMMU does not confine them", pci::mend_of_stray_interrupts(sudo())};
    case pci::StrayInterrupts::unknown:
      break;
  }
  return {"interrupts", Verdict::unknown, "the kernel does not say whether they are confined", ""};
}

Finding Examination::group() const {
  if (!card_.iommu_group) return {"group", Verdict::unknown, "there are none without an IOMMU", ""};
  if (const auto obstacle = pci::group_obstacle(kernel_, card_, sudo())) {
    return {"group", Verdict::fault, obstacle->reason(), obstacle->mend()};
  }
  std::vector<std::string> others;
  for (const pci::Function& taken : pci::taken_along(kernel_, card_, false)) {
    if (taken.address != card_.address) others.push_back(taken.address);
  }
  return {"group", Verdict::ok,
          others.empty() ? fmt::format("{}, and nothing else is taken with the card", *card_.iommu_group)
                         : fmt::format("{}, with {}, taken together", *card_.iommu_group, fmt::join(others, ", ")),
          ""};
}

Finding Examination::vfio() const {
  std::error_code absent;
  if (fs::exists(sysfs() / "bus/pci/drivers" / pci::vfio_driver, absent))
    return {"vfio-pci", Verdict::ok, "loaded", ""};
  if (kernel_.has_module(pci::vfio_driver)) return {"vfio-pci", Verdict::ok, "there, and loaded by ixcap bind", ""};
  return {"vfio-pci", Verdict::fault, "the running kernel has no such module",
          fmt::format("{}apt-get install --reinstall linux-image-$(uname -r)", sudo())};
}

/// The first of the files that the caller may not open; empty if it may open all.
std::string Examination::accessible_files() const {
  for (const std::string& path :
       {kernel_.roots().dev + "/vfio/vfio", kernel_.group_file(card_.iommu_group.value_or(0))}) {
    if (::faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK, AT_EACCESS) != 0) return path;
  }
  return "";
}

Finding Examination::permissions() const {
  if (!has_vfio() || !card_.iommu_group) {
    return {"permissions", Verdict::unknown, "to be told once vfio-pci has the card", ""};
  }
  const std::string closed = accessible_files();
  if (closed.empty()) return {"permissions", Verdict::ok, fmt::format("{} may open it", caller_.name), ""};
  std::error_code absent;
  if (!fs::exists(closed, absent))
    return {"permissions", Verdict::fault, "there is no " + closed, fmt::format("{}modprobe vfio", sudo())};
  return {"permissions", Verdict::fault, fmt::format("{} may not open {}", caller_.name, closed),
          closed.ends_with("/vfio/vfio") ? "sudo chmod 666 " + closed : bind_command(card_, caller_)};
}

Finding Examination::memlock() const {
  const bool huge = free_huge_pages() >= huge_pages_needed;
  const std::uint64_t needed = huge ? huge_pages_needed * pci::Pages::huge_page_bytes : queue_bytes;
  const pci::MemoryLock& memory = caller_.memory;
  if (memory.unlimited) return {"memlock", Verdict::ok, "no limit for " + caller_.name, ""};
  const auto kib = [](std::uint64_t bytes) { return (bytes + 1023) / 1024; };
  const std::string limit =
      fmt::format("{} may lock {} KiB, of which a queue takes {}", caller_.name, kib(memory.limit_bytes), kib(needed));
  if (!pci::memory_lock_shortage(memory, needed, card_.address)) return {"memlock", Verdict::ok, limit, ""};
  if (memory.most_bytes >= memory.locked_bytes + needed) {
    return {"memlock", Verdict::fault, limit, "ulimit -S -l $(ulimit -H -l)"};
  }
  return {"memlock", Verdict::fault,
          fmt::format("{}; for this shell the command mends it, for good a line '{} - memlock unlimited' in "
                      "/etc/security/limits.d/ixcap.conf",
                      limit, caller_.name),
          fmt::format("{}prlimit --pid $$ --memlock=unlimited", sudo())};
}

fs::path Examination::huge_page_folder() const {
  constexpr const char* pool = "hugepages-2048kB";
  const fs::path of_node = sysfs() / fmt::format("devices/system/node/node{}/hugepages", card_.numa_node) / pool;
  std::error_code absent;
  return card_.numa_node >= 0 && fs::exists(of_node, absent) ? of_node : sysfs() / "kernel/mm/hugepages" / pool;
}

Finding Examination::huge_pages() const {
  const std::uint64_t free = free_huge_pages();
  const std::string node = card_.numa_node < 0 ? "" : fmt::format(" on node {}", card_.numa_node);
  const std::string finding =
      fmt::format("{} of 2 MiB free{}, of which a queue takes {}", free, node, huge_pages_needed);
  if (free >= huge_pages_needed) return {"huge pages", Verdict::ok, finding, ""};
  const fs::path pool = huge_page_folder() / "nr_hugepages";
  const auto reserved = read_number<std::uint64_t>(pool);
  if (!reserved)
    return {"huge pages", Verdict::note, "this kernel has none of 2 MiB; ordinary pages do, more slowly", ""};
  const std::uint64_t wanted = *reserved - std::min(*reserved, free) + huge_pages_needed;
  return {"huge pages", Verdict::note, finding + "; ordinary pages do, more slowly",
          caller_.user == 0 ? fmt::format("echo {} > {}", wanted, pool.string())
                            : fmt::format("echo {} | sudo tee {}", wanted, pool.string())};
}

Finding Examination::numa() const {
  if (card_.numa_node < 0) return {"numa", Verdict::ok, "the machine has one node, or does not say", ""};
  const std::string list = read_line(sysfs() / fmt::format("devices/system/node/node{}/cpulist", card_.numa_node));
  const std::vector<unsigned> near = parse_cpu_list(list);
  const bool may_run_there = std::any_of(near.begin(), near.end(), [this](unsigned cpu) {
    return std::find(caller_.cpus.begin(), caller_.cpus.end(), cpu) != caller_.cpus.end();
  });
  const std::string finding = fmt::format("node {}, CPUs {}", card_.numa_node, list);
  if (may_run_there || near.empty()) return {"numa", Verdict::ok, finding, ""};
  return {"numa", Verdict::note, finding + ", on none of which this shell may run",
          fmt::format("taskset -pc {} $$", list)};
}

Finding Examination::pcie() const {
  constexpr unsigned line_rate_mbps = 10'000;
  const auto describe = [](const pci::PcieLink& link) {
    return fmt::format("x{} at {}.{} GT/s", link.lanes, link.megatransfers_per_second / 1000,
                       link.megatransfers_per_second % 1000 / 100);
  };
  const unsigned now = card_.link.megabits_per_second();
  if (now == 0) return {"pcie", Verdict::unknown, "the kernel does not know the width and speed of its link", ""};
  const std::string finding = describe(card_.link);
  if (now >= card_.best_link.megabits_per_second()) return {"pcie", Verdict::ok, finding, ""};
  return {"pcie", Verdict::note,
          fmt::format("{}, where the card can do {}{}; no command mends that, a slot wired for it does", finding,
                      describe(card_.best_link), now < line_rate_mbps ? ": too slow for 10 Gb/s" : ""),
          fmt::format("{}lspci -vv -s {} | grep Lnk", sudo(), card_.address)};
}

Finding Examination::module() const {
  if (card_.network_interface.empty()) {
    return {"module", Verdict::unknown, "only the kernel's driver tells what is plugged in", ""};
  }
  const PluggedModule plugged = plugged_module(card_.network_interface);
  switch (plugged.error_number) {
    case 0:
      return {"module", Verdict::ok, plugged.description, ""};
    case EPERM:
      return {"module", Verdict::unknown, "only root may ask", "sudo ixcap doctor " + card_.address};
    case EIO:
    case ENXIO:
      return {"module", Verdict::fault, "none, or one that cannot be read",
              "plug in an SFP+ module or a direct-attach cable"};
    default:
      return {"module", Verdict::unknown, fmt::format("cannot be told: {}", std::strerror(plugged.error_number)), ""};
  }
}

Finding Examination::link() const {
  if (card_.network_interface.empty()) {
    return {"link", Verdict::unknown, "to be told by the capture, or by the kernel's driver", ""};
  }
  const auto network = kernel_.network(card_.network_interface);
  if (!network || !network->up) {
    return {"link", Verdict::unknown, fmt::format("{} is down, so the card does not try", card_.network_interface),
            fmt::format("{}ip link set {} up", sudo(), card_.network_interface)};
  }
  if (read_number<unsigned>(interface_folder() / "carrier").value_or(0) != 1) {
    return {"link", Verdict::fault, "none; is the cable plugged in, and is the other end on?",
            fmt::format("ethtool {}", card_.network_interface)};
  }
  const int speed_mbps = read_number<int>(interface_folder() / "speed").value_or(-1);
  return {"link", Verdict::ok, speed_mbps > 0 ? fmt::format("up, {} Mb/s", speed_mbps) : "up", ""};
}

std::string name_of(uid_t user) {
  const passwd* entry = ::getpwuid(user);
  return entry == nullptr ? std::to_string(user) : entry->pw_name;
}

}  // namespace

Caller this_caller() {
  const uid_t user = ::geteuid();
  Caller caller{.user = user, .name = name_of(user), .memory = pci::read_memory_lock(), .cpus = {}};
  cpu_set_t cpus;
  if (::sched_getaffinity(0, sizeof cpus, &cpus) == 0) {
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &cpus)) caller.cpus.push_back(cpu);
    }
  }
  return caller;
}

std::vector<unsigned> parse_cpu_list(std::string_view list) {
  constexpr unsigned most_cpus = 8192;
  std::vector<unsigned> cpus;
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at != end) {
    unsigned first = 0;
    auto parsed = std::from_chars(at, end, first);
    if (parsed.ec != std::errc()) return {};
    unsigned last = first;
    if (parsed.ptr != end && *parsed.ptr == '-') {
      parsed = std::from_chars(parsed.ptr + 1, end, last);
      if (parsed.ec != std::errc()) return {};
    }
    if (last < first || last >= most_cpus) return {};
    for (unsigned cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    if (parsed.ptr != end && *parsed.ptr != ',') return {};
    at = parsed.ptr == end ? end : parsed.ptr + 1;
  }
  return cpus;
}

std::vector<Finding> examine(const pci::Kernel& kernel, const pci::Function& card, const Caller& caller) {
  const Examination examination(kernel, card, caller);
  return {examination.model(),      examination.journal(),    examination.driver(), examination.iommu(),
          examination.interrupts(), examination.group(),      examination.vfio(),   examination.permissions(),
          examination.memlock(),    examination.huge_pages(), examination.numa(),   examination.pcie(),
          examination.module(),     examination.link()};
}

bool nothing_in_the_way(const std::vector<Finding>& findings) noexcept {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& finding) { return finding.verdict == Verdict::fault; });
}

}  // namespace ixcap::tools
