#pragma once

/// Configuration space of a PCI function as its driver sees it: the registers that are used here, and where
/// capabilities are. Offsets are bytes; numbers are little-endian, as this project takes the machine to be.
///
/// Source: PCI Local Bus Specification 3.0, chapter 6.

#include <cstdint>
#include <span>

namespace ixcap::pci {

inline constexpr std::uint32_t conventional_config_bytes = 256;  ///< what every function has

inline constexpr std::uint32_t config_vendor = 0x00;
inline constexpr std::uint32_t config_device = 0x02;
inline constexpr std::uint32_t config_command = 0x04;

inline constexpr std::uint16_t command_memory = 1 << 1;
inline constexpr std::uint16_t command_bus_master = 1 << 2;
inline constexpr std::uint16_t command_intx_disable = 1 << 10;

inline constexpr std::uint8_t capability_msix = 0x11;

/// Where the capability begins in `config`, the first bytes of configuration space; 0 if there is none, or if the list
/// leads out of `config` or in a circle.
std::uint32_t find_capability(std::span<const std::uint8_t> config, std::uint8_t id) noexcept;

}  // namespace ixcap::pci
