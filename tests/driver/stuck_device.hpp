#pragma once

/// A device like the one behind it, except that some register bits are stuck: for tests of waits that must end.

#include <cstdint>
#include <map>

#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::test {

class StuckDevice final : public pci::Device {
 public:
  explicit StuckDevice(pci::Device& behind) : behind_(behind) {}

  /// From now on `mask` of the register reads as `bits`.
  void stick(const ixgbe::Register& reg, std::uint32_t mask, std::uint32_t bits) { stuck_[reg.base] = {mask, bits}; }

  const pci::Identity& identity() const noexcept override { return behind_.identity(); }
  std::uint32_t read(std::uint32_t offset) noexcept override {
    const std::uint32_t value = behind_.read(offset);
    const auto found = stuck_.find(offset);
    return found == stuck_.end() ? value : (value & ~found->second.mask) | found->second.bits;
  }
  void write(std::uint32_t offset, std::uint32_t value) noexcept override { behind_.write(offset, value); }
  pci::Doorbell doorbell(std::uint32_t offset) override { return behind_.doorbell(offset); }
  void enable_bus_master(bool enable) override { behind_.enable_bus_master(enable); }
  std::uint64_t map_dma(const pci::Pages& pages) override { return behind_.map_dma(pages); }
  void unmap_dma(std::uint64_t io_address, const pci::Pages& pages) noexcept override {
    behind_.unmap_dma(io_address, pages);
  }
  std::uint32_t interrupt_vectors() const noexcept override { return behind_.interrupt_vectors(); }
  void enable_interrupts(std::span<const int> eventfds) override { behind_.enable_interrupts(eventfds); }
  void disable_interrupts() noexcept override { behind_.disable_interrupts(); }

 private:
  struct Stuck {
    std::uint32_t mask;
    std::uint32_t bits;
  };
  pci::Device& behind_;
  std::map<std::uint32_t, Stuck> stuck_;
};

}  // namespace ixcap::test
