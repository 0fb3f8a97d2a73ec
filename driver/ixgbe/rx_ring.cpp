#include <chrono>

#include <ixcap/driver/ixgbe/descriptor_vectors.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/rx_ring.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {
namespace {

using namespace std::chrono_literals;

constexpr Patience queue_patience{100, 1000us};  // Linux and DPDK give it 10 ms; a loaded machine may need more

}  // namespace

/// Data sheet 4.6.7.1, in its order.
void program_rx_ring(pci::Device& device, std::uint32_t index, std::uint64_t io_address, std::uint32_t ring_bytes) {
  device.write(RDBAL.offset(index), static_cast<std::uint32_t>(io_address));
  device.write(RDBAH.offset(index), static_cast<std::uint32_t>(io_address >> 32));
  device.write(RDLEN.offset(index), ring_bytes);
  device.write(SRRCTL.offset(index), SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER | SRRCTL_DROP_EN | buffer_bytes / 1024);
  // Non-zero after reset, and corrupts payload if left so.
  clear_bits(device, DCA_RXCTRL, DCA_RXCTRL_RESERVED_12, index);
  clear_bits(device, RXDCTL, RXDCTL_VME, index);  // VLAN tags stay in the frame
}

void enable_rx_ring(pci::Device& device, std::uint32_t index) {
  set_bits(device, RXDCTL, RXDCTL_ENABLE, index);
  wait_for(device, RXDCTL, index, RXDCTL_ENABLE, RXDCTL_ENABLE, queue_patience, "cannot enable a receive queue of");
}

void disable_rx_ring(pci::Device& device, std::uint32_t index) {
  clear_bits(device, RXDCTL, RXDCTL_ENABLE, index);
  wait_for(device, RXDCTL, index, RXDCTL_ENABLE, 0, queue_patience, "cannot disable a receive queue of");
}

}  // namespace ixcap::ixgbe
