#pragma once

/// The cards of the 82599 family, by PCI device id (the vendor is Intel). SFP+ and QSFP models, which this driver knows
/// how to bring up.

#include <array>
#include <cstdint>
#include <string_view>

namespace ixcap::ixgbe {

inline constexpr std::uint16_t intel_vendor_id = 0x8086;
inline constexpr std::uint16_t id_82599_sfp = 0x10FB;  ///< 82599ES: X520-DA1, -DA2, -SR, -LR

struct Model {
  std::uint16_t device;
  std::string_view name;
};

inline constexpr auto models = std::to_array<Model>({
    {id_82599_sfp, "82599ES 10-gigabit SFI/SFP+"},
    {0x1507, "82599 10-gigabit SFP+ (EM)"},
    {0x154D, "82599 10-gigabit SFP+ (SF2, X520)"},
    {0x154A, "82599 10-gigabit SFP+ (quad port)"},
    {0x1557, "82599EN 10-gigabit SFI/SFP+"},
    {0x1558, "82599 10-gigabit QSFP+"},
    {0x1529, "82599 10-gigabit SFP+ (FCoE)"},
});

}  // namespace ixcap::ixgbe
