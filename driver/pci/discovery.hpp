#pragma once

/// The PCI functions of this machine that might be captured from, as sysfs tells of them.
///
/// Looks only; changes nothing, needs no rights. Threads: any.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ixcap::pci {

struct Function {
  std::string address;  ///< "0000:03:00.0"
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::string kernel_driver;      ///< empty if none is bound
  std::string network_interface;  ///< the kernel's name for it ("enp3s0f0"); empty without one
};

/// Functions of `vendor` with one of `devices`, by address. `sysfs` is where sysfs is mounted. What cannot be read is
/// left out.
std::vector<Function> find_functions(std::uint16_t vendor, std::span<const std::uint16_t> devices,
                                     const std::string& sysfs = "/sys");

}  // namespace ixcap::pci
