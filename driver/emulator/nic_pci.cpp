// The software NIC as a PCI function.

#include <algorithm>

#include <ixcap/driver/emulator/nic.hpp>

namespace ixcap::emulator {
namespace {

constexpr unsigned register_bar = 0;
constexpr unsigned msix_bar = 4;

/// All ones of an access: what a bus reads where nothing answers.
constexpr std::uint64_t all_ones(unsigned size) {
  return size >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * size)) - 1;
}

constexpr bool is_access_size(unsigned size) {
  return size == 1 || size == 2 || size == 4 || size == 8;
}

}  // namespace

void Nic::read_config(std::uint32_t offset, std::span<std::uint8_t> bytes) noexcept {
  const ControlLock lock(*this);
  if (removed_) {
    std::ranges::fill(bytes, std::uint8_t{0xFF});
    return;
  }
  config_.read(offset, bytes);
}

void Nic::write_config(std::uint32_t offset, std::span<const std::uint8_t> bytes) noexcept {
  const ControlLock lock(*this);
  if (removed_) return;
  config_.write(offset, bytes);
  if (config_.take_reset_request()) power_on_reset();
  update_master_status();
  interrupts_.update();
}

std::uint64_t Nic::bar_size(unsigned bar) const noexcept {
  if (bar == register_bar) return ConfigSpace::bar0_bytes;
  return bar == msix_bar ? ConfigSpace::bar4_bytes : 0;
}

std::uint64_t Nic::read_bar(unsigned bar, std::uint64_t offset, unsigned size) noexcept {
  if (!is_access_size(size)) return 0;
  if (offset >= bar_size(bar) || bar_size(bar) - offset < size) return all_ones(size);
  const ControlLock lock(*this);
  if (removed_ || !config_.memory_enabled()) return all_ones(size);
  if (bar == msix_bar) return msix_table_.read(offset, size);
  const auto place = static_cast<std::uint32_t>(offset);
  if (size == 8) {
    const std::uint64_t low = read_register(place);
    return low | std::uint64_t{read_register(place + 4)} << 32;
  }
  const std::uint32_t in_word = place % 4;
  if (in_word + size > 4) return 0;
  return read_register(place - in_word) >> (8 * in_word) & all_ones(size);
}

void Nic::write_bar(unsigned bar, std::uint64_t offset, unsigned size, std::uint64_t value) noexcept {
  if (!is_access_size(size) || offset >= bar_size(bar) || bar_size(bar) - offset < size) return;
  const ControlLock lock(*this);
  if (removed_ || !config_.memory_enabled()) return;
  if (bar == msix_bar) {
    msix_table_.write(offset, size, value);
    interrupts_.update();
    return;
  }
  const auto place = static_cast<std::uint32_t>(offset);
  if (size < 4) return;
  write_register(place, static_cast<std::uint32_t>(value));
  if (size == 8) write_register(place + 4, static_cast<std::uint32_t>(value >> 32));
}

std::uint32_t Nic::interrupt_vectors(InterruptKind kind) const noexcept {
  return kind == InterruptKind::msix ? ConfigSpace::msix_vectors : 1;
}

void Nic::set_interrupt_sink(InterruptSink* sink) noexcept {
  const ControlLock lock(*this);
  interrupts_.set_sink(sink);
}

bool Nic::add_dma_range(std::uint64_t io_address, std::uint64_t size, std::uint8_t* memory, bool readable,
                        bool writable) {
  const ControlLock lock(*this);
  return dma_.add(io_address, size, memory, readable, writable);
}

bool Nic::remove_dma_range(std::uint64_t io_address, std::uint64_t size) noexcept {
  const ControlLock lock(*this);
  return dma_.remove(io_address, size);
}

void Nic::reset_function() noexcept {
  const ControlLock lock(*this);
  power_on_reset();
}

void Nic::power_on_reset() noexcept {
  config_.reset();
  msix_table_.reset();
  device_reset();
}

}  // namespace ixcap::emulator
