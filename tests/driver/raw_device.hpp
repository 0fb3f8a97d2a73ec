#pragma once

/// A device without a NIC behind it: the test, or the benchmark, writes the descriptors itself.

#include <cstdint>

#include <ixcap/driver/ixgbe/descriptors.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::test {

class RawDevice final : public pci::Device {
 public:
  static constexpr std::uint64_t io_address = 0x1000;  ///< of the queue's memory, where its ring begins

  const pci::Identity& identity() const noexcept override { return identity_; }
  std::uint32_t read(std::uint32_t) noexcept override { return 0; }
  void write(std::uint32_t, std::uint32_t) noexcept override {}
  pci::Doorbell doorbell(std::uint32_t) override { return pci::Doorbell(&tail); }
  void enable_bus_master(bool) override {}
  std::uint64_t map_dma(const pci::Pages& pages) override {
    ring = reinterpret_cast<ixgbe::ReceiveDescriptor*>(pages.data());
    return io_address;
  }
  void unmap_dma(std::uint64_t, const pci::Pages&) noexcept override {}
  std::uint32_t interrupt_vectors() const noexcept override { return 0; }
  void enable_interrupts(std::span<const int>) override {}
  void disable_interrupts() noexcept override {}

  ixgbe::ReceiveDescriptor* ring = nullptr;  ///< of the queue made last
  std::uint32_t tail = 0;                    ///< what was last stored to the doorbell

 private:
  pci::Identity identity_{"raw", 0, 0, ""};
};

}  // namespace ixcap::test
