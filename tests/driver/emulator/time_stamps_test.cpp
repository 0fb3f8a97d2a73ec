// IEEE 1588 in the software NIC: the clock runs as TIMINCA says and as far from the host's as the test says, and of all
// frames that come or go those are stamped that the registers name, one at a time.

#include <gtest/gtest.h>

#include <ixcap/driver/emulator/packet_builder.hpp>

#include "tests/driver/emulator/rings.hpp"
#include "tests/driver/ptp_frames.hpp"

namespace ixcap::emulator {
namespace {

using ixgbe::ReceiveStatus;
using test::ListWire;
using test::Packet;
using test::PtpFrame;
using test::ReceiveRing;
using test::TransmitRing;

// What Linux's driver writes: 6.4 ns in units of 2^-21 ns.
constexpr std::uint32_t increment = 0xCCCCCC;
constexpr std::uint64_t units_a_ns = std::uint64_t{1} << 21;

class TimeStampsTest : public testing::Test {
 protected:
  TimeStampsTest() {
    test::bring_up(nic_);
    nic_.connect(&wire_);
    nic_.write(ixgbe::TIMINCA.offset(), 1u << ixgbe::TIMINCA_PERIOD_SHIFT | increment);
  }

  std::uint64_t systim() {
    const std::uint64_t low = nic_.read(ixgbe::SYSTIML.offset());
    return low | std::uint64_t{nic_.read(ixgbe::SYSTIMH.offset())} << 32;
  }
  std::uint64_t take(const ixgbe::Register& low, const ixgbe::Register& high) {
    const std::uint64_t stamp = nic_.read(low.offset());
    return stamp | std::uint64_t{nic_.read(high.offset())} << 32;
  }

  void stamp(std::uint32_t type, std::uint32_t rxmtrl = 319u << ixgbe::RXMTRL_PORT_SHIFT) {
    nic_.write(ixgbe::ETQF.offset(3), ixgbe::ETQF_EN | ixgbe::ETQF_1588 | 0x88F7);
    nic_.write(ixgbe::RXMTRL.offset(), rxmtrl);
    nic_.write(ixgbe::TSYNCRXCTL.offset(), ixgbe::TSYNCRXCTL_EN | type);
  }
  bool latched() { return (nic_.read(ixgbe::TSYNCRXCTL.offset()) & ixgbe::TSYNCRXCTL_VALID) != 0; }

  void receive(const Packet& frame) {
    wire_.coming.push_back(frame);
    nic_.step(1);
  }
  /// Whether such a frame is stamped; the latch is empty afterwards.
  bool stamps(const PtpFrame& frame) {
    receive(frame.bytes());
    const bool stamped = latched();
    nic_.read(ixgbe::RXSTMPH.offset());
    return stamped;
  }

