#pragma once

/// One PCI function, however it is reached: a card through VFIO, the software NIC in this process, or one in another
/// process. The driver above sees nothing but this.
///
///     registers   read/write, every access with its side effects, in program order
///     doorbells   tail registers as memory (doorbell.hpp): the only register access of the hot path
///     DMA memory  Pages made visible to the device under an I/O address (IOVA)
///
/// Ownership: a Device outlives everything made from it (doorbells, DmaMemory).
/// Threads: read, write and the DMA calls may come from any thread; each access is complete when it returns.
/// Errors: set-up calls throw ixcap::Error. A device that is gone reads as all ones, as PCI has it.

#include <cstddef>
#include <cstdint>
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
