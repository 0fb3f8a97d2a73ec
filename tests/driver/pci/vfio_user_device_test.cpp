// A device in another process is a device like any other: registers, doorbells and memory reach it in program order,
// and when its server goes, it is gone and nothing else happens.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <thread>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/emulator/vfio_user_server.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/pci/vfio_user_device.hpp>

#include "tests/driver/memory_function.hpp"
#include "tests/driver/vfio_user_messages.hpp"
#include "tests/files.hpp"

namespace ixcap::pci {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint32_t all_ones = 0xffffffff;

template <typename Action>
std::string refusal(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_FALSE(error.mend().empty());
    return error.what();
  }
  return "done";
}

class VfioUserDeviceTest : public testing::Test {
 protected:
  ~VfioUserDeviceTest() override {
    device_.reset();
    server_.reset();
    EXPECT_EQ(function_.bad_accesses + function_.bad_ranges, 0u);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.file("nic.sock");
  MemoryFunction function_;
  std::optional<emulator::VfioUserServer> server_{std::in_place, function_, path_};
  std::optional<VfioUserDevice> device_{path_};
};

TEST_F(VfioUserDeviceTest, TellsWhatItIs) {
  EXPECT_EQ(device_->identity().address, "vfio-user:" + path_);
  EXPECT_EQ(device_->identity().vendor, 0x8086);
  EXPECT_EQ(device_->identity().device, 0x10fb);
  EXPECT_EQ(device_->identity().description, "vfio-user device 8086:10fb");
}

TEST_F(VfioUserDeviceTest, ReadsAndWritesRegisters) {
  device_->write(8, 0x12345678);
  EXPECT_EQ(device_->read(8), 0x12345678u);
  EXPECT_THAT(function_.writes, ElementsAre(MemoryFunction::Write{8, 4, 0x12345678}));
  EXPECT_EQ(device_->read(MemoryFunction::bar_bytes), all_ones) << "outside the BAR";
  device_->write(MemoryFunction::bar_bytes, 1);
  EXPECT_FALSE(device_->gone());
}

TEST_F(VfioUserDeviceTest, EnablesTheBusMaster) {
  const auto command = [this] {
    std::uint8_t byte = 0;
    function_.read_config(4, std::span(&byte, 1));
    return byte;
  };
  EXPECT_EQ(command(), 1 << 1) << "memory space, from the start";
  device_->enable_bus_master(true);
  EXPECT_EQ(command(), 1 << 1 | 1 << 2);
  device_->enable_bus_master(false);
  EXPECT_EQ(command(), 1 << 1);
}

TEST_F(VfioUserDeviceTest, SharesItsMemory) {
  const DmaMemory first(*device_, 4096);
  {
    const DmaMemory second(*device_, 10'000);
    EXPECT_NE(first.io_address(), second.io_address());
    second.data()[5000] = 7;
    ASSERT_NE(function_.at(second.io_address() + 5000), nullptr);
    EXPECT_EQ(*function_.at(second.io_address() + 5000), 7);
    *function_.at(first.io_address()) = 9;
    EXPECT_EQ(first.data()[0], 9);
    EXPECT_EQ(function_.ranges().size(), 2u);
  }
  EXPECT_EQ(function_.ranges().size(), 1u);
}

TEST_F(VfioUserDeviceTest, RingsBeforeItReadsAndAfterItWrites) {
  Doorbell tail = device_->doorbell(0x18);
  device_->write(0x40, 1);
  tail.ring(5);
  EXPECT_EQ(device_->read(0x18), 5u) << "the read comes after the ring";
  device_->write(0x18, 0);
  EXPECT_EQ(device_->read(0x18), 0u) << "and an older value of the word does not come again";
  tail.ring(5);
  EXPECT_EQ(device_->read(0x18), 5u) << "though the server saw this value last";
}

TEST_F(VfioUserDeviceTest, RingsWithoutAMessage) {
  Doorbell tail = device_->doorbell(0x18);
  tail.ring(77);
  const auto arrived = [this] { return function_.read_bar(0, 0x18, 4) == 77; };
  while (!arrived()) std::this_thread::yield();
}

TEST_F(VfioUserDeviceTest, BeginsADoorbellWithWhatTheRegisterHolds) {
  device_->doorbell(0x18).ring(5);
  EXPECT_EQ(device_->read(0x18), 5u);
  function_.write_bar(0, 0x18, 4, 0);  // the device is reset
  Doorbell again = device_->doorbell(0x18);
  EXPECT_EQ(device_->read(0x18), 0u);
  again.ring(5);
  EXPECT_EQ(device_->read(0x18), 5u);
}

TEST_F(VfioUserDeviceTest, LendsAsManyDoorbellsAsThePageHolds) {
  for (std::uint32_t i = 0; i < vfio_user::DoorbellPage::slot_count; ++i) device_->doorbell(4 * i).ring(i + 1);
  for (std::uint32_t i = 0; i < vfio_user::DoorbellPage::slot_count; ++i) EXPECT_EQ(device_->read(4 * i), i + 1);
  EXPECT_THAT(refusal([this] { device_->doorbell(0x1000); }), HasSubstr("63 and no more"));
  EXPECT_EQ(refusal([this] { device_->doorbell(0); }), "done");
}

TEST_F(VfioUserDeviceTest, SendsItsInterruptsToEventCounters) {
  EXPECT_EQ(device_->interrupt_vectors(), MemoryFunction::msix_vectors);
  const auto msix_enabled = [this] {
    std::uint8_t byte = 0;
    function_.read_config(MemoryFunction::msix_control + 1, std::span(&byte, 1));
    return (byte & 0x80) != 0;
  };
  const FileDescriptor first = event_counter();
  const FileDescriptor twentieth = event_counter();
  std::vector<int> eventfds(21, -1);
  eventfds[0] = first.number();
  eventfds[20] = twentieth.number();
  device_->enable_interrupts(eventfds);
  EXPECT_TRUE(msix_enabled());
  for (const std::uint32_t vector : {0u, 20u, 20u, 7u, 63u}) device_->write(MemoryFunction::raise_register, vector);
  EXPECT_EQ(take_events(first.number()), 1u);
  EXPECT_EQ(take_events(twentieth.number()), 2u);

  std::vector<FileDescriptor> all;
  eventfds.clear();
  while (all.size() < MemoryFunction::msix_vectors) eventfds.push_back(all.emplace_back(event_counter()).number());
  device_->enable_interrupts(eventfds);
  for (std::uint32_t vector = 0; vector < all.size(); ++vector) {
    device_->write(MemoryFunction::raise_register, vector);
    EXPECT_EQ(take_events(eventfds[vector]), 1u) << vector;
  }
  EXPECT_EQ(take_events(first.number()) + take_events(twentieth.number()), 0u) << "replaced";

  device_->disable_interrupts();
  EXPECT_FALSE(msix_enabled());
  device_->write(MemoryFunction::raise_register, 0);
  EXPECT_EQ(take_events(eventfds[0]), 0u);
}

TEST_F(VfioUserDeviceTest, RefusesInterruptsThatCannotBe) {
  const std::vector<int> too_many(MemoryFunction::msix_vectors + 1, -1);
  EXPECT_THAT(refusal([&] { device_->enable_interrupts(too_many); }), HasSubstr("64 and no more"));
  const Pages no_counter(4096);
  const int file = no_counter.memfd();
  EXPECT_THAT(refusal([&] { device_->enable_interrupts(std::span(&file, 1)); }), HasSubstr("Invalid argument"));
  server_.reset();
  const FileDescriptor counter = event_counter();
  const int number = counter.number();
  EXPECT_THAT(refusal([&] { device_->enable_interrupts(std::span(&number, 1)); }), HasSubstr("the server is gone"));
  device_->disable_interrupts();
}

TEST_F(VfioUserDeviceTest, IsGoneWithItsServer) {
  const DmaMemory memory(*device_, 4096);
  Doorbell tail = device_->doorbell(0x18);
  device_->enable_bus_master(true);
  server_.reset();
  tail.ring(1);
  EXPECT_EQ(device_->read(8), all_ones);
  EXPECT_TRUE(device_->gone());
  device_->write(8, 1);
  const Pages pages(4096);
  EXPECT_THAT(refusal([&] { device_->map_dma(pages); }), HasSubstr("the server is gone"));
  EXPECT_THAT(refusal([this] { device_->doorbell(0x1c); }), HasSubstr("the server is gone"));
  EXPECT_THAT(refusal([this] { device_->enable_bus_master(true); }), HasSubstr("the server is gone"));
  EXPECT_EQ(refusal([this] { device_->enable_bus_master(false); }), "done");
}

TEST(VfioUserDevice, IsRefusedWhereNobodyListens) {
  const TemporaryFolder folder;
  EXPECT_THAT(refusal([&] { VfioUserDevice device(folder.file("none")); }), HasSubstr("ixcap emulate --socket"));
  { const FileDescriptor stale = listen_vfio_user(folder.file("stale")); }
  EXPECT_THAT(refusal([&] { VfioUserDevice device(folder.file("stale")); }), HasSubstr("Connection refused"));
}

/// Connects to a server that answers the first message with `answer`.
std::string refusal_of(const std::vector<std::uint8_t>& answer) {
  const TemporaryFolder folder;
  const FileDescriptor listener = listen_vfio_user(folder.file("nic.sock"));
  const std::jthread server([&] {
    const FileDescriptor client(::accept(listener.number(), nullptr, nullptr));
    VfioUserMessage message;
    VfioUserSocket socket(FileDescriptor(::dup(client.number())));
    socket.receive(message);
    socket.send(answer, {}, {});
  });
  return refusal([&] { VfioUserDevice device(folder.file("nic.sock")); });
}

TEST(VfioUserDevice, BelievesNoAnswerThatIsNotOne) {
  using wire::Command;
  using wire::Header;
  EXPECT_THAT(refusal_of({}), HasSubstr("the server is gone"));
  EXPECT_THAT(refusal_of({1, 2, 3}), HasSubstr("the server is gone"));
  EXPECT_THAT(refusal_of(payload_of(Header{1, 1, 15, 1, 0})), HasSubstr("the server is gone"));
  EXPECT_THAT(refusal_of(payload_of(Header{1, 1, 0xffffffff, 1, 0})), HasSubstr("the server is gone"));
  EXPECT_THAT(refusal_of(payload_of(Header{2, 1, 16, 1, 0})), HasSubstr("the server is gone")) << "another id";
  EXPECT_THAT(refusal_of(payload_of(Header{1, 2, 16, 1, 0})), HasSubstr("the server is gone")) << "another command";
  EXPECT_THAT(refusal_of(payload_of(Header{1, 1, 16, 0, 0})), HasSubstr("the server is gone")) << "a command";
  EXPECT_THAT(refusal_of(payload_of(Header{1, 1, 16, 1, 0})), HasSubstr("another version"));
  EXPECT_THAT(refusal_of(payload_of(Header{1, 1, 20, 1, 0}, wire::Version{1, 0})), HasSubstr("another version"));
  EXPECT_THAT(refusal_of(payload_of(Header{1, 1, 16, 0x21, 13})), HasSubstr("Permission denied"));
  EXPECT_THAT(refusal_of(payload_of(Header{1, 1, 16, 0x21, 0xffffffff})), HasSubstr("Input/output error"));
}

TEST(VfioUserDevice, DrivesTheSoftwareNic) {
  const TemporaryFolder folder;
  emulator::Nic nic(nullptr, {}, emulator::Drive::stepped);
  const emulator::VfioUserServer server(nic, folder.file("nic.sock"));
  VfioUserDevice device(folder.file("nic.sock"));
  EXPECT_EQ(device.identity().vendor, 0x8086);
  device.enable_bus_master(true);
  EXPECT_EQ(device.read(ixgbe::STATUS.offset()), nic.read(ixgbe::STATUS.offset()));
  device.doorbell(ixgbe::RDT.offset(3)).ring(17);
  EXPECT_EQ(device.read(ixgbe::RDT.offset(3)), 17u);
  const DmaMemory memory(device, 4096);
}

}  // namespace
}  // namespace ixcap::pci
