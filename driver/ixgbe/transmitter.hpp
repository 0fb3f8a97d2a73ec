#pragma once

/// The sending side of a port, for those who ask for it: a Port by itself sends nothing.
///
///     Port port(device, {});
///     Transmitter transmitter(device, {});       the transmit path is on from here to the destructor
///     transmitter.queue().send(frames);
///
/// Ownership: the Transmitter owns its queue; Device and Port outlive it. Its destructor stops the card's DMA before
/// the memory goes away; what has not been sent by then is not sent. Threads: queue() belongs to one thread; so do
/// update_statistics() and hangs(), which look at the queue. Errors: ixcap::Error naming the register that did not
/// answer.

#include <chrono>
#include <cstdint>

#include <ixcap/driver/ixgbe/hang_detector.hpp>
#include <ixcap/driver/ixgbe/tx_queue.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::ixgbe {

/// What the card has put on the wire, in 64 bits. As the statistics of receiving: someone must call
/// update_statistics() every four minutes at least.
struct TransmitStatistics {
  std::uint64_t good_packets = 0;  ///< GPTC
  std::uint64_t good_bytes = 0;    ///< GOTC: FCS included
};

class Transmitter {
 public:
  /// Turns the transmit path of a port that is up on, with one queue of `descriptors`.
  explicit Transmitter(pci::Device& device, std::uint32_t descriptors = TxQueue::default_descriptors);
  ~Transmitter();
  Transmitter(const Transmitter&) = delete;
  Transmitter& operator=(const Transmitter&) = delete;

  TxQueue& queue() noexcept { return queue_; }
  const TxQueue& queue() const noexcept { return queue_; }

  void update_statistics() noexcept;
  const TransmitStatistics& statistics() const noexcept { return statistics_; }

  /// Whether the queue hangs: to be asked several times a second. Only a reset of the port helps then: destroy
  /// Transmitter and Port, and make them anew.
  bool hangs(HangDetector::Clock::time_point now) noexcept;

 private:
  void stop() noexcept;

  pci::Device& device_;
  TxQueue queue_;
  TransmitStatistics statistics_;
  HangDetector detector_;
};

}  // namespace ixcap::ixgbe
