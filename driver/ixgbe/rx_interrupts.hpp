#pragma once

/// The interrupts of a port's receive queues: MSI-X message i says that queue i has received.
///
///     RxInterrupts interrupts(device, queues, moderation);
///     loop:
///       ... poll until nothing is left ...
///       interrupts.arm(queue)       one message, when something has come since the last one or comes from now on
///       poll once more              what came before arm() may have been told of already
///       interrupts.wait(queue, longest)
///
/// A message goes out once for each arm(): the card masks the queue as it sends it (EIAM with GPIE.EIAME), so a busy
/// queue interrupts nobody. Two messages of a queue are at least `moderation` apart (EITR), and the frame after a pause
/// that was longer is told of at once.
///
/// Ownership: owns the event counters; the Device outlives it. Threads: a queue's arm() and wait() belong to the thread
/// that polls it. Errors: the constructor throws Error; arm() and wait() do not fail.

#include <chrono>
#include <cstdint>
#include <vector>

#include <ixcap/driver/pci/device.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::ixgbe {

/// Short enough that a frame waits less than 100 us with the time that waking takes, long enough that half of a core is
/// free at any load.
inline constexpr std::chrono::microseconds default_moderation{40};

class RxInterrupts {
 public:
  /// For queues 0 to `queues` - 1. `moderation`: up to 1022 us, in steps of 2 us.
  RxInterrupts(pci::Device& device, std::uint32_t queues, std::chrono::microseconds moderation);
  ~RxInterrupts();
  RxInterrupts(const RxInterrupts&) = delete;
  RxInterrupts& operator=(const RxInterrupts&) = delete;

  /// After a reset of the card: what arm() asked for before is forgotten. Throws Error.
  void restart();

  void arm(std::uint32_t queue) noexcept;

  /// Sleeps until the queue's message has come, at most `longest`. False if it has not.
  bool wait(std::uint32_t queue, std::chrono::nanoseconds longest) noexcept;

 private:
  pci::Device& device_;
  std::uint32_t moderation_;                   ///< as EITR has it
  std::vector<pci::FileDescriptor> counters_;  ///< by queue
};

}  // namespace ixcap::ixgbe
