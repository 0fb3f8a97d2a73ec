#pragma once

/// The PCI functions of this machine, as sysfs tells of them.
///
/// Looks only; changes nothing, needs no rights. What cannot be read is left out. `sysfs` is where sysfs is mounted.
/// Threads: any.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ixcap::pci {

/// A PCI Express link: what it runs at, or what it could. 0 where the kernel does not know.
struct PcieLink {
  unsigned lanes = 0;
  unsigned megatransfers_per_second = 0;  ///< of each lane: 2500, 5000, 8000, ...

  /// What it carries one way, after line coding; packets' headers still take their share.
  unsigned megabits_per_second() const noexcept;
};

struct Function {
  std::string address;  ///< "0000:03:00.0"
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::string kernel_driver;           ///< empty if none is bound
  std::string network_interface = {};  ///< the kernel's name for it ("enp3s0f0"); empty without one
  std::uint32_t class_code = 0;        ///< 24 bits: 0x020000 is Ethernet
  std::string driver_override = {};    ///< the only driver that may take it; empty: whichever knows it
  std::optional<unsigned> iommu_group = {};
  int numa_node = -1;              ///< -1: the machine has but one, or does not say
  PcieLink link = {};              ///< as it runs
  PcieLink best_link = {};         ///< as the card could
  unsigned virtual_functions = 0;  ///< that it has been split into (SR-IOV)

  bool is_bridge() const noexcept { return class_code >> 16 == 0x06; }
  bool is_ethernet() const noexcept { return class_code >> 8 == 0x0200; }
};

/// Functions of `vendor` with one of `devices`, by address.
std::vector<Function> find_functions(std::uint16_t vendor, std::span<const std::uint16_t> devices,
                                     const std::string& sysfs = "/sys");

/// The function at `address`, if there is one.
std::optional<Function> find_function(const std::string& address, const std::string& sysfs = "/sys");

/// All functions of an IOMMU group, by address: what the hardware cannot keep apart.
std::vector<Function> group_members(unsigned group, const std::string& sysfs = "/sys");

/// The interfaces that would end with `network_interface`: itself, and what is built upon it (VLANs, bridges, bonds,
/// and what is built upon those).
std::vector<std::string> interfaces_over(const std::string& network_interface, const std::string& sysfs = "/sys");

}  // namespace ixcap::pci
