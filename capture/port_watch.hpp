#pragma once

/// Looks after a port that receives: link, module, and what only a reset of the card mends. What it sees goes to the
/// session's events, once.
///
///     a receive queue hangs        ixgbe/receive_hang_detector.hpp
///     a DMA access has failed      EICR.PCI
///     its memory has an error      EICR.ECC
///     somebody else has reset it   RXCTRL.RXEN or a queue's RXDCTL.ENABLE is off
///
/// A card that is gone reads as all ones, in which nothing is seen; that is for the interface to tell.
///
/// Ownership: borrows all three. Threads: one at a time, the port's control side. Errors: none.

#include <cstdint>
#include <optional>

#include <ixcap/capture/event_log.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::capture {

class PortWatch {
 public:
  PortWatch(pci::Device& device, ixgbe::Port& port, EventLog& events);

  /// After each update of the port's statistics, while it receives. What the card must be reset for, if anything.
  std::optional<SessionEvent::Kind> look();

 private:
  struct Seen {
    ixgbe::Link link;
    bool module = false;
    bool stopped = false;
    bool dma_error = false;
    bool memory_error = false;
    std::optional<ixgbe::ReceiveHang> hang;
  };

  std::optional<Seen> read();
  void tell_of_link(const Seen& now);
  bool module_present();
  bool stopped_by_other();

  pci::Device& device_;
  ixgbe::Port& port_;
  EventLog& events_;
  bool link_up_;
  bool module_;
};

}  // namespace ixcap::capture
