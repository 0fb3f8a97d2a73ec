#pragma once

/// A PCI function without a NIC behind it: BAR0 is memory, what is done to it is kept, and a few registers act.

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include <ixcap/driver/emulator/pci_function.hpp>

namespace ixcap::test {

class MemoryFunction final : public emulator::PciFunction {
 public:
  static constexpr std::uint64_t bar_bytes = 8192;
  static constexpr std::uint32_t msix_vectors = 64;
  static constexpr std::uint32_t msix_control = 0x72;  ///< of its MSI-X capability, the only one it has

  /// A write of 4 bytes here raises the MSI-X vector of its value.
  static constexpr std::uint64_t raise_register = 0x100;

  struct Write {
    std::uint64_t offset;
    unsigned size;
    std::uint64_t value;
    bool operator==(const Write&) const = default;
  };
  struct Range {
    std::uint64_t size;
    std::uint8_t* memory;
    bool readable;
    bool writable;
  };

  MemoryFunction() {
    config_[0x06] = 1 << 4;  // there are capabilities, and where they begin
    config_[0x34] = msix_control - 2;
    config_[msix_control - 2] = 0x11;
    config_[msix_control] = msix_vectors - 1;
  }

  void read_config(std::uint32_t offset, std::span<std::uint8_t> bytes) noexcept override {
    const std::scoped_lock lock(mutex_);
    for (std::uint8_t& byte : bytes) byte = offset < config_.size() ? config_[offset++] : std::uint8_t{0};
  }
  void write_config(std::uint32_t offset, std::span<const std::uint8_t> bytes) noexcept override {
    const std::scoped_lock lock(mutex_);
    for (const std::uint8_t byte : bytes) {
      if (offset < config_.size()) config_[offset++] = byte;
    }
  }
  std::uint64_t bar_size(unsigned bar) const noexcept override { return bar == 0 ? bar_bytes : 0; }

  /// Accesses that the seam does not allow are counted in `bad_accesses`.
  std::uint64_t read_bar(unsigned bar, std::uint64_t offset, unsigned size) noexcept override {
    const std::scoped_lock lock(mutex_);
    if (!check(bar, offset, size)) return 0;
    std::uint64_t value = 0;
    std::memcpy(&value, bar_.data() + offset, size);
    return value;
  }
  void write_bar(unsigned bar, std::uint64_t offset, unsigned size, std::uint64_t value) noexcept override {
    const std::scoped_lock lock(mutex_);
    if (!check(bar, offset, size)) return;
    std::memcpy(bar_.data() + offset, &value, size);
    if (keep_writes) writes.push_back({offset, size, value});
    if (offset == raise_register && size == 4 && sink_ != nullptr) {
      sink_->raise(emulator::InterruptKind::msix, static_cast<std::uint32_t>(value));
    }
  }
  std::uint32_t interrupt_vectors(emulator::InterruptKind kind) const noexcept override {
    return kind == emulator::InterruptKind::msix ? msix_vectors : 1;
  }
  void set_interrupt_sink(emulator::InterruptSink* sink) noexcept override {
    const std::scoped_lock lock(mutex_);
    sink_ = sink;
  }
  bool add_dma_range(std::uint64_t io_address, std::uint64_t size, std::uint8_t* memory, bool readable,
                     bool writable) override {
    const std::scoped_lock lock(mutex_);
    const auto next = ranges_.lower_bound(io_address);
    const bool overlaps_next = next != ranges_.end() && next->first - io_address < size;
    const bool overlaps_previous =
        next != ranges_.begin() && io_address - std::prev(next)->first < std::prev(next)->second.size;
    if (overlaps_next || overlaps_previous) {
      ++bad_ranges;
      return false;
    }
    ranges_.emplace(io_address, Range{size, memory, readable, writable});
    return true;
  }
  bool remove_dma_range(std::uint64_t io_address, std::uint64_t size) noexcept override {
    const std::scoped_lock lock(mutex_);
    const auto found = ranges_.find(io_address);
    if (found == ranges_.end() || found->second.size != size) {
      ++bad_ranges;
      return false;
    }
    ranges_.erase(found);
    return true;
  }
  void reset_function() noexcept override {
    const std::scoped_lock lock(mutex_);
    bar_.fill(0);
    ++resets;
  }

  /// Asserts or deasserts the interrupt pin.
  void set_pin(bool asserted) {
    {
      const std::scoped_lock lock(mutex_);
      config_[6] = asserted ? 1 << 4 | 1 << 3 : 1 << 4;  // Interrupt Status
    }
    if (asserted) raise(emulator::InterruptKind::intx, 0);
  }
  void raise(emulator::InterruptKind kind, std::uint32_t vector) {
    const std::scoped_lock lock(mutex_);
    if (sink_ != nullptr) sink_->raise(kind, vector);
  }

  /// The memory at an I/O address; nullptr if there is none.
  std::uint8_t* at(std::uint64_t io_address) const {
    const std::scoped_lock lock(mutex_);
    auto range = ranges_.upper_bound(io_address);
    if (range == ranges_.begin()) return nullptr;
    --range;
    const std::uint64_t offset = io_address - range->first;
    return offset < range->second.size ? range->second.memory + offset : nullptr;
  }
  std::map<std::uint64_t, Range> ranges() const {
    const std::scoped_lock lock(mutex_);
    return ranges_;
  }

  std::vector<Write> writes;  ///< of BAR0
  bool keep_writes = true;
  std::atomic<unsigned> resets = 0;
  std::atomic<unsigned> bad_accesses = 0;
  std::atomic<unsigned> bad_ranges = 0;

 private:
  bool check(unsigned bar, std::uint64_t offset, unsigned size) noexcept {
    const bool good = bar == 0 && (size == 1 || size == 2 || size == 4 || size == 8) && offset % size == 0 &&
                      offset + size <= bar_bytes;
    if (!good) ++bad_accesses;
    return good;
  }

  mutable std::mutex mutex_;
  std::array<std::uint8_t, 4096> config_ = {0x86, 0x80, 0xfb, 0x10};
  std::array<std::uint8_t, bar_bytes> bar_ = {};
  std::map<std::uint64_t, Range> ranges_;
  emulator::InterruptSink* sink_ = nullptr;
};

}  // namespace ixcap::test
