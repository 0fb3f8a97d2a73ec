// Whatever a driver does to the software NIC - any register, any value, DMA mappings that come and go under it,
// descriptors full of garbage - the NIC touches only memory that is mapped for it at that moment, and every frame is
// counted once.
//
// Input: one byte that says how the wire behaves, then actions: a byte that names the action, and its arguments.

#include <sanitizer/asan_interface.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include <ixcap/driver/emulator/mix_traffic.hpp>
#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

#include "tests/fuzz/input.hpp"

namespace {

using namespace ixcap;
using emulator::WireFrame;
using test::Input;
using test::require;

/// A deck of the traffic mix over and over; made once, because a mix takes milliseconds to make.
class DeckTraffic final : public emulator::Traffic {
 public:
  const WireFrame* next() noexcept override { return &deck()[position_++ % deck_frames]; }
  const std::optional<Error>& failure() const noexcept override { return failure_; }
  std::uint64_t zero_filled() const noexcept override { return 0; }

 private:
  static constexpr std::size_t deck_frames = 240;

  static const std::vector<WireFrame>& deck() {
    static emulator::MixTraffic mix({});
    static const std::vector<WireFrame> frames = [] {
      std::vector<WireFrame> result;
      while (result.size() < deck_frames) result.push_back(*mix.next());
      return result;
    }();
    return frames;
  }

  std::size_t position_ = 0;
  const std::optional<Error> failure_;
};

/// Memory for DMA that the sanitizer refuses every access to unless it is mapped for the NIC.
class Region {
 public:
  static constexpr std::size_t bytes = 8192;

  Region() { protect(); }
  ~Region() { ASAN_UNPOISON_MEMORY_REGION(pages_.data(), pages_.size()); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  void map(emulator::Nic& nic) {
    if (mapped_) return;
    ASAN_UNPOISON_MEMORY_REGION(pages_.data(), pages_.size());
    io_address_ = nic.map_dma(pages_);
    mapped_ = true;
  }
  void unmap(emulator::Nic& nic) {
    if (!mapped_) return;
    nic.unmap_dma(io_address_, pages_);
    mapped_ = false;
    protect();
  }
  void write(std::size_t offset, std::uint64_t value) {
    if (mapped_) std::memcpy(pages_.data() + offset % (bytes / sizeof value) * sizeof value, &value, sizeof value);
  }
  void clear() {
    ASAN_UNPOISON_MEMORY_REGION(pages_.data(), pages_.size());
    std::memset(pages_.data(), 0, pages_.size());
    if (!mapped_) protect();
  }
  /// Of the present mapping, or the last one.
  std::uint64_t io_address() const { return io_address_; }

 private:
  void protect() { ASAN_POISON_MEMORY_REGION(pages_.data(), pages_.size()); }

  pci::Pages pages_{bytes};
  std::uint64_t io_address_ = 0;
  bool mapped_ = false;
};

/// The driver gone wild.
class Driver {
 public:
  explicit Driver(Input input)
      : input_(input), nic_(std::make_unique<DeckTraffic>(), rate(), emulator::Drive::stepped) {
    for (Region& region : regions()) region.clear();
  }
  ~Driver() {
    for (Region& region : regions()) region.unmap(nic_);
  }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  void run() {
    while (input_.size > 0) {
      act();
      check_counts();
    }
    nic_.step(most_frames);
    check_counts();
  }

 private:
  static constexpr std::size_t most_frames = 300;

  // Made one after the other and only the even ones ever mapped, so that the others watch over what lies beside them.
  static std::array<Region, 5>& all_regions() {
    static std::array<Region, 5> regions;
    return regions;
  }
  static std::span<Region> regions() { return all_regions(); }
  Region& take_region() { return all_regions()[input_.take<std::uint8_t>() % 3 * 2]; }

  emulator::Rate rate() {
    if (input_.take<std::uint8_t>() % 2 == 0) return {};
    return {emulator::Rate::Unit::frames_per_second, 1e6};
  }

  const ixgbe::Register& take_register() {
    return *ixgbe::register_table[input_.take<std::uint8_t>() % ixgbe::register_table.size()];
  }
  std::uint32_t take_offset() {
    const ixgbe::Register& reg = take_register();
    return reg.offset(input_.take<std::uint8_t>() % reg.count);
  }
  /// An I/O address in or near a region.
  std::uint64_t take_io_address() {
    const Region& region = take_region();
    return region.io_address() + (std::uint64_t{input_.take<std::uint8_t>()} << 6);
  }

  void act() {
    switch (input_.take<std::uint8_t>() % 16) {
      case 0:
        nic_.read(input_.take<std::uint32_t>());
        break;
      case 1: {
        const auto offset = input_.take<std::uint32_t>();
        nic_.write(offset, input_.take<std::uint32_t>());
        break;
      }
      case 2:
        nic_.read(take_offset());
        break;
      case 3: {
        const std::uint32_t offset = take_offset();
        nic_.write(offset, input_.take<std::uint32_t>());
        break;
      }
      case 4:
        nic_.step(input_.take<std::uint8_t>());
        break;
      case 5:
        take_region().map(nic_);
        break;
      case 6:
        take_region().unmap(nic_);
        break;
      case 7:
        place_ring();
        break;
      case 8:
        write_descriptor();
        break;
      case 9:
        nic_.doorbell(ixgbe::RDT.offset(0)).ring(input_.take<std::uint8_t>() % 130);
        break;
      case 10:
        bring_up();
        break;
      case 11:
        nic_.enable_bus_master(input_.take<std::uint8_t>() % 4 != 0);
        break;
      case 12:
        place_transmit_ring();
        break;
      case 13:
        write_transmit_descriptors();
        break;
      case 14:
        nic_.doorbell(ixgbe::TDT.offset(0)).ring(input_.take<std::uint8_t>() % 130);
        break;
      case 15:
        set_faults();
        break;
    }
  }

