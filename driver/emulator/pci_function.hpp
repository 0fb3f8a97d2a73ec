#pragma once

/// A PCI function seen from its bus: what a host, or somebody who stands for one, does to it.
///
///     bus ──► configuration space, memory BARs, function reset
///     bus ──► which memory the function may touch (I/O addresses chosen by the host)
///     bus ◄── interrupts
///
/// pci::Device is the driver's side of the same function; the software NIC is both.
///
/// Threads: any; calls are complete when they return.

#include <cstddef>
#include <cstdint>
#include <span>

namespace ixcap::emulator {

enum class InterruptKind : std::uint8_t { intx, msi, msix };

/// Where a function's interrupts go. Called from the function's threads, with its locks held: it must not call back.
class InterruptSink {
 public:
  virtual ~InterruptSink() = default;

  /// One message of this vector (msi, msix), or the pin going to asserted (intx, vector 0).
  virtual void raise(InterruptKind kind, std::uint32_t vector) noexcept = 0;
};

class PciFunction {
 public:
  virtual ~PciFunction() = default;

  /// Configuration space, 4,096 bytes: little-endian accesses of any size and place. Beyond the end reads as zero.
  virtual void read_config(std::uint32_t offset, std::span<std::uint8_t> bytes) noexcept = 0;
  virtual void write_config(std::uint32_t offset, std::span<const std::uint8_t> bytes) noexcept = 0;

  /// Bytes of a memory BAR; 0 if there is none of this number (0 to 5).
  virtual std::uint64_t bar_size(unsigned bar) const noexcept = 0;

  /// One access of 1, 2, 4 or 8 bytes within the BAR. A 64-bit access is two of 32 bits, the lower one first.
  virtual std::uint64_t read_bar(unsigned bar, std::uint64_t offset, unsigned size) noexcept = 0;
  virtual void write_bar(unsigned bar, std::uint64_t offset, unsigned size, std::uint64_t value) noexcept = 0;

  /// Interrupt vectors that the function has of this kind.
  virtual std::uint32_t interrupt_vectors(InterruptKind kind) const noexcept = 0;

  /// Where interrupts go from now on; nullptr: nowhere. The sink outlives its use.
  virtual void set_interrupt_sink(InterruptSink* sink) noexcept = 0;

  /// Lets the function touch [io_address, io_address + size), which is at `memory`. False if that overlaps a range.
  virtual bool add_dma_range(std::uint64_t io_address, std::uint64_t size, std::uint8_t* memory, bool readable,
                             bool writable) = 0;

  /// Ends a range; the function touches it no more once this returns. False if there is no such range.
  virtual bool remove_dma_range(std::uint64_t io_address, std::uint64_t size) noexcept = 0;

  /// Function-level reset: as after power-on, but for what is on its wire.
  virtual void reset_function() noexcept = 0;
};

}  // namespace ixcap::emulator
