#pragma once

/// A device without a NIC behind it: the benchmark itself completes the descriptors, all at once and in advance, so
/// that what is measured afterwards is the driver alone.

#include <cstdint>

#include <ixcap/driver/ixgbe/descriptors.hpp>
#include <ixcap/driver/ixgbe/models.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::bench {

class CompletedRing final : public pci::Device {
 public:
  const pci::Identity& identity() const noexcept override { return identity_; }
  std::uint32_t read(std::uint32_t) noexcept override { return 0; }
  void write(std::uint32_t, std::uint32_t) noexcept override {}
  pci::Doorbell doorbell(std::uint32_t) override { return pci::Doorbell(&tail_); }
  void enable_bus_master(bool) override {}
  std::uint64_t map_dma(const pci::Pages& pages) override {
    ring_ = reinterpret_cast<ixgbe::ReceiveDescriptor*>(pages.data());
    return io_address;
  }
  void unmap_dma(std::uint64_t, const pci::Pages&) noexcept override {}

  /// Writes back every descriptor of a ring of `descriptors` with a frame of `length` bytes.
  void complete_all(std::uint32_t descriptors, std::uint32_t length) noexcept {
    for (std::uint32_t i = 0; i < descriptors; ++i) {
      ring_[i].write_back(0, ixgbe::ReceiveStatus::of(length, true));
    }
  }

 private:
  static constexpr std::uint64_t io_address = std::uint64_t{1} << 32;

  pci::Identity identity_{"completed ring", ixgbe::intel_vendor_id, ixgbe::id_82599_sfp, ""};
  ixgbe::ReceiveDescriptor* ring_ = nullptr;
  std::uint32_t tail_ = 0;
};

}  // namespace ixcap::bench
