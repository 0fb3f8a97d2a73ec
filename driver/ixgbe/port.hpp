#pragma once

/// One port of an 82599, from reset to receiving and back: the driver's front door.
///
///     Port port(device, {});          reset, receive path programmed, nothing received yet
///     port.wait_for_link(10s);
///     port.start_receiving();
///     ... port.queue(0).poll() in a thread of its own ...
///     port.stop_receiving();          no new frames; what has been received can still be polled
///
/// The port is passive: it sends nothing, no pause frame either, and leaves VLAN tags in the frames. Who wants to send
/// makes a Transmitter (transmitter.hpp).
///
/// Ownership: the Device must outlive the Port; the Port owns its queues. The destructor stops the card's DMA before
/// the memory goes away. Threads: one control thread for everything here; the queues' poll and release have a thread of
/// their own. Errors: ixcap::Error naming the register that did not answer.

#include <chrono>
#include <cstdint>

#include <ixcap/driver/ixgbe/link.hpp>
#include <ixcap/driver/ixgbe/reset.hpp>
#include <ixcap/driver/ixgbe/rx_queue.hpp>
#include <ixcap/driver/ixgbe/statistics.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

struct PortOptions {
  std::uint32_t descriptors = default_descriptors;  ///< of each queue
};

class Port {
 public:
  Port(pci::Device& device, const PortOptions& options);
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  const MacAddress& mac_address() const noexcept { return mac_address_; }
  Link wait_for_link(std::chrono::milliseconds patience) { return ixgbe::wait_for_link(device_, patience); }
  Link link() { return read_link(device_); }

  void start_receiving();
  /// Returns when what was under way is in memory, at most 20 ms later; statistics() is up to date then.
  void stop_receiving();

  RxQueue& queue() noexcept { return queue_; }
  const RxQueue& queue() const noexcept { return queue_; }
  StatisticsCounter& statistics() noexcept { return statistics_; }
  const StatisticsCounter& statistics() const noexcept { return statistics_; }

 private:
  void set_receive_enable(bool enable);

  pci::Device& device_;
  MacAddress mac_address_;
  RxQueue queue_;
  StatisticsCounter statistics_;
  bool queue_enabled_ = false;
};

}  // namespace ixcap::ixgbe
