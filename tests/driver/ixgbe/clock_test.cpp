// The card's clock as the driver knows it: the fit is never further off than it says, which the software NIC can tell,
// and a stamp is given to the frame that it was taken of and to no other.

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include <ixcap/driver/ixgbe/clock.hpp>

#include "tests/driver/emulator/rings.hpp"
#include "tests/driver/ptp_frames.hpp"

namespace ixcap::ixgbe {
namespace {

using emulator::Drive;
using emulator::Nic;
using test::ListWire;
using test::Packet;
using test::PtpFrame;
using test::ReceiveRing;

/// What the NIC's clock really says lies between what the fit makes of a moment before and of one after, give or take
/// the error that it admits.
void expect_bounded(const Nic& nic, const Clock& clock) {
  const ClockFit fit = clock.fit();
  const std::uint64_t before = read_tsc();
  const std::uint64_t truth = fit.stamp_to_ns(nic.system_time());
  const std::uint64_t after = read_tsc();
  constexpr double rounding_ns = 2;
  const double earliest = fit.error_at(before) + rounding_ns;
  const double latest = fit.error_at(after) + rounding_ns;
  const auto since = [truth](std::uint64_t ns) { return static_cast<double>(static_cast<std::int64_t>(truth - ns)); };
  EXPECT_GE(since(fit.to_ns(before)), -earliest);
  EXPECT_LE(since(fit.to_ns(after)), latest);
}

TEST(Clock, BoundsTheTrueErrorWhateverTheDrift) {
  for (const std::int64_t drift_ppb : {0, 50'000, -100'000, 1'000'000}) {
    Nic nic(nullptr, {}, Drive::threaded);
    nic.set_clock_drift(drift_ppb);
    Clock clock(nic);
    clock.start();
    for (int i = 0; i < 200; ++i) {
      expect_bounded(nic, clock);
      if (i % 3 == 0) clock.sample();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the bound holds however long that takes
    expect_bounded(nic, clock);
    EXPECT_GT(clock.worst_error_ns(), 0.0);
    const double ppm = clock.fit().error_ns_per_tick / clock.fit().ns_per_tick * 1e6;
    EXPECT_GT(ppm, 0.0);
  }
}

TEST(Clock, SaysWhatItIsSetTo) {
  Nic nic(nullptr, {}, Drive::threaded);
  Clock clock(nic);
  clock.start();
  constexpr std::uint64_t utc_ns = 1'800'000'000'123'456'789;
  const std::uint64_t tsc = read_tsc();
  clock.set(tsc, utc_ns);
  EXPECT_EQ(clock.fit().to_ns(tsc), utc_ns);
  clock.sample();
  const ClockFit fit = clock.fit();
  EXPECT_LE(std::abs(static_cast<double>(static_cast<std::int64_t>(fit.to_ns(tsc) - utc_ns))),
            2 * fit.error_at(tsc) + clock.worst_error_ns());
  expect_bounded(nic, clock);
}

class ClockStampsTest : public testing::Test {
 protected:
  ClockStampsTest() {
    test::bring_up(nic_);
    nic_.connect(&wire_);
    clock_.start();
  }

  void receive(const Packet& frame) {
    nic_.advance_time(6400);
    wire_.coming.push_back(frame);
    nic_.step(1);
  }

  ListWire wire_;
  Nic nic_{nullptr, {}, Drive::stepped};
  Clock clock_{nic_};
};

TEST_F(ClockStampsTest, GivesEachStampToItsFrameAmongManyOthers) {
  std::mt19937 random(11);
  std::uint64_t stamped = 0;
  std::uint64_t messages = 0;
  std::uint16_t sequence = 0;
  for (int round = 0; round < 200; ++round) {
    ReceiveRing ring(nic_);
    std::vector<std::uint64_t> when;
    std::vector<bool> is_message;
    for (std::uint32_t slot = 0; slot + 1 < ReceiveRing::size; ++slot) {
      is_message.push_back(random() % 8 == 0);
      Packet frame(60 + random() % 1000, 6);
      frame[0] = 2;
      if (is_message.back()) frame = PtpFrame{.sequence = sequence++, .over_udp = random() % 2 == 0}.bytes();
      receive(frame);
      when.push_back(clock_.fit().stamp_to_ns(nic_.system_time()));
      messages += is_message.back() ? 1 : 0;
      const std::uint32_t seen = random() % 2 == 0 ? slot : 0;  // the driver is behind, or it is not
      if (!ring.done(seen) || (ring[seen].status & ReceiveStatus::TS) == 0) continue;
      ring[seen].status &= ~ReceiveStatus::TS;
      const auto stamp = clock_.take_received(ring.bytes(seen));
      ASSERT_TRUE(is_message[seen]);
      ASSERT_EQ(stamp, when[seen]);
      ++stamped;
    }
    for (std::uint32_t slot = 0; slot + 1 < ReceiveRing::size; ++slot) {
      if ((ring[slot].status & ReceiveStatus::TS) == 0) continue;
      ASSERT_EQ(clock_.take_received(ring.bytes(slot)), when[slot]);
      ++stamped;
    }
    EXPECT_EQ(clock_.take_received(ring.bytes(0)), std::nullopt) << "the latch is empty";
    nic_.write(RXDCTL.offset(), 0);
  }
  EXPECT_GT(stamped, 300u);
  EXPECT_LT(stamped, messages) << "some came while the latch was full";
  EXPECT_EQ(clock_.unmatched(), 0u);
}

TEST_F(ClockStampsTest, GivesNoFrameAnothersStamp) {
  ReceiveRing ring(nic_);
  receive(PtpFrame{.sequence = 5}.bytes());
  EXPECT_EQ(clock_.take_received(PtpFrame{.sequence = 6}.bytes()), std::nullopt);
  EXPECT_EQ(clock_.take_received(Packet(60, 6)), std::nullopt) << "no message at all";
  EXPECT_NE(clock_.take_received(PtpFrame{.sequence = 5}.bytes()), std::nullopt) << "it has stayed for its own";
  receive(PtpFrame{.sequence = 8}.bytes());
  EXPECT_NE(clock_.take_received(PtpFrame{.sequence = 8}.bytes()), std::nullopt) << "the latch was emptied";
  EXPECT_EQ(clock_.unmatched(), 0u);
  for (std::size_t length = 0; length < 60; ++length) {
    receive(PtpFrame{.sequence = 9}.bytes());
    Packet cut = PtpFrame{.sequence = 9, .over_udp = length % 2 == 0}.bytes();
    cut.resize(std::min(cut.size(), length));
    clock_.take_received(cut);  // whatever it is, nothing beyond it is read
  }
}

TEST_F(ClockStampsTest, EmptiesALatchWhoseFrameNeverCame) {
  ReceiveRing ring(nic_);
  receive(PtpFrame{.sequence = 5}.bytes());
  for (int i = 0; i < 200 && (nic_.read(TSYNCRXCTL.offset()) & TSYNCRXCTL_VALID) != 0; ++i) clock_.sample();
  EXPECT_EQ(nic_.read(TSYNCRXCTL.offset()) & TSYNCRXCTL_VALID, 0u);
  EXPECT_EQ(clock_.unmatched(), 1u);
}

TEST_F(ClockStampsTest, TakesTheStampOfWhatWasSent) {
  test::TransmitRing ring(nic_);
  EXPECT_EQ(clock_.take_transmitted(), std::nullopt);
  ring.add(PtpFrame{}.bytes(), test::TransmitRing::advanced | test::TransmitRing::whole | TransmitDescriptor::TSTAMP);
  ring.ring_doorbell();
  nic_.advance_time(12345);
  nic_.step(0);
  EXPECT_EQ(clock_.take_transmitted(), clock_.fit().stamp_to_ns(nic_.system_time()));
  EXPECT_EQ(clock_.take_transmitted(), std::nullopt);
}

}  // namespace
}  // namespace ixcap::ixgbe
