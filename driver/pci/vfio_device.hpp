#pragma once

/// A card, reached through the kernel's VFIO: what vfio-pci has of a PCI function, and an IOMMU keeps inside its
/// memory.
///
///     read, write   BAR0, mapped into this process; 32 bits at a time
///     doorbells     words of the same mapping; a store
///     DMA memory    Pages, at I/O addresses outside of what the kernel reserves
///     interrupts    event counters, which the kernel's handler adds to
///
/// Opening resets the function, with INTx off and without bus master. Closing gives all of it back to the kernel, which
/// stops the card's DMA and resets it; that also happens when this process dies.
///
/// Threads: as pci::Device; gone() and wanted_back() from any.
/// Errors: the constructor and what pci::Device says throw ixcap::Error. A card that was pulled, or that no longer
/// answers, reads as all ones; gone() then says so.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>

#include <ixcap/driver/pci/device.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>
#include <ixcap/driver/pci/vfio_group.hpp>
#include <ixcap/driver/pci/vfio_memory.hpp>

namespace ixcap::pci {

class VfioDevice final : public Device {
 public:
  /// Opens the function at `address` ("0000:03:00.0").
  explicit VfioDevice(const std::string& address, const VfioPaths& paths = {});
  ~VfioDevice() override;

  const Identity& identity() const noexcept override { return identity_; }
  std::uint32_t read(std::uint32_t offset) noexcept override;
  void write(std::uint32_t offset, std::uint32_t value) noexcept override;
  Doorbell doorbell(std::uint32_t offset) override;
  void enable_bus_master(bool enable) override;
  std::uint64_t map_dma(const Pages& pages) override;
  void unmap_dma(std::uint64_t io_address, const Pages& pages) noexcept override;
  std::uint32_t interrupt_vectors() const noexcept override { return interrupt_vectors_; }
  void enable_interrupts(std::span<const int> eventfds) override;
  void disable_interrupts() noexcept override;

  /// Whether the card is no longer there; for good. Noticed by reads of all ones.
  bool gone() const noexcept { return gone_.load(std::memory_order_relaxed); }

  /// Whether the kernel asked for the card: it is about to be pulled, or taken from vfio-pci. It waits until this
  /// device is closed.
  bool wanted_back() const noexcept;

 private:
  void check_kind();
  bool answers() const noexcept;
  void map_registers();
  void find_interrupts();
  void listen_to_requests();
  std::uint32_t irq_count(std::uint32_t index) const;
  int set_irqs(std::uint32_t index, std::span<const int> eventfds) const noexcept;
  template <typename Number>
  bool read_config(std::uint32_t offset, Number& value) const noexcept;
  void set_command_bits(std::uint16_t bits, bool on);
  bool holds(std::uint32_t offset) const noexcept { return offset % 4 == 0 && offset < register_bytes_; }
  volatile std::uint32_t* word(std::uint32_t offset) const noexcept { return registers_ + offset / 4; }
  void notice_absence() noexcept;

  Identity identity_;
  VfioGroup group_;
  FileDescriptor device_;
  std::mutex mutex_;  ///< guards memory_ and configuration space
  VfioMemory memory_;
  std::uint32_t* registers_ = nullptr;
  std::uint32_t register_bytes_ = 0;
  std::uint64_t config_offset_ = 0;  ///< of configuration space in device_
  std::uint32_t interrupt_vectors_ = 0;
  FileDescriptor requests_;  ///< an event counter that the kernel adds to when it wants the card
  std::atomic<bool> gone_ = false;
};

}  // namespace ixcap::pci
