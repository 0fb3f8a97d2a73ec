/// `ixcap bind` and `ixcap unbind`: a card from the kernel's driver to vfio-pci, and back.

#include <fmt/format.h>
#include <pwd.h>

#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/address.hpp>
#include <ixcap/driver/pci/binding.hpp>

#include "tools/card.hpp"
#include "tools/command.hpp"

namespace ixcap::tools {
namespace {

struct Arguments {
  std::string address;
  std::string user;
  std::optional<uid_t> owner;  // that user
  bool force = false;
};

/// A user by name or number.
uid_t find_user(const std::string& name) {
  if (const passwd* entry = ::getpwnam(name.c_str())) return entry->pw_uid;
  uid_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size()) return number;
  throw Error("cannot hand the card over", name, "there is no such user",
              "give a name that is in /etc/passwd: getent passwd");
}

void bind_card(const Arguments& arguments) {
  pci::Kernel kernel;
  const pci::Function card = require_card(arguments.address, kernel.roots().sysfs);
  const std::string user = arguments.user.empty() ? "" : " --user " + arguments.user;
  require_root("cannot bind the card", fmt::format("ixcap bind {}{}", card.address, user));
  const pci::Bound bound =
      pci::bind(kernel, card.address, {.user = arguments.owner, .force = arguments.force, .holder = {}});
  for (const std::string& function : bound.functions) fmt::print(stderr, "ixcap: vfio-pci has {}\n", function);
  if (bound.functions.empty()) fmt::print(stderr, "ixcap: vfio-pci has {} already\n", card.address);
  if (arguments.owner) fmt::print(stderr, "ixcap: {} may open it\n", arguments.user);
  fmt::print(stderr, "ixcap: next: ixcap capture -i {0} -w out.pcapng; to give it back: ixcap unbind {0}\n",
             card.address);
}

/// Not only an 82599: whatever bind() took along comes back, and what has left the machine has its journal.
void unbind_card(const Arguments& arguments) {
  pci::Kernel kernel;
  const std::string address = pci::parse_address(arguments.address, kernel.roots().sysfs);
  require_root("cannot unbind the card", "ixcap unbind " + address);
  const auto given_back = pci::give_back(kernel, address);
  for (const pci::GivenBack& function : given_back) fmt::print(stderr, "ixcap: {}\n", sentence_of(function));
  if (given_back.empty()) fmt::print(stderr, "ixcap: vfio-pci does not have {}: nothing to give back\n", address);
}

}  // namespace

void add_bind_command(CLI::App& application, int& status) {
  CLI::App* command = application.add_subcommand("bind", "Take a card from the kernel's driver, for captures");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("ADDRESS", arguments->address, "The card, like 0000:03:00.0 or 03:00.0")->required();
  CLI::Option* const user =
      command->add_option("--user", arguments->user, "Who may capture from it, by name or number; otherwise root");
  command->add_flag("--force", arguments->force, "Even if that costs the machine its default route or another device");
  command->callback([arguments, user, &status] {
    if (*user) arguments->owner = find_user(arguments->user);  // also nobody: a "$USER" that is not set
    bind_card(*arguments);
    status = 0;
  });
}

void add_unbind_command(CLI::App& application, int& status) {
  CLI::App* command = application.add_subcommand("unbind", "Give a card back to the kernel's driver, as it was");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("ADDRESS", arguments->address, "The card, like 0000:03:00.0 or 03:00.0")->required();
  command->callback([arguments, &status] {
    unbind_card(*arguments);
    status = 0;
  });
}

}  // namespace ixcap::tools
