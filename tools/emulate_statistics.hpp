#pragma once

/// What `ixcap emulate` prints of a card's counts, at SIGUSR1 and at the end.

#include <string>

#include <ixcap/driver/emulator/nic.hpp>

namespace ixcap::tools {

/// Lines that begin with `name`: one for each direction, and one for each queue that has moved anything.
std::string emulated_statistics(const std::string& name, const emulator::Nic& nic);

}  // namespace ixcap::tools
