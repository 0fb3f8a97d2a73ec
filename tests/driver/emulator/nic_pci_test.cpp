// The software NIC as its bus sees it: BARs, memory enable, resets, and the memory that it may touch.

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/pci/pages.hpp>

#include "tests/driver/list_traffic.hpp"
#include "tests/driver/vfio_user_messages.hpp"

namespace ixcap::emulator {
namespace {

using test::ListedFrame;
using test::make_frame;

class NicPci : public ::testing::Test {
 protected:
  NicPci() { set_command(0x0006); }

  void set_command(std::uint16_t value) { write_config(0x04, value); }
  void write_config(std::uint32_t offset, std::uint16_t value) {
    const std::array<std::uint8_t, 2> bytes{static_cast<std::uint8_t>(value), static_cast<std::uint8_t>(value >> 8)};
    nic.write_config(offset, bytes);
  }
  std::uint16_t read_config(std::uint32_t offset) {
    std::array<std::uint8_t, 2> bytes{};
    nic.read_config(offset, bytes);
    return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
  }
  std::uint32_t read(const ixgbe::Register& reg) {
    return static_cast<std::uint32_t>(nic.read_bar(0, reg.offset(), 4));
  }
  void write(const ixgbe::Register& reg, std::uint32_t value) { nic.write_bar(0, reg.offset(), 4, value); }

