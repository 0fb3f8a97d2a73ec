#pragma once

/// The hash by which Flow Director finds a flow's filters (data sheet 7.1.2.7.5). Software computes it for the filters
/// that it adds, the card for the packets that come: one that is computed otherwise is never found.
///
/// Threads: any. Errors: none.

#include <array>
#include <cstdint>

namespace ixcap::ixgbe {

// What drivers write to FDIRHKEY and FDIRSKEY.
inline constexpr std::uint32_t flow_bucket_key = 0x3DAD14E2;
inline constexpr std::uint32_t flow_signature_key = 0x174D3614;

/// What a flow is told by. All numbers as their bytes lie in a frame, the first one highest.
struct FlowKey {
  std::uint32_t flow = 0;                      ///< pool 31:24, kind of flow 23:16 (FDIRCMD.L4TYPE, IPV6), tag 15:0
  std::array<std::uint32_t, 4> source{};       ///< IPv4 in the first
  std::array<std::uint32_t, 4> destination{};  ///< IPv4 in the first
  std::uint32_t ports = 0;                     ///< source 31:16, destination 15:0
  std::uint32_t flexible = 0;                  ///< the two bytes at FDIRCTRL.FLEX, 15:0

  bool operator==(const FlowKey&) const = default;
};

inline constexpr unsigned flow_kind_shift = 16;  ///< in FlowKey::flow

/// 15 bits of hash with FDIRHKEY or FDIRSKEY as `hash_key`.
std::uint32_t flow_hash(const FlowKey& key, std::uint32_t hash_key) noexcept;

}  // namespace ixcap::ixgbe
