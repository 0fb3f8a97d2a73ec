#include <fmt/format.h>

#include <utility>

#include <ixcap/capture/port_watch.hpp>
#include <ixcap/driver/ixgbe/link.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::capture {

using Kind = SessionEvent::Kind;

PortWatch::PortWatch(pci::Device& device, ixgbe::Port& port, EventLog& events)
    : device_(device), port_(port), events_(events), link_up_(port.link().up), module_(module_present()) {}

std::optional<Kind> PortWatch::look() {
  const std::optional<Seen> now = read();
  if (!now) return std::nullopt;
  tell_of_link(*now);
  if (now->stopped) {
    events_.add(Kind::reset_by_other, "somebody else has reset the card or stopped a queue of it");
    return Kind::reset_by_other;
  }
  if (now->dma_error) {
    events_.add(Kind::dma_error, "the card reports that it could not reach memory");
    return Kind::dma_error;
  }
  if (now->memory_error) {
    events_.add(Kind::memory_error, "the card reports an error in its own memory");
    return Kind::memory_error;
  }
  if (now->hang) {
    events_.add(Kind::hang, now->hang->queue ? fmt::format("receive queue {} hangs: it has room, and drops its frames",
                                                           *now->hang->queue)
                                             : std::string("the card hangs: frames come in, and none gets to a queue"));
    return Kind::hang;
  }
  return std::nullopt;
}

/// Nothing if the card is gone, or went meanwhile.
std::optional<PortWatch::Seen> PortWatch::read() {
  const std::uint32_t causes = device_.read(ixgbe::EICR.offset());
  Seen seen{.link = port_.link(),
            .module = module_present(),
            .stopped = stopped_by_other(),
            .dma_error = (causes & ixgbe::EICR_PCI) != 0,
            .memory_error = (causes & ixgbe::EICR_ECC) != 0,
            .hang = port_.find_hang()};
  return port_.gone() ? std::nullopt : std::optional(seen);
}

bool PortWatch::module_present() {
  return (device_.read(ixgbe::ESDP.offset()) & ixgbe::ESDP_SDP2) != 0;
}

bool PortWatch::stopped_by_other() {
  if ((device_.read(ixgbe::RXCTRL.offset()) & ixgbe::RXCTRL_RXEN) == 0) return true;
  for (std::uint32_t i = 0; i < port_.queue_count(); ++i) {
    if ((device_.read(ixgbe::RXDCTL.offset(i)) & ixgbe::RXDCTL_ENABLE) == 0) return true;
  }
  return false;
}

/// A link comes back by itself; a module that was plugged in wants to be told to begin.
void PortWatch::tell_of_link(const Seen& now) {
  if (std::exchange(module_, now.module) != now.module) {
    events_.add(now.module ? Kind::module_in : Kind::module_out,
                now.module ? "a module was plugged in" : "the module was pulled out");
    if (now.module && !now.stopped) ixgbe::set_up_link(device_);
  }
  if (std::exchange(link_up_, now.link.up) == now.link.up) return;
  if (now.link.up) {
    events_.add(Kind::link_up, fmt::format("the link is up again, at {} Mb/s", now.link.bits_per_second / 1'000'000));
  } else {
    events_.add(Kind::link_down, "the link is down");
  }
}

}  // namespace ixcap::capture
