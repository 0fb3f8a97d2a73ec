// A card through the kernel's VFIO is a device like any other. Needs one: the 82599 that IXCAP_TEST_CARD names
// ("0000:03:00.0") is opened and reset; tests/vm/jobs/vfio has one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <vector>

#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/pci/vfio_device.hpp>

#include "tests/driver/vfio_user_messages.hpp"

namespace ixcap::pci {
namespace {

using testing::HasSubstr;

class VfioDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* const card = std::getenv("IXCAP_TEST_CARD");
    if (card == nullptr) GTEST_SKIP() << "IXCAP_TEST_CARD names no card";
    device_.emplace(card);
  }

  /// How often the counter was added to, once it was; it is waited for.
  static std::uint64_t wait_for_events(int counter) {
    pollfd ready{counter, POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 30'000), 1) << "no interrupt came";
    return test::take_events(counter);
  }

  std::optional<VfioDevice> device_;
};

TEST_F(VfioDeviceTest, ReadsAndWritesRegistersInsideTheBarOnly) {
  EXPECT_EQ(device_->identity().vendor, 0x8086);
  device_->write(ixgbe::FCRTV.offset(), 0x1234);
  EXPECT_EQ(device_->read(ixgbe::FCRTV.offset()), 0x1234u);
  constexpr std::uint32_t bar_bytes = 512 * 1024;
  for (const std::uint32_t offset : {bar_bytes, bar_bytes + 4, ixgbe::FCRTV.offset() + 1, 0xfffffffcu}) {
    EXPECT_EQ(device_->read(offset), 0xffffffffu);
    device_->write(offset, 0);
    EXPECT_THROW(device_->doorbell(offset), Error);
  }
  EXPECT_FALSE(device_->gone());
  EXPECT_FALSE(device_->wanted_back());
}

TEST_F(VfioDeviceTest, RingsDoorbells) {
  const std::uint32_t tail = ixgbe::RDT.offset(3);
  device_->doorbell(tail).ring(17);
  EXPECT_EQ(device_->read(tail), 17u);
}

TEST_F(VfioDeviceTest, IsResetAsItIsOpened) {
  device_->write(ixgbe::FCRTV.offset(), 0x1234);
  device_->enable_bus_master(true);
  EXPECT_NE(device_->read(ixgbe::STATUS.offset()) & ixgbe::STATUS_GIO, 0u);
  device_.reset();
  device_.emplace(std::getenv("IXCAP_TEST_CARD"));
  EXPECT_EQ(device_->read(ixgbe::FCRTV.offset()), 0u);
  EXPECT_EQ(device_->read(ixgbe::STATUS.offset()) & ixgbe::STATUS_GIO, 0u) << "the bus is not mastered";
}

TEST_F(VfioDeviceTest, MapsMemoryAndTakesTheAddressesBack) {
  const DmaMemory first(*device_, 4096);
  std::uint64_t address = 0;
  {
    const DmaMemory second(*device_, 3 << 20);
    address = second.io_address();
    EXPECT_NE(address, first.io_address());
  }
  EXPECT_EQ(DmaMemory(*device_, 3 << 20).io_address(), address);
}

TEST_F(VfioDeviceTest, SendsItsInterruptsToEventCounters) {
  ASSERT_EQ(device_->interrupt_vectors(), 64u);
  const FileDescriptor first = test::event_counter();
  const FileDescriptor second = test::event_counter();
  const std::array eventfds = {first.number(), -1, second.number()};
  device_->enable_interrupts(eventfds);
  device_->enable_bus_master(true);
  device_->write(ixgbe::GPIE.offset(), ixgbe::GPIE_MULTIPLE_MSIX);
  device_->write(ixgbe::EIMS.offset(), 0b111);
  device_->write(ixgbe::EICS.offset(), 0b001);
  EXPECT_EQ(wait_for_events(first.number()), 1u);
  device_->write(ixgbe::EICS.offset(), 0b010);
  device_->write(ixgbe::EICS.offset(), 0b100);
  EXPECT_EQ(wait_for_events(second.number()), 1u);

  const std::vector<int> all(64, first.number());
  device_->enable_interrupts(all);
  device_->write(ixgbe::EIMS_EX.offset(1), 1u << 31);
  device_->write(ixgbe::EICS_EX.offset(1), 1u << 31);
  EXPECT_GE(wait_for_events(first.number()), 1u) << "the last of them";
  device_->disable_interrupts();
  device_->write(ixgbe::EICS.offset(), 0b100);
  device_->read(ixgbe::STATUS.offset());
  EXPECT_EQ(test::take_events(second.number()), 0u);

  const std::vector<int> too_many(65, -1);
  EXPECT_THAT([&] { device_->enable_interrupts(too_many); },
              testing::ThrowsMessage<Error>(HasSubstr("64 and no more")));
}

TEST_F(VfioDeviceTest, IsForOneProgramAtATime) {
  EXPECT_THAT([] { VfioDevice again(std::getenv("IXCAP_TEST_CARD")); },
              testing::ThrowsMessage<Error>(HasSubstr("another program")));
}

}  // namespace
}  // namespace ixcap::pci
