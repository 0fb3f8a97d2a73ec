#pragma once

/// A PCI function in another process, reached through vfio-user: what `ixcap emulate` serves, or any other server that
/// lends a page of doorbells (vfio_user_protocol.hpp).
///
///     read, write   one message and its answer: some 20 µs
///     doorbells     words of the page that the server lends; a store
///     DMA memory    Pages, which the server maps through their memfd, at I/O addresses chosen here
///     interrupts    event counters, which the server writes to
///
/// Every write is complete when it returns, so doorbells, reads and writes take effect in program order.
///
/// Threads: as pci::Device.
/// Errors: the constructor, doorbell() and map_dma() throw ixcap::Error. When the server is gone, or silent for
/// answer_timeout_ms, gone() says so, reads are all ones, writes go nowhere, and what can throw does.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/device.hpp>
#include <ixcap/driver/pci/vfio_user_protocol.hpp>
#include <ixcap/driver/pci/vfio_user_socket.hpp>

namespace ixcap::pci {

class VfioUserDevice final : public Device {
 public:
  static constexpr int answer_timeout_ms = 5000;

  /// Connects to the server that listens at `path`.
  explicit VfioUserDevice(const std::string& path);
  ~VfioUserDevice() override;

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

  /// Whether the server is gone; for good.
  bool gone() const noexcept { return gone_.load(std::memory_order_relaxed); }

 private:
  using Bytes = std::span<const std::uint8_t>;
  static constexpr int no_answer = -1;

  int ask(vfio_user::Command command, Bytes head, Bytes tail = {}, std::span<const int> files = {}) noexcept;
  template <typename Structure>
  Structure ask_for(vfio_user::Command command, const Structure& request, const char* action);
  void negotiate();
  void map_doorbells();
  void find_interrupts();
  int attach_interrupts(std::span<const int> eventfds) noexcept;
  int set_msix_enable(bool on) noexcept;
  int read_bytes(std::uint32_t region, std::uint64_t offset, std::span<std::uint8_t> bytes) noexcept;
  int write_bytes(std::uint32_t region, std::uint64_t offset, Bytes bytes) noexcept;
  std::uint16_t read_config(std::uint32_t offset);
  void set_command_bits(std::uint16_t bits, bool on);
  vfio_user::DoorbellPage::Slot* slot_of(std::uint32_t offset) noexcept;
  Error refused(const char* action, int error) const;

  Identity identity_;
  std::string path_;
  std::recursive_mutex mutex_;  ///< guards all below but the atomic; held for a message and its answer
  VfioUserSocket socket_;
  VfioUserMessage answer_;
  std::uint16_t next_id_ = 1;
  vfio_user::DoorbellPage* doorbells_ = nullptr;
  std::uint32_t doorbell_count_ = 0;
  std::uint32_t interrupt_vectors_ = 0;
  std::uint32_t msix_capability_ = 0;  ///< its offset in configuration space
  std::uint64_t next_io_address_ = std::uint64_t{1} << 32;
  std::atomic<bool> gone_ = false;
};

}  // namespace ixcap::pci