  ListWire wire_;
  Nic nic_{nullptr, {}, Drive::stepped};
};

TEST_F(TimeStampsTest, TheClockRunsAsTheDriverSays) {
  const std::uint64_t start = systim();
  nic_.advance_time(32'000'000'000);  // 5e9 ticks
  EXPECT_EQ(systim() - start, std::uint64_t{5'000'000'000} * increment);
  nic_.write(ixgbe::TIMINCA.offset(), 10u << ixgbe::TIMINCA_PERIOD_SHIFT | 7);
  const std::uint64_t slower = systim();
  nic_.advance_time(640);
  EXPECT_EQ(systim() - slower, 10u * 7u);
  nic_.write(ixgbe::TIMINCA.offset(), 0);
  const std::uint64_t stopped = systim();
  nic_.advance_time(1'000'000);
  EXPECT_EQ(systim(), stopped);
}

TEST_F(TimeStampsTest, TheClockIsSetAndMoved) {
  nic_.write(ixgbe::TIMINCA.offset(), 0);
  nic_.write(ixgbe::SYSTIML.offset(), 5);
  nic_.write(ixgbe::SYSTIMH.offset(), 7);
  EXPECT_EQ(systim(), std::uint64_t{7} << 32 | 5);
  nic_.write(ixgbe::TIMADJL.offset(), 6);
  nic_.write(ixgbe::TIMADJH.offset(), ixgbe::TIMADJH_MINUS);
  EXPECT_EQ(systim(), (std::uint64_t{7} << 32) - 1) << "into the upper half";
  nic_.write(ixgbe::TIMADJL.offset(), 2);
  nic_.write(ixgbe::TIMADJH.offset(), 1);
  EXPECT_EQ(systim(), std::uint64_t{8} << 32 | 1);
}

TEST_F(TimeStampsTest, TheUpperHalfIsTheOneThatWasThereWithTheLower) {
  nic_.write(ixgbe::SYSTIMH.offset(), 3);
  nic_.write(ixgbe::SYSTIML.offset(), 0xFFFFFFFF);
  EXPECT_EQ(nic_.read(ixgbe::SYSTIML.offset()), 0xFFFFFFFFu);
  nic_.advance_time(7);
  EXPECT_EQ(nic_.read(ixgbe::SYSTIMH.offset()), 3u);
  EXPECT_GE(systim(), std::uint64_t{4} << 32);
}

TEST_F(TimeStampsTest, TheClockDriftsFromTheHosts) {
  nic_.set_clock_drift(50'000);
  std::uint64_t start = nic_.system_time();
  nic_.advance_time(1'000'000'000);
  const std::uint64_t fast = nic_.system_time() - start;
  EXPECT_NEAR(static_cast<double>(fast) / static_cast<double>(units_a_ns), 1'000'050'000.0, 100.0);
  nic_.set_clock_drift(-100'000);
  start = nic_.system_time();
  for (int i = 0; i < 1000; ++i) {
    nic_.advance_time(1'000'000);
    nic_.set_clock_drift(-100'000);  // a change of nothing: no fraction is lost
  }
  const std::uint64_t slow = nic_.system_time() - start;
  EXPECT_NEAR(static_cast<double>(slow) / static_cast<double>(units_a_ns), 999'900'000.0, 100.0);
}

TEST_F(TimeStampsTest, AResetStopsTheClockAndEmptiesTheLatches) {
  stamp(ixgbe::TSYNCRXCTL_TYPE_EVENT_V2);
  ReceiveRing ring(nic_);
  receive(PtpFrame{}.bytes());
  EXPECT_TRUE(latched());
  nic_.write(ixgbe::CTRL.offset(), ixgbe::CTRL_RST);
  EXPECT_FALSE(latched());
  nic_.advance_time(1000);
  EXPECT_EQ(systim(), 0u);
}

TEST_F(TimeStampsTest, TheLatchHoldsTheFirstUntilItIsRead) {
  stamp(ixgbe::TSYNCRXCTL_TYPE_EVENT_V2);
  ReceiveRing ring(nic_);
  nic_.advance_time(6400);
  const std::uint64_t first = nic_.system_time();
  receive(PtpFrame{.sequence = 0x1234}.bytes());
  nic_.advance_time(6400);
  receive(PtpFrame{.sequence = 0x1235}.bytes());
  ASSERT_EQ(ring.filled(), 2u);
  EXPECT_EQ(ring[0].status & ReceiveStatus::TS, ReceiveStatus::TS);
  EXPECT_EQ(ring[1].status & ReceiveStatus::TS, 0u) << "its stamp is nowhere";
  EXPECT_EQ(nic_.read(ixgbe::RXSATRL.offset()), 0x44332211u);
  EXPECT_EQ(nic_.read(ixgbe::RXSATRH.offset()), 0x34126655u) << "the sequence number as it came";
  EXPECT_TRUE(latched());
  EXPECT_EQ(take(ixgbe::RXSTMPL, ixgbe::RXSTMPH), first);
  EXPECT_FALSE(latched());
  receive(PtpFrame{.sequence = 0x1236}.bytes());
  EXPECT_TRUE(latched());
  EXPECT_EQ(ring[2].status & ReceiveStatus::TS, ReceiveStatus::TS);
}

TEST_F(TimeStampsTest, StampsTheMessagesThatAreNamed) {
  ReceiveRing ring(nic_);
  const PtpFrame sync{.type = 0};
  const PtpFrame delay_request{.type = 1};
  const PtpFrame announce{.type = 0xB};
  PtpFrame over_udp{.type = 1, .over_udp = true};
  const PtpFrame v1{.version = 1, .control = 1, .over_udp = true};

  stamp(ixgbe::TSYNCRXCTL_TYPE_EVENT_V2);
  EXPECT_TRUE(stamps(sync));
  EXPECT_TRUE(stamps(delay_request));
  EXPECT_FALSE(stamps(announce)) << "no event";
  EXPECT_TRUE(stamps(over_udp));
  EXPECT_TRUE(stamps(PtpFrame{.vlan = 5}));
  EXPECT_FALSE(stamps(v1));
  over_udp.port = 320;
  EXPECT_FALSE(stamps(over_udp));
  over_udp.port = 319;

  const std::uint32_t port = 319u << ixgbe::RXMTRL_PORT_SHIFT;
  stamp(ixgbe::TSYNCRXCTL_TYPE_L2_V2, port | 1u << ixgbe::RXMTRL_V2_TYPE_SHIFT);
  EXPECT_FALSE(stamps(sync));
  EXPECT_TRUE(stamps(delay_request));
  EXPECT_FALSE(stamps(over_udp));
  stamp(ixgbe::TSYNCRXCTL_TYPE_L2_L4_V2, port | 1u << ixgbe::RXMTRL_V2_TYPE_SHIFT);
  EXPECT_TRUE(stamps(over_udp));
  stamp(ixgbe::TSYNCRXCTL_TYPE_L4_V1, port | 1);
  EXPECT_TRUE(stamps(v1));
  EXPECT_FALSE(stamps(over_udp));
  stamp(ixgbe::TSYNCRXCTL_TYPE_L4_V1, port | 0);
  EXPECT_FALSE(stamps(v1));
  EXPECT_EQ(nic_.counts().delivered, nic_.counts().frames);
}

TEST_F(TimeStampsTest, StampsNothingThatIsNotAskedFor) {
  ReceiveRing ring(nic_);
  EXPECT_FALSE(stamps({}));
  stamp(ixgbe::TSYNCRXCTL_TYPE_EVENT_V2);
  nic_.write(ixgbe::ETQF.offset(3), ixgbe::ETQF_EN | 0x88F7);
  EXPECT_FALSE(stamps({})) << "the ethertype is not to be stamped";
  stamp(ixgbe::TSYNCRXCTL_TYPE_EVENT_V2);
  constexpr std::size_t shortest = 14 + 34;
  for (std::size_t length = 14; length < shortest; ++length) {
    Packet cut = PtpFrame{}.bytes();
    cut.resize(length);
    receive(cut);
    ASSERT_FALSE(latched()) << "no whole header of a message: " << length;
  }
  EXPECT_TRUE(stamps({}));
}

TEST_F(TimeStampsTest, TellsOfTheStampInEveryKindOfAdvancedDescriptor) {
  stamp(ixgbe::TSYNCRXCTL_TYPE_EVENT_V2);
  nic_.write(ixgbe::ETQF.offset(3), 0);
  ReceiveRing plain(nic_);
  receive(PtpFrame{.over_udp = true}.bytes());
  ASSERT_EQ(plain.filled(), 1u);
  EXPECT_EQ(plain.info(0), 0u) << "not classified";
  EXPECT_EQ(plain[0].status & ReceiveStatus::TS, ReceiveStatus::TS);
  nic_.read(ixgbe::RXSTMPH.offset());
  nic_.write(ixgbe::RXCSUM.offset(), ixgbe::RXCSUM_PCSD);
  receive(PtpFrame{.over_udp = true}.bytes());
  ASSERT_EQ(plain.filled(), 2u);
  EXPECT_NE(plain.info(1), 0u) << "classified";
  EXPECT_EQ(plain[1].status & ReceiveStatus::TS, ReceiveStatus::TS);
}

TEST_F(TimeStampsTest, AFrameThatWaitsForItsDescriptorKeepsItsStamp) {
  stamp(ixgbe::TSYNCRXCTL_TYPE_EVENT_V2);
  ReceiveRing ring(nic_);
  nic_.write(ixgbe::SRRCTL.offset(), nic_.read(ixgbe::SRRCTL.offset()) & ~ixgbe::SRRCTL_DROP_EN);
  for (std::uint32_t i = 0; i + 1 < ReceiveRing::size; ++i) receive(Packet(60, 6));
  receive(PtpFrame{}.bytes());
  receive(PtpFrame{}.bytes());
  EXPECT_EQ(nic_.counts().waiting, 2u);
  for (std::uint32_t slot = 0; slot < 4; ++slot) ring.arm(slot);
  nic_.doorbell(ixgbe::RDT.offset()).ring(3);
  nic_.step(0);
  EXPECT_EQ(nic_.counts().waiting, 0u);
  EXPECT_EQ(ring[ReceiveRing::size - 1].status & ReceiveStatus::TS, ReceiveStatus::TS);
  EXPECT_EQ(ring[0].status & ReceiveStatus::TS, 0u);
}

TEST_F(TimeStampsTest, LatchesWhatGoesOutWhereADescriptorAsksForIt) {
  constexpr std::uint32_t stamped = ixgbe::TransmitDescriptor::TSTAMP;
  TransmitRing ring(nic_);
  const auto valid = [this] { return (nic_.read(ixgbe::TSYNCTXCTL.offset()) & ixgbe::TSYNCTXCTL_VALID) != 0; };
  const auto send = [&](std::uint32_t more) {
    ring.add(PtpFrame{}.bytes(), TransmitRing::advanced | TransmitRing::whole | more);
    ring.ring_doorbell();
    nic_.step(0);
  };
  send(stamped);
  EXPECT_FALSE(valid()) << "not enabled";
  nic_.write(ixgbe::TSYNCTXCTL.offset(), ixgbe::TSYNCTXCTL_EN);
  send(0);
  EXPECT_FALSE(valid());
  nic_.advance_time(6400);
  const std::uint64_t first = nic_.system_time();
  send(stamped);
  nic_.advance_time(6400);
  send(stamped);
  EXPECT_TRUE(valid());
  EXPECT_EQ(take(ixgbe::TXSTMPL, ixgbe::TXSTMPH), first);
  EXPECT_FALSE(valid());
  EXPECT_EQ(wire_.sent.size(), 4u);
}

}  // namespace
}  // namespace ixcap::emulator