  /// Some of the faults, now and then all that there are; or none again.
  void set_faults() {
    const auto chosen = input_.take<std::uint16_t>();
    const auto share = [chosen](unsigned bit, double value) { return (chosen >> bit & 1) != 0 ? value : 0; };
    emulator::FaultSpec spec;
    spec.crc_errors = share(0, 0.25);
    spec.fragments = share(1, 0.25);
    spec.jabber = share(2, 0.25);
    spec.dma_faults = share(3, 0.25);
    spec.late_write_back = share(4, 0.75);
    spec.reordered_write_back = share(5, 0.5);
    spec.starvation = share(6, 0.25);
    spec.lost_interrupts = share(7, 0.5);
    spec.link_flap_ns = (chosen >> 8 & 1) != 0 ? 1 : 0;
    spec.stuck_reset = (chosen >> 9 & 1) != 0;
    spec.stuck_enable = (chosen >> 10 & 1) != 0;
    spec.transmit_hang = (chosen >> 11 & 1) != 0;
    spec.remove = (chosen >> 12 & 3) == 3;
    spec.remove_after = (chosen >> 14) == 3 ? 10 : 0;
    nic_.set_faults(spec);
  }

  /// The ring of queue 0 somewhere, of some length, with some size of buffers; whether or not it is running.
  void place_ring() {
    const std::uint64_t base = take_io_address();
    nic_.write(ixgbe::RDBAL.offset(0), static_cast<std::uint32_t>(base));
    nic_.write(ixgbe::RDBAH.offset(0), static_cast<std::uint32_t>(base >> 32));
    nic_.write(ixgbe::RDLEN.offset(0), std::uint32_t{input_.take<std::uint8_t>()} % 80 * 128);
    const auto buffers = input_.take<std::uint8_t>();
    nic_.write(ixgbe::SRRCTL.offset(0), ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER | buffers % 4u |
                                            (buffers >= 128 ? ixgbe::SRRCTL_DROP_EN : 0));
  }

  /// Descriptors from one on, their buffers in or near a region.
  void write_descriptor() {
    Region& region = take_region();
    const std::size_t first = input_.take<std::uint8_t>();
    const std::uint64_t buffer = take_io_address();
    for (std::size_t i = 0; i < 64; ++i) region.write(2 * (2 * first + i), buffer + i * 16);
  }

  /// As place_ring(), and running.
  void place_transmit_ring() {
    const std::uint64_t base = take_io_address();
    nic_.write(ixgbe::TDBAL.offset(0), static_cast<std::uint32_t>(base));
    nic_.write(ixgbe::TDBAH.offset(0), static_cast<std::uint32_t>(base >> 32));
    nic_.write(ixgbe::TDLEN.offset(0), std::uint32_t{input_.take<std::uint8_t>()} % 80 * 128);
    nic_.write(ixgbe::DMATXCTL.offset(), ixgbe::DMATXCTL_TE);
    nic_.write(ixgbe::TXDCTL.offset(0), ixgbe::TXDCTL_ENABLE);
    nic_.write(ixgbe::HLREG0.offset(), input_.take<std::uint8_t>() % 2 == 0 ? 0 : ixgbe::HLREG0_LPBK);
  }

  /// Descriptors from one on, of any kind, with buffers in or near a region.
  void write_transmit_descriptors() {
    Region& region = take_region();
    const std::size_t first = input_.take<std::uint8_t>();
    const std::uint64_t buffer = take_io_address();
    const auto commands = input_.take<std::uint64_t>();
    for (std::size_t i = 0; i < 4; ++i) {
      region.write(2 * (first + i), buffer + i * 512);
      region.write(2 * (first + i) + 1, commands ^ i << 24);
    }
  }

  void bring_up() {
    nic_.enable_bus_master(true);
    nic_.write(ixgbe::AUTOC.offset(), ixgbe::AUTOC_LMS_10G_SERIAL);
    nic_.write(ixgbe::ESDP.offset(), 0);
    nic_.write(ixgbe::FCTRL.offset(), ixgbe::FCTRL_UPE | ixgbe::FCTRL_MPE | ixgbe::FCTRL_BAM);
    nic_.write(ixgbe::RXDCTL.offset(0), ixgbe::RXDCTL_ENABLE);
    nic_.write(ixgbe::RXCTRL.offset(), ixgbe::RXCTRL_RXEN);
  }

  void check_counts() const {
    const emulator::WireCounts wire = nic_.counts();
    require(wire.frames == wire.rejected() + wire.not_admitted + wire.discarded + wire.no_descriptor + wire.missed +
                               wire.dma_faults + wire.delivered + wire.waiting);
  }

  Input input_;
  emulator::Nic nic_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Driver({data, size}).run();
  return 0;
}
