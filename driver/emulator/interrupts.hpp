#pragma once

/// From a cause to an interrupt (data sheet 7.3 and 8.2.3.5).
///
///     queue ──IVAR──► cause bit ─┐
///     link, pins, ... ──────────►├─ EICR ── enabled (EIMS)? ── throttled (EITR)? ──► MSI-X vector, MSI or INTx
///     EICS (software) ──────────►┘
///
/// With MSI-X and GPIE.MULTIPLE_MSIX there are 64 causes of queues, each a vector, and IVAR_MISC names the vector of
/// all others; in every other mode the queues share the low 16 bits of EICR and everything is one interrupt. A message
/// goes out when a cause comes, or when one that waited is enabled; never twice for one event. A message that is masked
/// by its host (MSI-X table, MSI mask bit) or that finds no bus master waits, and shows in the pending bits.
///
/// The data path calls raise_rx() and raise_tx() after descriptors have been written back; both are cheap where the
/// driver wants no interrupt of the queue.
///
/// Threads: one at a time (the Nic's lock).

#include <array>
#include <cstdint>

#include <ixcap/driver/emulator/clock.hpp>
#include <ixcap/driver/emulator/config_space.hpp>
#include <ixcap/driver/emulator/faults.hpp>
#include <ixcap/driver/emulator/msix_table.hpp>
#include <ixcap/driver/emulator/pci_function.hpp>
#include <ixcap/driver/emulator/queue_events.hpp>
#include <ixcap/driver/emulator/register_file.hpp>

namespace ixcap::emulator {

class Interrupts final : public QueueEvents {
 public:
  Interrupts(RegisterFile& registers, ConfigSpace& config, MsixTable& table, const Clock& clock)
      : registers_(registers), config_(config), table_(table), clock_(clock) {}

  /// A queue (0 to 127) has received, or sent. Nothing happens while its IVAR entry is not valid.
  void raise_rx(std::uint32_t queue) noexcept override { raise_queue(queue, 0); }
  void raise_tx(std::uint32_t queue) noexcept override { raise_queue(queue, 1); }

  /// Causes of EICR, bits 16 to 31.
  void raise(std::uint32_t causes) noexcept;

  /// Where messages go; nullptr: nowhere.
  void set_sink(InterruptSink* sink) noexcept { sink_ = sink; }

  /// Which messages get lost; nullptr: none.
  void set_faults(Faults* faults) noexcept { faults_ = faults; }

  const Clock& clock() const noexcept { return clock_; }

  /// Whether `reg` is kept here and not in the register file: EICR and its relatives. read() and write() are what the
  /// bus does to such a register.
  static bool keeps(const ixgbe::Register& reg) noexcept;
  std::uint32_t read(const ixgbe::Register& reg, std::uint32_t index) noexcept;
  void write(const ixgbe::Register& reg, std::uint32_t index, std::uint32_t value) noexcept;

  /// EITR of `vector` was written.
  void interval_written(std::uint32_t vector, std::uint32_t value) noexcept;

  /// Configuration space, the MSI-X table or GPIE changed: sends what may go now.
  void update() noexcept { send(unsent_); }

  /// Sends what was throttled long enough. To be called from time to time while throttled().
  void expire() noexcept {
    if (throttled_ != 0) send(throttled_);
  }
  bool throttled() const noexcept { return throttled_ != 0; }

  /// Device reset: no causes, everything disabled.
  void reset() noexcept;

 private:
  static constexpr std::uint32_t vectors = MsixTable::vectors;

  bool multiple() const noexcept;
  void raise_queue(std::uint32_t queue, std::uint32_t direction) noexcept;
  void raise_causes(std::uint64_t queues, std::uint32_t others) noexcept;
  void enable(std::uint64_t queues, std::uint32_t others) noexcept;
  std::uint64_t vectors_of(std::uint64_t queues, std::uint32_t others) const noexcept;
  std::uint64_t wanting() const noexcept;
  void send(std::uint64_t candidates) noexcept;
  bool send_one(std::uint32_t vector, bool many) noexcept;
  bool send_single() noexcept;
  void hand_over(InterruptKind kind, std::uint32_t vector) noexcept;
  void after_message(std::uint64_t queues, std::uint32_t others) noexcept;
  std::uint32_t read_causes() noexcept;

  RegisterFile& registers_;
  ConfigSpace& config_;
  MsixTable& table_;
  const Clock& clock_;
  InterruptSink* sink_ = nullptr;
  Faults* faults_ = nullptr;

  // Bits of queue causes are 64 wide; only the low 16 show in EICR, EIMS, EIMC, EICS and EIAM.
  std::uint64_t queue_causes_ = 0;
  std::uint64_t queue_enabled_ = 0;
  std::uint64_t queue_auto_mask_ = 0;
  std::uint32_t other_causes_ = 0;
  std::uint32_t other_enabled_ = 0;
  std::uint32_t other_auto_mask_ = 0;

  std::uint64_t unsent_ = 0;     ///< vectors with an event that no message has gone out for
  std::uint64_t throttled_ = 0;  ///< of these, those that wait for time
  std::array<std::uint64_t, vectors> quiet_until_ns_{};
};

}  // namespace ixcap::emulator
