#pragma once

/// What is plugged into a card's cage, as the kernel's driver reads it.
///
/// Threads: any.

#include <string>
#include <string_view>

namespace ixcap::tools {

struct PluggedModule {
  int error_number = 0;  ///< why it could not be read: EPERM to all but root, ENODEV without an interface; 0: it could
  std::string description;  ///< "SFP+ FINISAR CORP. FTLX8571D3BCV"
};

PluggedModule plugged_module(const std::string& network_interface);

/// Names the module by the first bytes of its EEPROM (SFF-8472, SFF-8636), at least 64 of them.
std::string describe_module(std::string_view eeprom);

}  // namespace ixcap::tools
