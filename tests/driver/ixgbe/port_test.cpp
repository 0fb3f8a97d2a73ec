// A port comes up from any state, receives, stops, and comes up again; a card that does not answer ends in an error
// that names the register, never in a wait without end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

#include "tests/driver/list_traffic.hpp"
#include "tests/driver/stuck_device.hpp"

namespace ixcap::ixgbe {
namespace {

using namespace std::chrono_literals;
using emulator::Drive;
using emulator::Nic;
using test::make_frame;
using testing::HasSubstr;

std::unique_ptr<test::ListTraffic> frames(std::size_t count) {
  std::vector<test::ListedFrame> list;
  for (std::size_t i = 0; i < count; ++i) list.push_back(make_frame(60 + static_cast<std::uint32_t>(i % 1000)));
  return std::make_unique<test::ListTraffic>(std::move(list));
}

TEST(Port, IsPassiveAndReceivesEverythingUnchanged) {
  Nic nic(nullptr, {}, Drive::stepped);
  const Port port(nic, {});
  EXPECT_EQ(nic.read(FCCFG.offset()), 0u) << "no pause frames sent";
  EXPECT_EQ(nic.read(DMATXCTL.offset()) & DMATXCTL_TE, 0u) << "transmit stays off";
  EXPECT_EQ(nic.read(RXDCTL.offset()) & RXDCTL_VME, 0u) << "VLAN tags stay";
  EXPECT_EQ(nic.read(FCTRL.offset()), FCTRL_UPE | FCTRL_MPE | FCTRL_BAM);
  EXPECT_EQ(nic.read(DCA_RXCTRL.offset()) & DCA_RXCTRL_RESERVED_12, 0u);
  EXPECT_EQ(nic.read(EIMS.offset()), 0u);
}

TEST(Port, ReadsTheMacAddressThatTheCardLoaded) {
  Nic nic(nullptr, {}, Drive::stepped);
  EXPECT_EQ(Port(nic, {}).mac_address(), (MacAddress{0x02, 0x00, 0x63, 0x78, 0x99, 0x25}));
  Nic third(nullptr, {}, Drive::stepped, 2);
  EXPECT_EQ(Port(third, {}).mac_address(), (MacAddress{0x02, 0x00, 0x63, 0x78, 0x99, 0x27}));
}

TEST(Port, ReceivesOnlyBetweenStartAndStop) {
  Nic nic(frames(100), {}, Drive::stepped);
  Port port(nic, {});
  EXPECT_EQ(nic.step(10), 0u) << "not started";
  port.start_receiving();
  EXPECT_EQ(nic.step(10), 10u);
  port.stop_receiving();
  EXPECT_EQ(nic.step(10), 0u) << "stopped";
  Frame lent[batch_size];
  EXPECT_EQ(port.queue().poll(lent), 10u) << "what came before the stop is still there";
  port.queue().release();
  port.start_receiving();
  EXPECT_EQ(nic.step(1000), 90u);
}

TEST(Port, ComesUpAgainAfterADriverThatLeftItRunning) {
  Nic nic(frames(30), {}, Drive::stepped);
  for (int round = 0; round < 3; ++round) {
    Port port(nic, {});
    EXPECT_EQ(port.wait_for_link(1000ms).bits_per_second, 10'000'000'000u);
    port.start_receiving();
    EXPECT_EQ(nic.step(10), 10u);
    Frame lent[batch_size];
    EXPECT_EQ(port.queue().poll(lent), 10u);
  }
}

TEST(Port, CountsInSixtyFourBitsWhatTheRegistersForget) {
  Nic nic(frames(50), {}, Drive::stepped);
  Port port(nic, {});
  port.start_receiving();
  for (int i = 0; i < 5; ++i) {
    nic.step(10);
    port.statistics().update();
  }
  const Statistics& total = port.statistics().total();
  EXPECT_EQ(total.total_packets, 50u);
  EXPECT_EQ(total.good_packets, 50u);
  EXPECT_EQ(total.all_queues().packets, 50u);
  EXPECT_EQ(total.all_queues().bytes, nic.counts().bytes + 50 * 4) << "octet counters include the FCS";
  EXPECT_EQ(total.total_bytes, total.good_bytes);
}

TEST(Port, KeepsTheFcsWhereItIsAskedFor) {
  Nic nic(frames(10), {}, Drive::stepped);
  Port port(nic, {.keep_fcs = true});
  port.start_receiving();
  nic.step(10);
  Frame lent[batch_size];
  ASSERT_EQ(port.queue().poll(lent), 10u);
  for (std::uint32_t i = 0; i < 10; ++i) EXPECT_EQ(lent[i].captured_length, 60 + i + fcs_bytes);
}

TEST(Port, TakesTheLongestFrameWithItsFcs) {
  std::vector<test::ListedFrame> longest{make_frame(longest_frame)};
  Nic nic(std::make_unique<test::ListTraffic>(std::move(longest)), {}, Drive::stepped);
  Port port(nic, {.keep_fcs = true});
  port.start_receiving();
  nic.step(1);
  Frame lent[batch_size];
  ASSERT_EQ(port.queue().poll(lent), 1u);
  EXPECT_EQ(lent[0].captured_length, longest_frame + fcs_bytes);
  EXPECT_EQ(port.queue().malformed(), 0u);
}

TEST(Port, StoresBadFramesOnlyWhereTheyAreAskedFor) {
  Nic nic(nullptr, {}, Drive::stepped);
  {
    const Port port(nic, {});
    EXPECT_EQ(nic.read(FCTRL.offset()) & FCTRL_SBP, 0u);
  }
  {
    const Port port(nic, {.bad_frames = true});
    EXPECT_NE(nic.read(FCTRL.offset()) & FCTRL_SBP, 0u);
  }
}

TEST(Port, LeavesLaserAndLinkModeAsItFoundThem) {
  Nic nic(nullptr, {}, Drive::stepped);
  for (const std::uint32_t laser : {ESDP_SDP3, 0u}) {
    nic.write(ESDP.offset(), laser);
    const std::uint32_t autoc = nic.read(AUTOC.offset()) ^ AUTOC_FLU;
    nic.write(AUTOC.offset(), autoc);
    {
      Port port(nic, {});
      EXPECT_TRUE(port.wait_for_link(1000ms).up) << "whatever it found";
    }
    EXPECT_EQ(nic.read(ESDP.offset()) & ESDP_SDP3, laser);
    EXPECT_EQ(nic.read(AUTOC.offset()), autoc);
  }
}

TEST(Port, StaysSilentWhenItsQueuesStarve) {
  Nic nic(nullptr, {}, Drive::stepped);
  // What a driver before may have left: pause frames at a level that is soon reached.
  nic.write(FCCFG.offset(), FCCFG_TFCE_LINK);
  for (std::uint32_t i = 0; i < FCRTH.count; ++i) nic.write(FCRTH.offset(i), FCRTH_FCEN | 64);
  Nic starved(frames(100'000), {emulator::Rate::Unit::bits_per_second, 10e9}, Drive::stepped);
  for (Nic* const card : {&nic, &starved}) {
    Port port(*card, {.descriptors = fewest_descriptors});
    EXPECT_EQ(card->read(FCCFG.offset()), 0u);
    EXPECT_EQ(card->read(MFLCN.offset()), MFLCN_PMCF) << "pause frames are captured, not obeyed";
    for (std::uint32_t i = 0; i < FCRTH.count; ++i) EXPECT_EQ(card->read(FCRTH.offset(i)), 0u);
    port.start_receiving();
    while (card->step(1000) != 0) {
    }
    port.stop_receiving();
    EXPECT_EQ(card->transmit_counts().packets, 0u);
    EXPECT_EQ(card->read(LXOFFTXC.offset()), 0u);
    EXPECT_EQ(card->read(LXONTXC.offset()), 0u);
  }
  EXPECT_GT(starved.counts().no_descriptor, 0u);
}

struct StuckCase {
  const Register& reg;
  std::uint32_t mask;
  std::uint32_t bits;
  const char* step;
};

class PortOnAStuckCard : public testing::TestWithParam<StuckCase> {};

TEST_P(PortOnAStuckCard, EndsInAnErrorThatNamesTheRegister) {
  const StuckCase& stuck = GetParam();
  Nic nic(nullptr, {}, Drive::stepped);
  test::StuckDevice device(nic);
  device.stick(stuck.reg, stuck.mask, stuck.bits);
  try {
    Port port(device, {});
    port.start_receiving();
    FAIL() << "came up with " << stuck.reg.name << " stuck";
  } catch (const Error& error) {
    EXPECT_THAT(error.reason(), HasSubstr(std::string(stuck.reg.name)));
    EXPECT_THAT(error.action(), HasSubstr(stuck.step));
    EXPECT_FALSE(error.mend().empty());
  }
}

INSTANTIATE_TEST_SUITE_P(EveryHandshake, PortOnAStuckCard,
                         testing::Values(StuckCase{CTRL, CTRL_RST, CTRL_RST, "reset"},
                                         StuckCase{EEC, EEC_ARD, 0, "NVM"},
                                         StuckCase{RDRXCTL, RDRXCTL_DMAIDONE, 0, "DMA"},
                                         StuckCase{RAH, RAH_AV, 0, "MAC address"},
                                         StuckCase{RXDCTL, RXDCTL_ENABLE, 0, "enable a receive queue"},
                                         StuckCase{SECRXSTAT, SECRXSTAT_RDY, 0, "receive path"}),
                         [](const auto& test) { return std::string(test.param.reg.name); });

TEST(Port, ResetsTwiceWhenTheMasterWillNotStop) {
  Nic nic(frames(10), {}, Drive::stepped);
  test::StuckDevice device(nic);
  device.stick(STATUS, STATUS_GIO, STATUS_GIO);
  Port port(device, {});
  port.start_receiving();
  EXPECT_EQ(nic.step(10), 10u);
}

TEST(Port, SaysThatAVanishedDeviceIsGone) {
  Nic nic(nullptr, {}, Drive::stepped);
  test::StuckDevice device(nic);
  device.stick(CTRL, 0xFFFFFFFF, 0xFFFFFFFF);
  try {
    Port(device, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.reason(), HasSubstr("the device is gone"));
  }
}

TEST(Link, TimesOutNamingItsRegister) {
  Nic nic(nullptr, {}, Drive::stepped);
  test::StuckDevice device(nic);
  device.stick(LINKS, LINKS_UP, 0);
  EXPECT_FALSE(read_link(device).up);
  try {
    wait_for_link(device, 20ms);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.reason(), HasSubstr("LINKS"));
    EXPECT_THAT(error.mend(), HasSubstr("cable"));
  }
}

TEST(Link, GoesDownWithTheLaser) {
  Nic nic(nullptr, {}, Drive::stepped);
  Port port(nic, {});
  EXPECT_TRUE(port.link().up);
  set_bits(nic, ESDP, ESDP_SDP3);
  EXPECT_FALSE(port.link().up);
}

}  // namespace
}  // namespace ixcap::ixgbe
