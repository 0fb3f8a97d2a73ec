#include <chrono>
#include <thread>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/reset.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {
namespace {

using namespace std::chrono_literals;

constexpr auto settle_after_reset = 10ms;  // data sheet 4.6.3.2: before the EEPROM auto-read can be asked about
constexpr Patience reset_patience{100, 1000us};
constexpr Patience nvm_patience{500, 1000us};
constexpr Patience dma_patience{100, 1000us};
constexpr Patience master_patience{800, 100us};

void disable_interrupts(pci::Device& device) {
  device.write(EIMC.offset(), 0xFFFFFFFF);
  device.read(EICR.offset());
}

/// Nothing is received from here on; a driver that was killed may have left everything running.
void stop_queues(pci::Device& device) {
  clear_bits(device, RXCTRL, RXCTRL_RXEN);
  for (std::uint32_t i = 0; i < RXDCTL.count; ++i) {
    device.write(RXDCTL.offset(i), (device.read(RXDCTL.offset(i)) & ~RXDCTL_ENABLE) | RXDCTL_SWFLSH);
  }
  for (std::uint32_t i = 0; i < TXDCTL.count; ++i) device.write(TXDCTL.offset(i), TXDCTL_SWFLSH);
  device.read(STATUS.offset());
}

/// What a master that will not stop needs before it is reset (specification update, and what Linux does).
void clear_pending_requests(pci::Device& device) {
  set_bits(device, HLREG0, HLREG0_LPBK);
  set_bits(device, GCR_EXT, GCR_EXT_BUFFERS_CLEAR);
  device.read(STATUS.offset());
  std::this_thread::sleep_for(20us);
  clear_bits(device, HLREG0, HLREG0_LPBK);
  clear_bits(device, GCR_EXT, GCR_EXT_BUFFERS_CLEAR);
}

void request_reset(pci::Device& device) {
  constexpr std::uint32_t both = CTRL_RST | CTRL_LNK_RST;
  device.write(CTRL.offset(), both);
  device.read(STATUS.offset());  // flushes the write
  wait_for(device, CTRL, 0, both, 0, reset_patience, "cannot reset");
}

}  // namespace

bool disable_master(pci::Device& device) {
  set_bits(device, CTRL, CTRL_GIO_DIS);
  for (unsigned attempt = 0; attempt < master_patience.tries; ++attempt) {
    if ((device.read(STATUS.offset()) & STATUS_GIO) == 0) return true;
    std::this_thread::sleep_for(master_patience.interval);
  }
  return false;
}

void reset(pci::Device& device) {
  disable_interrupts(device);
  stop_queues(device);
  const bool quiet = disable_master(device);
  if (!quiet) clear_pending_requests(device);
  request_reset(device);
  if (!quiet) {
    // A master that would not stop needs a second reset, at least 1 us after the first (data sheet 5.2.5.3.2).
    std::this_thread::sleep_for(1us);
    request_reset(device);
  }
  std::this_thread::sleep_for(settle_after_reset);
  disable_interrupts(device);
  wait_for(device, EEC, 0, EEC_ARD, EEC_ARD, nvm_patience, "cannot read the NVM of");
  wait_for(device, RDRXCTL, 0, RDRXCTL_DMAIDONE, RDRXCTL_DMAIDONE, dma_patience, "cannot initialise DMA of");
}

MacAddress read_mac_address(pci::Device& device) {
  const std::uint32_t low = device.read(RAL.offset());
  const std::uint32_t high = device.read(RAH.offset());
  if ((high & RAH_AV) == 0) {
    throw Error("cannot read the MAC address of", device.identity().address, "RAH[0] is not valid after reset",
                "the NVM of this card is damaged; have it rewritten by its maker's tool");
  }
  MacAddress mac;
  for (unsigned i = 0; i < 4; ++i) mac[i] = static_cast<std::uint8_t>(low >> (8 * i));
  for (unsigned i = 0; i < 2; ++i) mac[4 + i] = static_cast<std::uint8_t>(high >> (8 * i));
  return mac;
}

}  // namespace ixcap::ixgbe
