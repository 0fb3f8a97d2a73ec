#pragma once

/// Thousands of flows that the card throws away by itself: Flow Director's perfect filters (data sheet 7.1.2.7), with
/// the drop queue of hardware_filter.hpp. A filter is for one direction of TCP or UDP over IPv4: both addresses, both
/// ports, in a frame whose ethertype at byte 12 is IPv4's. So neither a frame with a VLAN tag nor one with LLC and SNAP
/// is dropped, nor a fragment.
///
/// The table lies in the receive packet buffer, of which it takes an eighth, a quarter or a half; so the port makes it
/// as it comes up. Only what passes the 5-tuple filters is looked up.
///
/// Ownership: borrows the device. Threads: any, which wait for each other: a change is some ten register accesses.
/// Errors: none; what does not fit, or the card does not take, is not dropped.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include <ixcap/driver/ixgbe/hardware_filter.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

/// As FDIRCTRL.PBALLOC numbers the sizes of the table.
enum class FlowTableSize : std::uint8_t { none, kib_64, kib_128, kib_256 };

/// Filters that there is room for: 2,046, 4,094 or 8,190.
constexpr std::size_t flow_capacity(FlowTableSize size) noexcept {
  return size == FlowTableSize::none ? 0 : (std::size_t{1024} << static_cast<unsigned>(size)) - 2;
}
constexpr std::uint32_t flow_table_bytes(FlowTableSize size) noexcept {
  return size == FlowTableSize::none ? 0 : 32u * 1024 << static_cast<unsigned>(size);
}
inline constexpr std::size_t most_flow_drops = flow_capacity(FlowTableSize::kib_256);

/// The smallest that holds so many; the largest if none does.
constexpr FlowTableSize flow_table_for(std::size_t filters) noexcept {
  auto size = FlowTableSize::none;
  while (size != FlowTableSize::kib_256 && flow_capacity(size) < filters) {
    size = static_cast<FlowTableSize>(static_cast<unsigned>(size) + 1);
  }
  return size;
}

/// For a port that comes up and does not receive yet: an empty table, dropping to `drop_queue`. Throws Error if the
/// card does not make it.
void make_flow_table(pci::Device& device, FlowTableSize size, std::uint32_t drop_queue);

/// In host byte order.
struct FlowDrop {
  FilterProtocol protocol = FilterProtocol::tcp;  ///< or udp
  std::uint32_t source = 0;
  std::uint32_t destination = 0;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;

  friend auto operator<=>(const FlowDrop&, const FlowDrop&) = default;
};

class FlowDrops {
 public:
  /// Of a port whose table was made in that size.
  FlowDrops(pci::Device& device, FlowTableSize size);
  FlowDrops(const FlowDrops&) = delete;
  FlowDrops& operator=(const FlowDrops&) = delete;

  /// False if there is no room. True, too, if it is dropped already.
  bool add(const FlowDrop& flow);
  /// Dropped no more when this returns. False if it was not.
  bool remove(const FlowDrop& flow);
  void clear();

  /// The port was reset, and its table made anew: everything is dropped again that was.
  void restart();

  std::size_t size() const;

 private:
  bool write(const FlowDrop& flow, std::uint16_t index) noexcept;
  void erase(const FlowDrop& flow, std::uint16_t index) noexcept;
  bool run(std::uint32_t command) noexcept;

  pci::Device& device_;
  mutable std::mutex mutex_;                 ///< guards the two below, and the card's registers for commands
  std::map<FlowDrop, std::uint16_t> index_;  ///< the filter's number: FDIRHASH 31:16
  std::vector<std::uint16_t> free_;
};

}  // namespace ixcap::ixgbe
