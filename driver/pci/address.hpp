#pragma once

/// How a PCI function is named: domain:bus:device.function in hexadecimal digits, "0000:03:00.0". The one place that
/// reads such names.
///
/// Threads: any.

#include <optional>
#include <string>
#include <string_view>

namespace ixcap::pci {

/// `text` as the kernel writes it: lower case, and domain 0000 where none was given ("3B:00.0" is "0000:3b:00.0").
/// Nothing if it is no address.
std::optional<std::string> canonical_address(std::string_view text);

/// The function behind a network interface, as `sysfs` shows it; nothing if there is none of PCI.
std::optional<std::string> address_of_interface(std::string_view name, const std::string& sysfs = "/sys");

/// An address as canonical_address() has it, of what a person gave; throws ixcap::Error when it is no address. Where it
/// is the name of a network interface, the mend is the address.
std::string parse_address(std::string_view text, const std::string& sysfs = "/sys");

/// Whether both are functions of one device: the two ports of a card.
bool same_slot(std::string_view address, std::string_view other) noexcept;

}  // namespace ixcap::pci
