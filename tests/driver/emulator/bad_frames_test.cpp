// Frames that arrive with errors: each counted once by the MAC, stored with what is wrong about it only where the
// driver wants that.

#include <gtest/gtest.h>

#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/damage.hpp>
#include <ixcap/driver/ixgbe/port.hpp>

#include "tests/driver/emulator/rings.hpp"
#include "tests/driver/list_traffic.hpp"

namespace ixcap::emulator {
namespace {

using Descriptor = ixgbe::ReceiveDescriptor;
using ixgbe::Statistics;
using test::ListedFrame;
using test::make_frame;
using test::ReceiveRing;

constexpr Rate timed{Rate::Unit::bits_per_second, 10e9};
constexpr std::uint32_t too_long = longest_frame + 1;

struct Kind {
  std::uint8_t damage;
  std::uint32_t length;
  std::uint64_t Statistics::*counter;
  std::uint64_t WireCounts::*truth;
  std::uint32_t errors;
};

constexpr Kind kinds[] = {
    {damage::crc, 60, &Statistics::crc_errors, &WireCounts::crc_errors, Descriptor::CE},
    {damage::symbol, 60, &Statistics::illegal_symbols, &WireCounts::illegal_symbols, Descriptor::PE},
    {damage::error_byte, 60, &Statistics::error_bytes, &WireCounts::error_bytes, Descriptor::PE},
    {damage::length, 60, &Statistics::length_errors, &WireCounts::length_errors, Descriptor::LE},
    {damage::undersize, 40, &Statistics::undersize, &WireCounts::undersize, Descriptor::USE},
    {damage::undersize | damage::crc, 40, &Statistics::fragments, &WireCounts::fragments,
     Descriptor::USE | Descriptor::CE},
    {0, too_long, &Statistics::oversize, &WireCounts::oversize, Descriptor::OSE},
    {damage::crc, too_long, &Statistics::jabber, &WireCounts::jabber, Descriptor::OSE | Descriptor::CE},
    {damage::crc | damage::symbol, 60, &Statistics::illegal_symbols, &WireCounts::illegal_symbols,
     Descriptor::PE | Descriptor::CE},
};

ListedFrame frame_of(const Kind& kind) {
  ListedFrame frame = make_frame(kind.length);
  frame.damage = kind.damage;
  return frame;
}

std::unique_ptr<Traffic> traffic(std::vector<ListedFrame> frames) {
  return std::make_unique<test::ListTraffic>(std::move(frames));
}

std::uint64_t errors_counted(const Statistics& card) {
  return card.crc_errors + card.illegal_symbols + card.error_bytes + card.length_errors + card.undersize +
         card.fragments + card.oversize + card.jabber;
}

void expect_balanced(const WireCounts& wire) {
  EXPECT_EQ(wire.frames, wire.rejected() + wire.not_admitted + wire.discarded + wire.no_descriptor + wire.missed +
                             wire.dma_faults + wire.delivered + wire.waiting);
}

TEST(BadFrames, AreCountedOnceAndGoNoFurther) {
  for (const Kind& kind : kinds) {
    Nic nic(traffic({frame_of(kind), make_frame(60)}), {}, Drive::stepped);
    ixgbe::Port port(nic, {});
    port.start_receiving();
    EXPECT_EQ(nic.step(3), 2u);
    port.statistics().update();
    const Statistics& card = port.statistics().total();
    EXPECT_EQ(card.*kind.counter, 1u);
    EXPECT_EQ(errors_counted(card), 1u);
    EXPECT_EQ(card.total_packets, 2u);
    EXPECT_EQ(card.unfiltered_packets, 1u);
    EXPECT_EQ(card.good_packets, 1u);
    EXPECT_EQ(card.all_queues().packets, 1u);
    EXPECT_EQ(nic.counts().*kind.truth, 1u);
    EXPECT_EQ(nic.counts().rejected(), 1u);
    expect_balanced(nic.counts());
    EXPECT_TRUE(nic.traffic_ended());
  }
}

TEST(BadFrames, AreStoredWithTheirErrorsWhereTheDriverWantsThem) {
  for (const std::uint32_t rxcsum : {0u, ixgbe::RXCSUM_PCSD}) {  // the short way, and the other
    for (const Kind& kind : kinds) {
      Nic nic(traffic({frame_of(kind), make_frame(60)}), {}, Drive::stepped);
      test::bring_up(nic);
      nic.write(ixgbe::FCTRL.offset(), nic.read(ixgbe::FCTRL.offset()) | ixgbe::FCTRL_SBP);
      nic.write(ixgbe::RXCSUM.offset(), rxcsum);
      nic.write(ixgbe::HLREG0.offset(), nic.read(ixgbe::HLREG0.offset()) | ixgbe::HLREG0_JUMBOEN);
      nic.write(ixgbe::MAXFRS.offset(), (longest_frame + 4) << ixgbe::MAXFRS_MFS_SHIFT);
      ReceiveRing ring(nic);
      EXPECT_EQ(nic.step(2), 2u);
      const std::uint32_t buffers = (std::min(kind.length, longest_frame) + 2047) / 2048;
      ASSERT_EQ(ring.filled(), buffers + 1);
      EXPECT_EQ(ring.status(buffers - 1) & 0xFFF00000, kind.errors);
      EXPECT_EQ(ring.status(buffers) & 0xFFF00000, 0u) << "the good one after it";
      EXPECT_EQ(ring.bytes(0)[20], frame_of(kind).bytes[20]);
      EXPECT_EQ(nic.read(ixgbe::GPRC.offset()), 1u) << "good packets";
      EXPECT_EQ(nic.counts().*kind.truth, 1u);
      EXPECT_EQ(nic.counts().bad_kept, 1u);
      EXPECT_EQ(nic.counts().rejected(), 0u);
      expect_balanced(nic.counts());
    }
  }
}

TEST(BadFrames, KeepTheirErrorsInThePacketBuffer) {
  ListedFrame bad = make_frame(60);
  bad.damage = damage::crc;
  std::vector<ListedFrame> frames(ReceiveRing::size - 1, make_frame(60));
  frames.push_back(bad);
  Nic nic(traffic(frames), timed, Drive::stepped);
  test::bring_up(nic);
  nic.write(ixgbe::FCTRL.offset(), nic.read(ixgbe::FCTRL.offset()) | ixgbe::FCTRL_SBP);
  ReceiveRing ring(nic);
  nic.write(ixgbe::SRRCTL.offset(), nic.read(ixgbe::SRRCTL.offset()) & ~ixgbe::SRRCTL_DROP_EN);
  nic.step(frames.size());
  EXPECT_EQ(nic.counts().waiting, 1u);
  nic.doorbell(ixgbe::RDT.offset()).ring(0);
  nic.step(0);
  EXPECT_EQ(ring.status(ReceiveRing::size - 1) & 0xFFF00000, Descriptor::CE);
  expect_balanced(nic.counts());
}

TEST(BadFrames, HaveAnFcsThatIsWrong) {
  ListedFrame bad = make_frame(60);
  bad.damage = damage::crc;
  Nic nic(traffic({make_frame(60), bad}), {}, Drive::stepped);
  test::bring_up(nic);
  nic.write(ixgbe::FCTRL.offset(), nic.read(ixgbe::FCTRL.offset()) | ixgbe::FCTRL_SBP);
  nic.write(ixgbe::HLREG0.offset(), nic.read(ixgbe::HLREG0.offset()) & ~ixgbe::HLREG0_RXCRCSTRP);
  ReceiveRing ring(nic);
  nic.step(2);
  const std::uint32_t right = frame_check_sequence(bad.bytes);
  for (std::uint32_t slot = 0; slot < 2; ++slot) {
    ASSERT_EQ(ring.length(slot), 64u);
    std::uint32_t fcs;
    std::memcpy(&fcs, ring.bytes(slot).data() + 60, sizeof fcs);
    EXPECT_EQ(fcs == right, slot == 0);
  }
}

TEST(BadFrames, AreNoBusinessOfTheAddressFiltersUnlessStored) {
  ListedFrame bad = make_frame(60);
  bad.bytes[0] = 0x02;  // to nobody here
  bad.damage = damage::crc;
  for (const bool stored : {false, true}) {
    Nic nic(traffic({bad}), {}, Drive::stepped);
    test::bring_up(nic);
    nic.write(ixgbe::FCTRL.offset(), stored ? ixgbe::FCTRL_SBP : 0);
    ReceiveRing ring(nic);
    nic.step(1);
    EXPECT_EQ(ring.filled(), 0u);
    EXPECT_EQ(nic.counts().not_admitted, stored ? 1u : 0u);
    expect_balanced(nic.counts());
  }
}

}  // namespace
}  // namespace ixcap::emulator
