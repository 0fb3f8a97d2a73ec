#include "tools/card.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/models.hpp>
#include <ixcap/driver/pci/address.hpp>

namespace ixcap::tools {
namespace {

void say(const std::string& line) {
  // Standard error may be gone with the terminal; that is no reason to stop.
  std::fputs(line.c_str(), stderr);
}

/// In the watchdog: the end of the loan. Answers the exit status.
int give_back_loan(const std::string& address, const pci::Holder& holder, bool quiet) {
  try {
    pci::Kernel kernel;
    // Without a journal of this process the card was never taken, or has been given back already.
    const auto journal = pci::JournalFolder(kernel.roots().state).read(address);
    if (!journal || journal->holder != holder) return 0;
    for (const pci::GivenBack& given_back : pci::give_back(kernel, address, holder)) {
      if (!quiet) say(fmt::format("ixcap: {}\n", sentence_of(given_back)));
    }
    return 0;
  } catch (const std::exception& error) {
    say(fmt::format("ixcap: {}\nixcap: to try again: ixcap unbind {}\n", error.what(), address));
    return 1;
  }
}

}  // namespace

const char* model_of(const pci::Function& function) noexcept {
  const auto found = std::find_if(ixgbe::models.begin(), ixgbe::models.end(),
                                  [&function](const ixgbe::Model& model) { return model.device == function.device; });
  return function.vendor != ixgbe::intel_vendor_id || found == ixgbe::models.end() ? nullptr : found->name.data();
}

std::vector<pci::Function> find_cards(const std::string& sysfs) {
  std::vector<std::uint16_t> ids;
  for (const ixgbe::Model& model : ixgbe::models) ids.push_back(model.device);
  return pci::find_functions(ixgbe::intel_vendor_id, ids, sysfs);
}

pci::Function require_card(const std::string& given, const std::string& sysfs) {
  const std::string address = pci::parse_address(given, sysfs);
  std::optional<pci::Function> function = pci::find_function(address, sysfs);
  if (!function) {
    throw Error("cannot take the card", address, "there is no PCI device at this address",
                "'ixcap devices' lists the cards");
  }
  if (model_of(*function) == nullptr) {
    throw Error("cannot take the card", address,
                fmt::format("it is no 82599 but a device {:04x}:{:04x}", function->vendor, function->device),
                "'ixcap devices' lists the cards");
  }
  return std::move(*function);
}

void require_bound(const std::string& interface) {
  const std::optional<std::string> address = pci::canonical_address(interface);
  if (!address) return;
  const pci::Kernel kernel;
  const auto function = pci::find_function(*address, kernel.roots().sysfs);
  // Nothing is to be bound that could not be captured from then.
  if (!function || model_of(*function) == nullptr || !function->iommu_group) return;
  if (const std::optional<Error> error = pci::why_not_open(kernel, *address)) throw *error;
}

void require_root(const std::string& action, const std::string& command) {
  if (::geteuid() == 0) return;
  throw Error(action, "", "only root may change drivers", "sudo " + command);
}

const char* sudo() noexcept {
  return ::geteuid() == 0 ? "" : "sudo ";
}

std::string sentence_of(const pci::GivenBack& given_back) {
  if (given_back.driver.empty()) return given_back.address + " is without a driver again";
  const std::string as = given_back.network_interface.empty() ? "" : ", as " + given_back.network_interface;
  return fmt::format("{} is with {} again{}", given_back.address, given_back.driver, as);
}

CardLoan::CardLoan(const std::string& given, bool quiet) {
  const pci::Function card = require_card(given, kernel_.roots().sysfs);
  require_root("cannot bind the card for this run", fmt::format("ixcap capture --bind -i {} ...", card.address));
  const std::optional<pci::Holder> holder = pci::holder_of(::getpid(), kernel_.roots().procfs);
  if (!holder) {
    throw Error("cannot bind the card for this run", card.address, "/proc does not show this process",
                "mount -t proc proc /proc");
  }
  // The watchdog first: from the journal on there is somebody who acts upon it.
  watchdog_ = std::make_unique<Watchdog>(
      [address = card.address, holder = *holder, quiet] { return give_back_loan(address, holder, quiet); });
  const pci::Bound bound = pci::bind(kernel_, card.address, {.user = {}, .force = false, .holder = holder});
  if (!quiet && !bound.functions.empty()) {
    say(fmt::format("ixcap: vfio-pci has {} for this run\n", fmt::join(bound.functions, " and ")));
  }
}

bool CardLoan::end() {
  return watchdog_->end() == 0;
}

}  // namespace ixcap::tools
