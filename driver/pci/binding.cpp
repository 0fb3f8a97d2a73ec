#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include <ixcap/driver/pci/address.hpp>
#include <ixcap/driver/pci/binding.hpp>
#include <ixcap/driver/pci/iommu.hpp>

namespace ixcap::pci {
namespace {

std::string in_bus(const std::string& address, const char* attribute) {
  return fmt::format("bus/pci/devices/{}/{}", address, attribute);
}

/// What changes hands with `function`: the other ports of its card, and cards of the same model.
bool is_of_one_kind(const Function& member, const Function& function) {
  const bool same_model = member.vendor == function.vendor && member.device == function.device;
  return !member.is_bridge() && (same_model || same_slot(member.address, function.address));
}

/// What may stay with its driver: the kernel lets bridges, which do no DMA of their own.
bool is_harmless(const Function& member) {
  return member.is_bridge() || member.kernel_driver.empty() || member.kernel_driver == vfio_driver ||
         member.kernel_driver == "pci-stub";
}

Error will_not_take(const Function& function, const std::string& reason, const std::string& mend,
                    const std::string& sudo) {
  return Error("will not take the card", function.address, reason,
               fmt::format("{}; if it may be lost: {}ixcap bind {} --force", mend, sudo, function.address));
}

/// Lets the function's driver go, if it has one, and has the drivers asked anew under `driver_override`.
void probe_with(Kernel& kernel, const std::string& address, const std::string& driver_override) {
  // An empty line takes the override away.
  kernel.write(in_bus(address, "driver_override"), driver_override + "\n");
  const std::optional<Function> function = find_function(address, kernel.roots().sysfs);
  if (function && !function->kernel_driver.empty()) kernel.write(in_bus(address, "driver/unbind"), address);
  kernel.write("bus/pci/drivers_probe", address);
}

void take(Kernel& kernel, const std::string& address) {
  const std::optional<Function> before = find_function(address, kernel.roots().sysfs);
  if (before && before->kernel_driver == vfio_driver) return;
  probe_with(kernel, address, vfio_driver);
  const std::optional<Function> after = find_function(address, kernel.roots().sysfs);
  if (after && after->kernel_driver == vfio_driver) return;
  throw Error("cannot bind", address, "vfio-pci did not take it", "see what the kernel says: dmesg | grep -i vfio");
}

/// The function's interface, once its driver has made one.
std::string wait_for_interface(Kernel& kernel, const std::string& address) {
  for (unsigned i = 0; i < patience_pauses; ++i) {
    const std::optional<Function> function = find_function(address, kernel.roots().sysfs);
    if (!function || !function->network_interface.empty()) return function ? function->network_interface : "";
    kernel.pause();
  }
  throw Error("cannot give back", address, "its driver is back, but makes no network interface",
              fmt::format("see what the kernel says: dmesg | grep {}", address));
}

void restore_driver(Kernel& kernel, const Function& function, const JournalEntry& entry) {
  const std::string& address = entry.address;
  if (function.kernel_driver == entry.driver) {
    if (function.driver_override == entry.driver_override) return;
    kernel.write(in_bus(address, "driver_override"), entry.driver_override + "\n");
    return;
  }
  if (entry.driver.empty()) {
    kernel.write(in_bus(address, "driver_override"), entry.driver_override + "\n");
    kernel.write(in_bus(address, "driver/unbind"), address);
    return;
  }
  std::error_code absent;
  const std::string folder = kernel.roots().sysfs + "/bus/pci/drivers/" + entry.driver;
  if (!std::filesystem::exists(folder, absent)) kernel.load_module(entry.driver);
  probe_with(kernel, address, entry.driver_override);
  const std::optional<Function> now = find_function(address, kernel.roots().sysfs);
  if (now && now->kernel_driver == entry.driver) return;
  throw Error("cannot give back", address, fmt::format("its driver {} did not take it", entry.driver),
              fmt::format("see what the kernel says: dmesg | grep {}", address));
}

/// Brings back the driver of one function, then its interface.
GivenBack restore(Kernel& kernel, const JournalEntry& entry) {
  const std::optional<Function> function = find_function(entry.address, kernel.roots().sysfs);
  if (!function) {
    throw Error("cannot give back", entry.address, "it is not in this machine any more",
                fmt::format("if it is gone for good: rm {}/*.journal", kernel.roots().state));
  }
  restore_driver(kernel, *function, entry);
  if (!entry.network) return {entry.address, entry.driver, ""};
  const std::string now = wait_for_interface(kernel, entry.address);
  if (kernel.network(now) != entry.network) kernel.restore(now, *entry.network);
  return {entry.address, entry.driver, entry.network->name};
}

JournalEntry entry_of(const Kernel& kernel, const Function& function) {
  return {.address = function.address,
          .driver = function.kernel_driver,
          .driver_override = function.driver_override,
          .network = kernel.network(function.network_interface)};
}

/// What to note before the functions are taken. Where an earlier one of this boot never came to its end, what it noted
/// holds: the function may be anywhere between the two.
Journal make_journal(const Kernel& kernel, const JournalFolder& folder, const std::vector<Function>& functions,
                     const BindOptions& options) {
  Journal journal{.boot_id = boot_id(kernel.roots().procfs), .holder = options.holder, .functions = {}};
  for (const Function& function : functions) {
    const std::optional<Journal> earlier = folder.read(function.address);
    const bool holds = earlier && earlier->boot_id == journal.boot_id;
    journal.functions.push_back(holds ? *earlier->entry(function.address) : entry_of(kernel, function));
  }
  return journal;
}

/// Gives back all that the journal names. The first failure is thrown after the others have had their turn.
std::vector<GivenBack> restore_all(Kernel& kernel, const Journal& journal) {
  std::vector<GivenBack> given_back;
  std::optional<Error> failure;
  for (const JournalEntry& entry : journal.functions) {
    try {
      given_back.push_back(restore(kernel, entry));
    } catch (const Error& error) {
      if (!failure) failure = error;
    }
  }
  if (failure) throw *failure;
  return given_back;
}

Function require_function(const Kernel& kernel, const std::string& address) {
  if (std::optional<Function> function = find_function(address, kernel.roots().sysfs)) return std::move(*function);
  throw Error("cannot take the card", address, "there is no PCI device at this address",
              "ixcap devices lists the cards");
}

bool holder_lives(const Kernel& kernel, const Journal& journal) {
  return journal.holder && holder_of(journal.holder->pid, kernel.roots().procfs) == journal.holder;
}

Error not_released(const std::string& address, const std::string& who, const std::string& mend) {
  return Error("cannot give back", address, who + " uses it", mend);
}

/// Undoes what bind() did. Should that fail, the journal stays, and doctor tells of it.
void undo(Kernel& kernel, const JournalFolder& folder, const Journal& journal) {
  try {
    restore_all(kernel, journal);
    folder.remove(journal.functions.front().address);
  } catch (const Error&) {
    return;
  }
}

void refuse_virtual_functions(const Kernel& kernel, const std::vector<Function>& functions) {
  for (const Function& function : functions) {
    if (function.virtual_functions == 0) continue;
    throw Error("cannot take the card", function.address,
                fmt::format("it is split into {} virtual functions", function.virtual_functions),
                fmt::format("echo 0 > {}/{}", kernel.roots().sysfs, in_bus(function.address, "sriov_numvfs")));
  }
}

/// Waits until no program has the group open. `patient`: one that was killed takes a moment to let go.
void wait_for_release(Kernel& kernel, const Function& function, bool patient) {
  if (function.kernel_driver != vfio_driver || !function.iommu_group) return;
  for (unsigned i = 0; kernel.group_in_use(*function.iommu_group); ++i) {
    if (i == (patient ? patience_pauses : 0)) {
      throw not_released(function.address, "a program",
                         "end it; this tells which: fuser -v " + kernel.group_file(*function.iommu_group));
    }
    kernel.pause();
  }
}

/// Has the kernel choose a driver for what vfio-pci has without a journal.
GivenBack release_to_kernel(Kernel& kernel, const std::string& address) {
  probe_with(kernel, address, "");
  const std::optional<Function> now = find_function(address, kernel.roots().sysfs);
  if (!now || now->kernel_driver.empty()) return {address, "", ""};
  if (now->kernel_driver == vfio_driver) {
    throw Error("cannot give back", address, "vfio-pci takes it again",
                "it was told to take all such cards; take that back with remove_id, or the parameter vfio-pci.ids");
  }
  return {address, now->kernel_driver, now->is_ethernet() ? wait_for_interface(kernel, address) : ""};
}

}  // namespace

std::optional<Error> group_obstacle(const Kernel& kernel, const Function& function, const std::string& sudo) {
  if (!function.iommu_group) return std::nullopt;
  for (const Function& member : group_members(*function.iommu_group, kernel.roots().sysfs)) {
    if (is_of_one_kind(member, function) || is_harmless(member)) continue;
    return will_not_take(function,
                         fmt::format("its IOMMU group {} has '{}', too, which the driver {} uses",
                                     *function.iommu_group, member.address, member.kernel_driver),
                         "put the card into another slot", sudo);
  }
  return std::nullopt;
}

std::optional<Error> network_obstacle(const Kernel& kernel, const Function& function, const std::string& sudo) {
  for (const Function& member : taken_along(kernel, function, false)) {
    if (member.network_interface.empty()) continue;
    const auto interfaces = interfaces_over(member.network_interface, kernel.roots().sysfs);
    for (const std::string& interface : interfaces) {
      if (!kernel.default_route(interface)) continue;
      return will_not_take(function,
                           fmt::format("the default route leaves through its network interface {}", interface),
                           "take another card", sudo);
    }
    if (interfaces.size() == 1) continue;
    return will_not_take(function,
                         fmt::format("{} is built upon its network interface {}, and would not come back by itself",
                                     interfaces[1], interfaces[0]),
                         "take it apart first", sudo);
  }
  return std::nullopt;
}

std::vector<Function> taken_along(const Kernel& kernel, const Function& function, bool force) {
  if (!function.iommu_group) return {function};
  std::vector<Function> taken = group_members(*function.iommu_group, kernel.roots().sysfs);
  std::erase_if(taken, [&](const Function& member) {
    return !is_of_one_kind(member, function) && (!force || is_harmless(member));
  });
  return taken;
}

Bound bind(Kernel& kernel, const std::string& address, const BindOptions& options) {
  require_function(kernel, address);
  const JournalFolder folder(kernel.roots().state);
  const JournalLock lock(folder);
  const Function function = require_function(kernel, address);
  if (const auto error = why_no_iommu(kernel, function)) throw *error;
  const std::vector<Function> functions = taken_along(kernel, function, options.force);
  const bool bound_already = std::all_of(functions.begin(), functions.end(), [&kernel](const Function& taken) {
    return taken.kernel_driver == vfio_driver && hands_of(kernel, taken) != Hands::interrupted;
  });
  Bound bound{.group = *function.iommu_group, .functions = {}};
  if (bound_already) {
    if (options.user) kernel.hand_over(bound.group, *options.user);
    return bound;
  }
  if (!options.force) {
    if (const auto error = group_obstacle(kernel, function)) throw *error;
    if (const auto error = network_obstacle(kernel, function)) throw *error;
  }
  refuse_virtual_functions(kernel, functions);
  const Journal journal = make_journal(kernel, folder, functions, options);
  folder.write(journal);
  try {
    kernel.load_module("vfio-pci");
    kernel.load_module("vfio_iommu_type1");
    for (const Function& taken : functions) {
      take(kernel, taken.address);
      bound.functions.push_back(taken.address);
    }
    if (options.user) kernel.hand_over(bound.group, *options.user);
  } catch (const Error&) {
    undo(kernel, folder, journal);
    throw;
  }
  return bound;
}

std::vector<GivenBack> give_back(Kernel& kernel, const std::string& address, const std::optional<Holder>& self) {
  const JournalFolder folder(kernel.roots().state);
  if (!folder.find(address)) require_function(kernel, address);
  const JournalLock lock(folder);
  const std::optional<Journal> journal = folder.read(address);
  if (journal && journal->holder != self && holder_lives(kernel, *journal)) {
    throw not_released(address, fmt::format("the capture of process {}", journal->holder->pid),
                       fmt::format("end it, and it gives the card back: kill {}", journal->holder->pid));
  }
  const std::optional<Function> function = find_function(address, kernel.roots().sysfs);
  if (function) wait_for_release(kernel, *function, self.has_value());
  if (journal) {
    std::vector<GivenBack> given_back = restore_all(kernel, *journal);
    folder.remove(address);
    return given_back;
  }
  if (!function || function->kernel_driver != vfio_driver) return {};
  return {release_to_kernel(kernel, address)};
}

Hands hands_of(const Kernel& kernel, const Function& function) {
  std::optional<Journal> journal;
  try {
    journal = JournalFolder(kernel.roots().state).read(function.address);
  } catch (const Error&) {
    return Hands::damaged;
  }
  const bool vfio = function.kernel_driver == vfio_driver;
  if (!journal) {
    if (vfio) return Hands::foreign;
    return function.kernel_driver.empty() ? Hands::nobody : Hands::kernel;
  }
  const bool this_boot = journal->boot_id == boot_id(kernel.roots().procfs);
  if (!vfio || !this_boot) return Hands::interrupted;
  if (!journal->holder) return Hands::bound;
  return holder_lives(kernel, *journal) ? Hands::lent : Hands::interrupted;
}

std::optional<Error> why_not_open(const Kernel& kernel, const std::string& address) {
  const std::optional<Function> function = find_function(address, kernel.roots().sysfs);
  if (!function) {
    return Error("cannot open interface", address, "there is no PCI device at this address",
                 "'ixcap devices' lists the cards");
  }
  if (function->kernel_driver == vfio_driver) return std::nullopt;
  const std::string& driver = function->kernel_driver;
  return Error("cannot open interface", address,
               driver.empty() ? "no driver has the card" : "the kernel's driver " + driver + " has the card",
               fmt::format("take it: sudo ixcap bind {}; or for this run only, add --bind", address));
}

}  // namespace ixcap::pci
