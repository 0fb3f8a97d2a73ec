#pragma once

/// One PCI function, however it is reached: a card through VFIO, the software NIC in this process, or one in another
/// process. The driver above sees nothing but this.
///
///     registers   read/write, every access with its side effects, in program order
///     doorbells   tail registers as memory (doorbell.hpp): the only register access of the hot path
///     DMA memory  Pages made visible to the device under an I/O address (IOVA)
///     interrupts  MSI-X messages as event counters (eventfd) of this process
///
/// Ownership: a Device outlives everything made from it (doorbells, DmaMemory).
/// Threads: read, write, the DMA and interrupt calls may come from any thread; each access is complete when it returns.
/// Errors: set-up calls throw ixcap::Error. A device that is gone reads as all ones, as PCI has it.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <ixcap/driver/pci/doorbell.hpp>
#include <ixcap/driver/pci/pages.hpp>

namespace ixcap::pci {

struct Identity {
  std::string address;  ///< how a person names the device: "0000:03:00.0", "emulator"
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::string description;  ///< of the hardware, for people and for file headers
};

class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  virtual const Identity& identity() const noexcept = 0;

  /// One 32-bit access to BAR0 at `offset` (bytes, a multiple of 4, inside the BAR).
  virtual std::uint32_t read(std::uint32_t offset) noexcept = 0;
  virtual void write(std::uint32_t offset, std::uint32_t value) noexcept = 0;

  /// The tail register at `offset` as a word of memory. Throws if the register is not one.
  virtual Doorbell doorbell(std::uint32_t offset) = 0;

  /// Lets the device start DMA and interrupts of its own (PCI command register, bus master bit).
  virtual void enable_bus_master(bool enable) = 0;

  /// Makes `pages` visible to the device and answers the I/O address of their first byte.
  virtual std::uint64_t map_dma(const Pages& pages) = 0;

  /// Ends what map_dma(pages) began; the device touches the memory no more once this returns.
  virtual void unmap_dma(std::uint64_t io_address, const Pages& pages) noexcept = 0;

  /// MSI-X messages that the function has; 0 if it has none.
  virtual std::uint32_t interrupt_vectors() const noexcept = 0;

  /// From now on message i of the device adds 1 to the event counter eventfds[i]. Messages with -1, or beyond the span,
  /// are lost. Replaces what was enabled before. Only MSI-X itself is set up here: which cause leads to which message,
  /// and whether it is enabled, stays with the driver.
  ///
  /// Ownership: the descriptors are borrowed for the call; the device keeps the counters until they are replaced or
  /// disabled. Make them with EFD_NONBLOCK: a device may set it, too. Threads: any may read a counter or wait for it.
  /// Throws if it cannot be done; nothing is enabled then.
  virtual void enable_interrupts(std::span<const int> eventfds) = 0;

  /// Ends what enable_interrupts() began; counters change no more once this returns. No error if nothing is enabled.
  virtual void disable_interrupts() noexcept = 0;
};

/// Pages together with their mapping into one device.
class DmaMemory {
 public:
  DmaMemory(Device& device, std::size_t bytes) : device_(device), pages_(bytes), io_address_(device.map_dma(pages_)) {}
  ~DmaMemory() { device_.unmap_dma(io_address_, pages_); }
  DmaMemory(const DmaMemory&) = delete;
  DmaMemory& operator=(const DmaMemory&) = delete;

  std::uint8_t* data() const noexcept { return pages_.data(); }
  std::size_t size() const noexcept { return pages_.size(); }
  const Pages& pages() const noexcept { return pages_; }

  /// The device's address of data().
  std::uint64_t io_address() const noexcept { return io_address_; }

 private:
  Device& device_;
  Pages pages_;
  std::uint64_t io_address_;
};

}  // namespace ixcap::pci
