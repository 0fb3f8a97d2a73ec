#pragma once

/// What the subcommands that deal with cards share.
///
/// Errors: ixcap::Error.

#include <memory>
#include <string>
#include <vector>

#include <ixcap/driver/pci/binding.hpp>

#include "tools/watchdog.hpp"

namespace ixcap::tools {

/// The name of an 82599 model; nullptr if the function is none.
const char* model_of(const pci::Function& function) noexcept;

/// Every 82599 of this machine, by address.
std::vector<pci::Function> find_cards(const std::string& sysfs);

/// The 82599 that a person has given by its address. Throws if there is no such device, or if it is something else.
pci::Function require_card(const std::string& given, const std::string& sysfs);

/// Throws if `interface` is the address of a card that a capture cannot open as it is, with the command that binds it.
/// Other interfaces, and other troubles, show when it is opened.
void require_bound(const std::string& interface);

/// Throws unless this process runs as root. `command` is what to run with sudo.
void require_root(const std::string& action, const std::string& command);

/// "sudo " for everybody but root: what stands before a command that only root may run.
const char* sudo() noexcept;

/// "is with ixgbe again, as enp3s0f0".
std::string sentence_of(const pci::GivenBack& given_back);

/// A card that vfio-pci has while this object lives, and that is given back by whatever ends the process. What vfio-pci
/// had before, it keeps.
class CardLoan {
 public:
  /// Binds the card at `given` for this process. Says so on standard error unless `quiet`.
  CardLoan(const std::string& given, bool quiet);

  /// Gives it back and waits until it is. Whether that went well; if not, why was said. The destructor does it, too.
  bool end();

 private:
  pci::Kernel kernel_;
  std::unique_ptr<Watchdog> watchdog_;
};

}  // namespace ixcap::tools