  Nic nic{std::make_unique<test::ListTraffic>(std::vector<ListedFrame>(10, make_frame(60))), {}, Drive::stepped};
};

TEST_F(NicPci, HasTwoBars) {
  EXPECT_EQ(nic.bar_size(0), 512u * 1024);
  EXPECT_EQ(nic.bar_size(4), 16u * 1024);
  for (const unsigned bar : {1u, 2u, 3u, 5u, 6u, 1000u}) EXPECT_EQ(nic.bar_size(bar), 0u);
  EXPECT_EQ(nic.interrupt_vectors(InterruptKind::msix), 64u);
  EXPECT_EQ(nic.interrupt_vectors(InterruptKind::msi), 1u);
  EXPECT_EQ(nic.interrupt_vectors(InterruptKind::intx), 1u);
}

TEST_F(NicPci, RegistersTakeAccessesOfEverySize) {
  write(ixgbe::FCRTV, 0x11223344);
  const std::uint64_t offset = ixgbe::FCRTV.offset();
  EXPECT_EQ(nic.read_bar(0, offset, 1), 0x44u);
  EXPECT_EQ(nic.read_bar(0, offset + 3, 1), 0x11u);
  EXPECT_EQ(nic.read_bar(0, offset + 2, 2), 0x1122u);
  nic.write_bar(0, offset, 1, 0xFF);
  nic.write_bar(0, offset, 2, 0xFFFF);
  EXPECT_EQ(read(ixgbe::FCRTV), 0x11223344u) << "narrow writes are ignored";
  nic.write_bar(0, ixgbe::RAL.offset(5), 8, 0x8000'BBAA'1234'5678);
  EXPECT_EQ(nic.read_bar(0, ixgbe::RAL.offset(5), 4), 0x12345678u);
  EXPECT_EQ(nic.read_bar(0, ixgbe::RAH.offset(5), 4), 0x8000BBAAu);
  EXPECT_EQ(nic.read_bar(0, ixgbe::RAL.offset(5), 8), 0x8000'BBAA'1234'5678u);
}

TEST_F(NicPci, NothingAnswersOutsideTheBarsOrWithoutMemorySpace) {
  EXPECT_EQ(nic.read_bar(1, 0, 4), 0xFFFFFFFFu);
  EXPECT_EQ(nic.read_bar(0, 512 * 1024, 1), 0xFFu);
  EXPECT_EQ(nic.read_bar(0, 512 * 1024 - 4, 8), ~std::uint64_t{0});
  EXPECT_EQ(nic.read_bar(0, ~std::uint64_t{0}, 2), 0xFFFFu);
  EXPECT_EQ(nic.read_bar(0, 512 * 1024 - 4, 4), 0u) << "inside, though no register";
  write(ixgbe::FCRTV, 7);
  set_command(0);
  EXPECT_EQ(read(ixgbe::FCRTV), 0xFFFFFFFFu);
  write(ixgbe::FCRTV, 8);
  set_command(2);
  EXPECT_EQ(read(ixgbe::FCRTV), 7u);
}

TEST_F(NicPci, KeepsAnMsixTable) {
  EXPECT_EQ(nic.read_bar(4, 12, 4), 1u) << "masked";
  nic.write_bar(4, 16 * 63, 8, 0x1'FEE0'0003);
  nic.write_bar(4, 16 * 63 + 8, 8, 0xFFFFFFFE'00004021);
  EXPECT_EQ(nic.read_bar(4, 16 * 63, 8), 0x1'FEE0'0000u) << "aligned to four bytes";
  EXPECT_EQ(nic.read_bar(4, 16 * 63 + 8, 8), 0x4021u);
  nic.write_bar(4, 0x2000, 8, ~std::uint64_t{0});
  EXPECT_EQ(nic.read_bar(4, 0x2000, 8), 0u) << "pending bits are not written";
  nic.reset_function();
  set_command(2);
  EXPECT_EQ(nic.read_bar(4, 16 * 63, 8), 0u);
}

TEST_F(NicPci, StatusFollowsTheBusMasterBit) {
  EXPECT_NE(read(ixgbe::STATUS) & ixgbe::STATUS_GIO, 0u);
  set_command(0x0002);
  EXPECT_EQ(read(ixgbe::STATUS) & ixgbe::STATUS_GIO, 0u);
}

TEST_F(NicPci, FunctionLevelResetPutsEverythingBack) {
  write(ixgbe::FCRTV, 7);
  write_config(0xA8, 0xA810);
  EXPECT_EQ(read_config(0x04), 0u);
  EXPECT_EQ(read(ixgbe::FCRTV), 0xFFFFFFFFu);
  set_command(2);
  EXPECT_EQ(read(ixgbe::FCRTV), 0u);
}

TEST_F(NicPci, DeviceResetKeepsConfigurationSpace) {
  write_config(0x72, 0x8000);
  write(ixgbe::CTRL, ixgbe::CTRL_RST);
  EXPECT_EQ(read_config(0x04), 0x0006u);
  EXPECT_EQ(read_config(0x72), 0x803Fu);
}

TEST_F(NicPci, ReceivesIntoMemoryOfTheHostsChoiceUntilItIsTakenAway) {
  pci::Pages ring(4096);
  pci::Pages buffers(8192);
  constexpr std::uint64_t ring_address = 0x7000;
  constexpr std::uint64_t buffer_address = 0xFEDC'0000'0000;
  ASSERT_TRUE(nic.add_dma_range(ring_address, 4096, ring.data(), true, true));
  ASSERT_TRUE(nic.add_dma_range(buffer_address, 8192, buffers.data(), true, true));
  EXPECT_FALSE(nic.add_dma_range(buffer_address + 4096, 8192, buffers.data(), true, true));
  const auto place = [&](std::uint64_t address) {
    for (std::size_t i = 0; i < 8; ++i) std::memcpy(ring.data() + 16 * i, &address, sizeof address);
  };
  place(buffer_address);
  nic.write_bar(0, ixgbe::RDBAL.offset(), 4, ring_address);
  nic.write_bar(0, ixgbe::RDLEN.offset(), 4, 128);
  nic.write_bar(0, ixgbe::SRRCTL.offset(), 4, ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER | 2);
  write(ixgbe::FCTRL, ixgbe::FCTRL_UPE | ixgbe::FCTRL_MPE | ixgbe::FCTRL_BAM);
  nic.write_bar(0, ixgbe::RXDCTL.offset(), 4, ixgbe::RXDCTL_ENABLE);
  write(ixgbe::RXCTRL, ixgbe::RXCTRL_RXEN);
  nic.write_bar(0, ixgbe::RDT.offset(), 4, 7);

  EXPECT_EQ(nic.step(2), 2u);
  EXPECT_EQ(nic.counts().delivered, 2u);
  EXPECT_TRUE(nic.remove_dma_range(buffer_address, 8192));
  EXPECT_FALSE(nic.remove_dma_range(buffer_address, 8192));
  nic.step(1);
  EXPECT_EQ(nic.counts().dma_faults, 1u);
  set_command(0x0002);
  EXPECT_EQ(nic.step(1), 0u) << "no bus master, no frames";
}

TEST_F(NicPci, InterruptsReachTheHostInTheirTime) {
  class Sink final : public InterruptSink {
   public:
    void raise(InterruptKind kind, std::uint32_t vector) noexcept override {
      last_kind = kind;
      last_vector = vector;
      ++count;
    }
    InterruptKind last_kind = InterruptKind::intx;
    std::uint32_t last_vector = 0;
    unsigned count = 0;
  } sink;
  nic.set_interrupt_sink(&sink);
  write_config(0x72, 0x8000);
  write(ixgbe::GPIE, ixgbe::GPIE_MULTIPLE_MSIX);
  write(ixgbe::IVAR_MISC, (ixgbe::IVAR_VALID | 33) << 8);
  write(ixgbe::EIMS, ixgbe::EICR_LSC);
  nic.write_bar(0, ixgbe::EITR_HIGH.offset(33 - 24), 4, 50u << ixgbe::EITR_INTERVAL_SHIFT);
  nic.set_carrier(false);
  EXPECT_EQ(sink.count, 1u);
  EXPECT_EQ(sink.last_kind, InterruptKind::msix);
  EXPECT_EQ(sink.last_vector, 33u);
  nic.set_carrier(true);
  EXPECT_EQ(sink.count, 1u) << "too soon";
  nic.advance_time(100'000);
  EXPECT_EQ(sink.count, 2u);
  nic.set_interrupt_sink(nullptr);
  nic.set_carrier(false);
  nic.advance_time(100'000);
  EXPECT_EQ(sink.count, 2u);
}

TEST_F(NicPci, InterruptsReachEventCountersOfItsDriver) {
  const auto counter = test::event_counter();
  std::array<int, 34> eventfds;
  eventfds.fill(-1);
  eventfds[33] = counter.number();
  EXPECT_EQ(nic.interrupt_vectors(), 64u);
  nic.enable_interrupts(eventfds);
  write(ixgbe::GPIE, ixgbe::GPIE_MULTIPLE_MSIX);
  write(ixgbe::IVAR_MISC, (ixgbe::IVAR_VALID | 33) << 8);
  write(ixgbe::EIMS, ixgbe::EICR_LSC);
  nic.set_carrier(false);
  EXPECT_EQ(test::take_events(counter.number()), 1u);
  write(ixgbe::IVAR_MISC, (ixgbe::IVAR_VALID | 32) << 8);
  nic.set_carrier(true);
  EXPECT_EQ(test::take_events(counter.number()), 0u) << "the other vector has no counter";
  nic.disable_interrupts();
  nic.disable_interrupts();
  write(ixgbe::IVAR_MISC, (ixgbe::IVAR_VALID | 33) << 8);
  nic.set_carrier(false);
  EXPECT_EQ(test::take_events(counter.number()), 0u);
}

TEST_F(NicPci, RefusesInterruptsThatCannotBe) {
  const std::array<int, 65> too_many = {};
  EXPECT_THROW(nic.enable_interrupts(too_many), Error);
  const pci::Pages no_counter(4096);
  const int file = no_counter.memfd();
  EXPECT_THROW(nic.enable_interrupts(std::span(&file, 1)), Error);
  EXPECT_EQ(read_config(0x72) & 0x8000, 0);
}

TEST_F(NicPci, GarbageAccessesAreHarmless) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t offset = i % 10 == 0 ? random() : random() % (600 * 1024);
    const auto bar = static_cast<unsigned>(random() % 8);
    const auto size = static_cast<unsigned>(random() % 17);
    if (i % 2 == 0) {
      nic.read_bar(bar, offset, size);
    } else {
      nic.write_bar(bar, offset, size, random());
    }
    if (i % 1000 == 0) set_command(static_cast<std::uint16_t>(random()));
  }
}

}  // namespace
}  // namespace ixcap::emulator
