#pragma once

/// Frames that the card itself throws away, so that they cost neither memory bandwidth nor a processor: by VLAN (VFTA),
/// by ethertype (ETQF) and by IPv4 address and protocol (the 5-tuple filters; data sheet 7.1.2).
///
///     frame ─► VFTA ─► ETQF ──► 5-tuple filters ──────────────────────────► RSS ─► the capture's queues
///               │       │        7 a protocol   4 an address   1 the rest
///               ▼       │             │               └──────► the capture's queues
///             gone      └─────────────┴───────────────┬────────────┘
///                                                     ▼
///                       the drop queue: enabled, without any descriptor, SRRCTL.DROP_EN; QPRDC counts its frames
///
/// The 5-tuple filters cannot drop, only choose a queue, and look only at IPv4 packets that the card makes out, behind
/// at most one VLAN tag. So what they cannot judge they leave alone.
///
/// What may be thrown away is for the caller to know (capture/hardware_rules.hpp).
///
/// Ownership: the device and the drop queue's ring; the Port outlives it, and brings no queue of that number. Threads:
/// the port's control thread. Errors: Error from the constructor, if there is no queue left or the card does not
/// answer.

#include <bitset>
#include <cstdint>
#include <optional>
#include <vector>

#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

inline constexpr std::size_t vlan_count = 4096;

/// As FTQF numbers them; everything else is one more, which nothing is said about here: to the card it includes what it
/// could not make out.
enum class FilterProtocol : std::uint8_t { tcp = 0, udp = 1, sctp = 2 };

struct HardwareRules {
  /// All but one of the card's ethertype filters, which the clock has.
  static constexpr std::size_t most_ethertypes = 7;
  /// Of the 128 5-tuple filters, those for addresses.
  static constexpr std::size_t most_addresses = 124;

  /// In host byte order; a frame from a source, or to a destination, that is listed is not dropped.
  struct Addresses {
    std::vector<std::uint32_t> sources;
    std::vector<std::uint32_t> destinations;
  };

  std::optional<std::bitset<vlan_count>> vlans;   ///< tagged frames of other VLANs are dropped; empty: none are
  std::vector<std::uint16_t> dropped_ethertypes;  ///< at most most_ethertypes; not IPv4 and IPv6
  std::vector<FilterProtocol> dropped_protocols;  ///< of IPv4 packets
  std::optional<Addresses> only;  ///< IPv4 packets of other addresses are dropped; at most most_addresses together

  bool nothing() const noexcept { return !vlans && dropped_ethertypes.empty() && dropped_protocols.empty() && !only; }
};

class HardwareFilter {
 public:
  /// Sets up the drop queue behind the port's `queues`, of which there may be at most most_queues - 1. Nothing is
  /// dropped until apply().
  HardwareFilter(pci::Device& device, std::uint32_t queues);
  /// Drops nothing any more.
  ~HardwareFilter();
  HardwareFilter(const HardwareFilter&) = delete;
  HardwareFilter& operator=(const HardwareFilter&) = delete;

  /// These rules in place of the last ones. While they change, nothing is dropped that they would not.
  void apply(const HardwareRules& rules) noexcept;

  /// After a reset of the card and Port::restart(): the drop queue again, and these rules. Throws Error.
  void restart(const HardwareRules& rules);

  /// The queue, and the slot of Statistics::queue, where dropped frames are counted (as no_descriptor); those of other
  /// VLANs are not among them, but are what Statistics has as unfiltered and not as good.
  std::uint32_t drop_queue() const noexcept { return queues_; }

 private:
  void set_up_drop_queue();
  void apply_vlans(const HardwareRules& rules) noexcept;
  void apply_ethertypes(const HardwareRules& rules) noexcept;
  void apply_addresses(const HardwareRules::Addresses& only) noexcept;
  void write_five_tuple(std::uint32_t ftqf, std::uint32_t source, std::uint32_t destination,
                        std::uint32_t queue) noexcept;

  pci::Device& device_;
  std::uint32_t queues_;
  std::uint32_t filters_ = 0;  // 5-tuple filters in use
  pci::DmaMemory ring_;        // never used: the card gets no descriptor of it
};

}  // namespace ixcap::ixgbe
