#pragma once

/// Loads kernel modules: through libkmod where ixcap was built with it, else with the modprobe command.
///
/// Threads: one at a time.

#include <string>

namespace ixcap::pci {

/// Loads a module and what it depends on, as modprobe does, blacklists for automatic loading aside; nothing happens if
/// it is there or built in. Throws ixcap::Error.
void load_module(const std::string& name);

}  // namespace ixcap::pci
