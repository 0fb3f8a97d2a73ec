#pragma once

/// One port of an 82599, from reset to receiving and back: the driver's front door.
///
///     Port port(device, {});          reset, receive path programmed, nothing received yet
///     port.wait_for_link(10s);
///     port.start_receiving();
///     ... port.queue(0).poll() in a thread of its own, and so every other queue ...
///     port.stop_receiving();          no new frames; what has been received can still be polled
///
/// The port is passive: it sends nothing, no pause frame either, and leaves VLAN tags in the frames. With several
/// queues frames are spread by their flows (rss.hpp). Who wants to send makes a Transmitter (transmitter.hpp).
///
/// Ownership: the Device must outlive the Port; the Port owns its queues. The destructor stops the card's DMA before
/// the memory goes away, and leaves laser and link mode as the constructor found them. Threads: one control thread for
/// everything here; the queues' poll and release have a thread of their own. Errors: ixcap::Error naming the register
/// that did not answer.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <ixcap/driver/ixgbe/flow_drops.hpp>
#include <ixcap/driver/ixgbe/link.hpp>
#include <ixcap/driver/ixgbe/receive_hang_detector.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/reset.hpp>
#include <ixcap/driver/ixgbe/rss.hpp>
#include <ixcap/driver/ixgbe/rx_interrupts.hpp>
#include <ixcap/driver/ixgbe/rx_queue.hpp>
#include <ixcap/driver/ixgbe/statistics.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

struct PortOptions {
  std::uint32_t descriptors = default_descriptors;  ///< of each queue
  std::uint32_t queues = 1;                         ///< 1 to most_queues
  bool keep_fcs = false;    ///< frames in memory end with their FCS, which both lengths of a Frame then count
  bool bad_frames = false;  ///< frames with errors come, too: RxQueue::status() tells which
  bool interrupts = false;  ///< each queue tells of its frames by interrupts()
  /// For FlowDrops, whose drop queue is the one behind the port's own.
  FlowTableSize flow_table = FlowTableSize::none;
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
  /// Whether the card is there no more: everything reads as all ones.
  bool gone() { return device_.read(STATUS.offset()) == 0xFFFFFFFF; }

  /// What start_receiving() does first, by itself: whoever polls in threads that are there before the first frame calls
  /// it before they start.
  void enable_queues();
  void start_receiving();
  /// Returns when what was under way is in memory, at most 20 ms later; statistics() is up to date then.
  void stop_receiving();

  /// Resets the card and programs all of it again, while port, queues and their memory stay: then it is as the
  /// constructor left it, and start_receiving() goes on. Frames in the card and in the queues are gone: whoever wants
  /// them has called stop_receiving() and polled them before. statistics() goes on from where it is. Clock and
  /// HardwareFilter have a restart() of their own, for after this one; a Transmitter is made anew. The queues' threads
  /// are outside of poll and release meanwhile. Throws Error; the port receives nothing then.
  void restart();

  /// Whether a queue, or all of them, hang: to be asked every 20 ms or so while frames are received, each time after
  /// statistics().update(). Only restart() helps then, and may have to be tried twice.
  std::optional<ReceiveHang> find_hang();

  std::uint32_t queue_count() const noexcept { return static_cast<std::uint32_t>(queues_.size()); }
  RxQueue& queue(std::uint32_t index = 0) noexcept { return *queues_[index]; }
  const RxQueue& queue(std::uint32_t index = 0) const noexcept { return *queues_[index]; }
  /// Of the queues; nullptr if none were asked for.
  RxInterrupts* interrupts() noexcept { return interrupts_.get(); }
  StatisticsCounter& statistics() noexcept { return statistics_; }
  const StatisticsCounter& statistics() const noexcept { return statistics_; }

 private:
  void set_receive_enable(bool enable);

  pci::Device& device_;
  const PortOptions options_;
  const LinkState found_;
  MacAddress mac_address_;
  std::vector<std::unique_ptr<RxQueue>> queues_;
  std::unique_ptr<RxInterrupts> interrupts_;
  StatisticsCounter statistics_;
  ReceiveHangDetector hang_detector_;
  std::vector<ReceiveHangDetector::QueueLook> looks_;
  bool queues_enabled_ = false;
};

}  // namespace ixcap::ixgbe
