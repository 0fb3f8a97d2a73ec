// The sending side of a port is there only for who asked for it, goes without a trace, knows what the card has sent,
// and tells a queue that hangs from one that is idle, slow or without a link.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ixcap/driver/emulator/cable.hpp>
#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/transmitter.hpp>

#include "tests/driver/emulator/rings.hpp"
#include "tests/driver/list_traffic.hpp"
#include "tests/driver/stuck_device.hpp"

namespace ixcap::ixgbe {
namespace {

using namespace std::chrono_literals;
using emulator::Drive;
using emulator::Nic;
using testing::HasSubstr;

const test::ListedFrame listed = test::make_frame(100, 3);
const Frame frame{listed.bytes.data(), 100, 100};
const std::vector<Frame> ten_frames(10, frame);

TEST(Transmitter, TurnsTransmitOnAndOffAgain) {
  Nic nic(nullptr, {}, Drive::stepped);
  Port port(nic, {});
  EXPECT_EQ(nic.read(DMATXCTL.offset()) & DMATXCTL_TE, 0u);
  {
    const Transmitter transmitter(nic);
    EXPECT_NE(nic.read(DMATXCTL.offset()) & DMATXCTL_TE, 0u);
    EXPECT_NE(nic.read(TXDCTL.offset()) & TXDCTL_ENABLE, 0u);
    EXPECT_EQ(nic.read(RTTDCS.offset()) & RTTDCS_ARBDIS, 0u);
    EXPECT_EQ(nic.read(FCCFG.offset()), 0u) << "still no pause frames";
    constexpr std::uint32_t crc_and_padding = HLREG0_TXCRCEN | HLREG0_TXPADEN;
    EXPECT_EQ(nic.read(HLREG0.offset()) & crc_and_padding, crc_and_padding);
  }
  EXPECT_EQ(nic.read(DMATXCTL.offset()) & DMATXCTL_TE, 0u);
  EXPECT_EQ(nic.read(TXDCTL.offset()) & TXDCTL_ENABLE, 0u);
}

TEST(Transmitter, ComesAndGoesOnOnePort) {
  test::ListWire wire;
  Nic nic(nullptr, {}, Drive::stepped);
  nic.connect(&wire);
  Port port(nic, {});
  for (int round = 1; round <= 3; ++round) {
    Transmitter transmitter(nic, TxQueue::fewest_descriptors);
    EXPECT_EQ(transmitter.queue().send(ten_frames), 10u);
    nic.step(0);
    EXPECT_EQ(transmitter.queue().pending(), 0u);
    EXPECT_EQ(wire.sent.size(), 10u * static_cast<unsigned>(round));
  }
}

TEST(Transmitter, CountsWhatTheCardHasSent) {
  test::ListWire wire;
  Nic nic(nullptr, {}, Drive::stepped);
  nic.connect(&wire);
  Port port(nic, {});
  Transmitter transmitter(nic);
  for (int i = 0; i < 3; ++i) {
    transmitter.queue().send(ten_frames);
    nic.step(0);
    transmitter.update_statistics();
  }
  EXPECT_EQ(transmitter.statistics().good_packets, 30u);
  EXPECT_EQ(transmitter.statistics().good_bytes, 30u * 104) << "octet counters include the FCS";
}

TEST(Transmitter, SendsAndReceivesBesideOneAnother) {
  emulator::Cable cable;
  Nic left(nullptr, {}, Drive::stepped);
  Nic right(nullptr, {}, Drive::stepped);
  left.connect(&cable.end(0));
  right.connect(&cable.end(1));
  Port sender(left, {});
  Port receiver(right, {});
  Transmitter there(left);
  Transmitter back(right);
  sender.start_receiving();
  receiver.start_receiving();
  there.queue().send(ten_frames);
  back.queue().send(ten_frames);
  for (int i = 0; i < 2; ++i) {
    left.step(64);
    right.step(64);
  }
  for (Port* const port : {&sender, &receiver}) {
    Frame lent[batch_size];
    ASSERT_EQ(port->queue().poll(lent), 10u);
    EXPECT_EQ(test::Packet(lent[9].data, lent[9].data + lent[9].captured_length), listed.bytes);
    port->queue().release();
  }
  left.connect(nullptr);
  right.connect(nullptr);
}

TEST(Transmitter, EndsInAnErrorThatNamesTheRegisterOfAStuckCard) {
  Nic nic(nullptr, {}, Drive::stepped);
  test::StuckDevice device(nic);
  Port port(device, {});
  device.stick(TXDCTL, TXDCTL_ENABLE, 0);
  try {
    const Transmitter transmitter(device);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.action(), HasSubstr("enable a transmit queue"));
    EXPECT_THAT(error.reason(), HasSubstr("TXDCTL"));
  }
  EXPECT_EQ(nic.read(DMATXCTL.offset()) & DMATXCTL_TE, 0u);
}

TEST(Transmitter, TakesTheCardOffTheMemoryWhenTheQueueWillNotStop) {
  Nic nic(nullptr, {}, Drive::stepped);
  test::StuckDevice device(nic);
  Port port(device, {});
  {
    const Transmitter transmitter(device);
    device.stick(TXDCTL, TXDCTL_ENABLE, TXDCTL_ENABLE);
  }
  EXPECT_EQ(nic.read(STATUS.offset()) & STATUS_GIO, 0u) << "no DMA any more";
}

TEST(Transmitter, NoticesAQueueThatHangsAndWorksAgainAfterAReset) {
  const HangDetector::Clock::time_point start{};
  test::ListWire wire;
  Nic nic(nullptr, {}, Drive::stepped);
  nic.connect(&wire);
  {
    Port port(nic, {});
    Transmitter transmitter(nic);
    EXPECT_FALSE(transmitter.hangs(start));
    EXPECT_FALSE(transmitter.hangs(start + 1h)) << "idle";
    transmitter.queue().send(ten_frames);
    EXPECT_FALSE(transmitter.hangs(start + 2h)) << "just begun";
    nic.step(0);
    EXPECT_FALSE(transmitter.hangs(start + 3h)) << "done";
    nic.enable_bus_master(false);  // the card can no longer fetch descriptors
    transmitter.queue().send(ten_frames);
    nic.step(0);
    EXPECT_FALSE(transmitter.hangs(start + 4h));
    EXPECT_FALSE(transmitter.hangs(start + 4h + HangDetector::patience - 1ms));
    EXPECT_TRUE(transmitter.hangs(start + 4h + HangDetector::patience));
  }
  EXPECT_EQ(wire.sent.size(), 10u);
  Port port(nic, {});
  Transmitter transmitter(nic);
  transmitter.queue().send(ten_frames);
  nic.step(0);
  EXPECT_EQ(wire.sent.size(), 20u);
}

TEST(HangDetector, LooksAtProgressAndLink) {
  const HangDetector::Clock::time_point start{};
  constexpr auto patience = HangDetector::patience;
  HangDetector detector;
  EXPECT_FALSE(detector.hangs({10, 5, 7, true}, start));
  EXPECT_FALSE(detector.hangs({10, 5, 8, true}, start + patience)) << "the head has moved";
  EXPECT_FALSE(detector.hangs({10, 6, 8, true}, start + 2 * patience)) << "something was reported";
  EXPECT_FALSE(detector.hangs({10, 6, 8, false}, start + 3 * patience)) << "no link";
  EXPECT_FALSE(detector.hangs({10, 6, 8, true}, start + 4 * patience)) << "the link has only come back";
  EXPECT_TRUE(detector.hangs({10, 6, 8, true}, start + 5 * patience));
  EXPECT_FALSE(detector.hangs({0, 16, 8, true}, start + 6 * patience)) << "nothing to do";
}

}  // namespace
}  // namespace ixcap::ixgbe
