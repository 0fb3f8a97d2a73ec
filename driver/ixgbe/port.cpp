#include <fmt/format.h>

#include <thread>
#include <utility>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {
namespace {

using namespace std::chrono_literals;

constexpr Patience security_patience{40, 1000us};
constexpr std::uint32_t packet_buffer_bytes = 512 * 1024;  // for one traffic class, and the flow table

/// No pause frames out, none obeyed; those that arrive are captured like any other frame.
void disable_flow_control(pci::Device& device) {
  device.write(FCCFG.offset(), 0);
  device.write(MFLCN.offset(), MFLCN_PMCF);
  for (std::uint32_t i = 0; i < FCRTL.count; ++i) device.write(FCRTL.offset(i), 0);
  for (std::uint32_t i = 0; i < FCRTH.count; ++i) device.write(FCRTH.offset(i), 0);
}

/// Both places have to say the same.
void program_fcs(pci::Device& device, bool keep) {
  const std::uint32_t hlreg0 = device.read(HLREG0.offset()) & ~HLREG0_RXCRCSTRP;
  device.write(HLREG0.offset(), hlreg0 | HLREG0_JUMBOEN | (keep ? 0 : HLREG0_RXCRCSTRP));
  const std::uint32_t rdrxctl = device.read(RDRXCTL.offset()) & ~(RDRXCTL_RSCFRSTSIZE_MASK | RDRXCTL_CRCSTRIP);
  device.write(RDRXCTL.offset(), rdrxctl | (keep ? 0 : RDRXCTL_CRCSTRIP));
}

/// What every frame passes before a queue sees it (data sheet 4.6.7): all of it admitted, none of it changed.
void program_receive_path(pci::Device& device, const PortOptions& options) {
  clear_bits(device, RXCTRL, RXCTRL_RXEN);
  device.write(FCTRL.offset(), FCTRL_UPE | FCTRL_MPE | FCTRL_BAM | (options.bad_frames ? FCTRL_SBP : 0));
  clear_bits(device, VLNCTRL, VLNCTRL_VFE);
  device.write(RXPBSIZE.offset(0), packet_buffer_bytes - flow_table_bytes(options.flow_table));
  for (std::uint32_t i = 1; i < RXPBSIZE.count; ++i) device.write(RXPBSIZE.offset(i), 0);
  set_bits(device, RFCTL, RFCTL_RSC_DIS);  // no coalescing: frames are captured as they were sent
  program_fcs(device, options.keep_fcs);
  device.write(MAXFRS.offset(), (longest_frame + fcs_bytes) << MAXFRS_MFS_SHIFT);
  program_rss(device, options.queues);
  if (options.flow_table != FlowTableSize::none) make_flow_table(device, options.flow_table, options.queues);
  set_bits(device, CTRL_EXT, CTRL_EXT_NS_DIS);
}

const PortOptions& checked(pci::Device& device, const PortOptions& options) {
  if (options.queues >= 1 && options.queues <= most_queues) return options;
  throw Error("cannot set up the receive queues of", device.identity().address,
              fmt::format("{} queues are not possible", options.queues), fmt::format("give 1 to {}", most_queues));
}

MacAddress bring_up(pci::Device& device, const PortOptions& options) {
  device.enable_bus_master(true);
  reset(device);
  const MacAddress mac = read_mac_address(device);
  set_bits(device, CTRL_EXT, CTRL_EXT_DRV_LOAD);
  set_up_link(device);
  disable_flow_control(device);
  program_receive_path(device, options);
  return mac;
}

}  // namespace

Port::Port(pci::Device& device, const PortOptions& options)
    : device_(device),
      options_(checked(device, options)),
      found_(read_link_state(device)),
      mac_address_(bring_up(device, options)),
      statistics_(device) {
  const RxQueueOptions of_queues{.longest = longest_frame + (options.keep_fcs ? fcs_bytes : 0)};
  for (std::uint32_t i = 0; i < options.queues; ++i) {
    queues_.push_back(std::make_unique<RxQueue>(device, i, options.descriptors, of_queues));
  }
  if (options.interrupts) interrupts_ = std::make_unique<RxInterrupts>(device, options.queues, default_moderation);
}

Port::~Port() {
  try {
    if (queues_enabled_) {
      set_receive_enable(false);
      for (const auto& queue : queues_) queue->disable();
    }
  } catch (const Error&) {
    // A queue that will not stop: master disable below keeps the card off the memory all the same.
  }
  interrupts_.reset();
  disable_master(device_);
  restore_link_state(device_, found_);
  clear_bits(device_, CTRL_EXT, CTRL_EXT_DRV_LOAD);
  device_.enable_bus_master(false);
}

void Port::enable_queues() {
  if (std::exchange(queues_enabled_, true)) return;
  for (const auto& queue : queues_) queue->enable();
}

void Port::restart() {
  statistics_.update();  // a reset clears what is not read
  queues_enabled_ = false;
  hang_detector_.forget();
  mac_address_ = bring_up(device_, options_);
  for (const auto& queue : queues_) queue->restart();
  if (interrupts_) interrupts_->restart();
}

std::optional<ReceiveHang> Port::find_hang() {
  const Statistics& card = statistics_.total();
  looks_.resize(queues_.size());
  for (std::uint32_t i = 0; i < queues_.size(); ++i) {
    const QueueStatistics& counts = card.queue[i];
    looks_[i] = {device_.read(RDH.offset(i)), device_.read(RDT.offset(i)), counts.packets, counts.no_descriptor};
  }
  return hang_detector_.look(looks_, card);
}

void Port::start_receiving() {
  enable_queues();
  set_receive_enable(true);
}

void Port::stop_receiving() {
  set_receive_enable(false);
  // Frames may be under way from the packet buffer to memory: the counters tell when the last has arrived.
  constexpr unsigned most_looks = 20;
  std::uint64_t before = 0;
  for (unsigned look = 0; look < most_looks; ++look) {
    statistics_.update();
    const QueueStatistics queues = statistics_.total().all_queues();
    const std::uint64_t arrived = queues.packets + queues.no_descriptor + statistics_.total().missed;
    if (look > 0 && arrived == before) break;
    before = arrived;
    std::this_thread::sleep_for(1ms);
  }
}

/// RXCTRL.RXEN changes only while the security block lets nothing through: traffic that arrives at that very moment can
/// hang receive DMA otherwise (a fault of the silicon that Linux works around the same way).
void Port::set_receive_enable(bool enable) {
  set_bits(device_, SECRXCTRL, SECRXCTRL_RX_DIS);
  wait_for(device_, SECRXSTAT, 0, SECRXSTAT_RDY, SECRXSTAT_RDY, security_patience, "cannot stop the receive path of");
  if (enable) {
    set_bits(device_, RXCTRL, RXCTRL_RXEN);
  } else {
    clear_bits(device_, RXCTRL, RXCTRL_RXEN);
  }
  clear_bits(device_, SECRXCTRL, SECRXCTRL_RX_DIS);
  device_.read(STATUS.offset());
}

}  // namespace ixcap::ixgbe
