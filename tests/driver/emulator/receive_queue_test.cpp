// Frames from a wire into memory by every kind of descriptor and into several queues, with tags stripped, the FCS kept
// and headers split, as registers say.

#include <gtest/gtest.h>

#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/packet_builder.hpp>

#include "tests/driver/emulator/rings.hpp"

namespace ixcap::emulator {
namespace {

using Descriptor = ixgbe::ReceiveDescriptor;
using test::ListWire;
using test::Packet;
using test::ReceiveRing;

constexpr std::uint32_t done_and_whole = 3;  // DD, EOP

Packet udp_frame(std::size_t payload, std::uint16_t vlan = 0, std::uint16_t source_port = 1) {
  PacketBuilder builder(14 + (vlan != 0 ? 4 : 0) + 28 + payload);
  builder.ethernet({2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2});
  if (vlan != 0) builder.tag(0x8100, vlan);
  builder.ethertype(0x0800).ipv4({0x0A000001, 0x0A000002, protocol_udp}, udp_header + payload);
  Bytes data(payload);
  for (std::size_t i = 0; i < payload; ++i) data[i] = static_cast<std::uint8_t>(i * 5);
  builder.udp(source_port, 2, data);
  return builder.take();
}

class ReceiveQueueTest : public testing::Test {
 protected:
  ReceiveQueueTest() {
    test::bring_up(nic_);
    nic_.connect(&wire_);
    nic_.write(ixgbe::RXCSUM.offset(), ixgbe::RXCSUM_PCSD);
  }

  void receive(const Packet& frame) {
    wire_.coming.push_back(frame);
    EXPECT_EQ(nic_.step(1), 1u);
    const WireCounts wire = nic_.counts();
    EXPECT_EQ(wire.frames, wire.rejected() + wire.not_admitted + wire.discarded + wire.no_descriptor + wire.missed +
                               wire.dma_faults + wire.delivered + wire.waiting);
  }

  ListWire wire_;
  Nic nic_{nullptr, {}, Drive::stepped};
};

TEST_F(ReceiveQueueTest, SaysWhatIsInAFrame) {
  ReceiveRing ring(nic_);
  const Packet frame = udp_frame(100);
  receive(frame);
  ASSERT_EQ(ring.filled(), 1u);
  EXPECT_EQ(ring.bytes(0), frame);
  EXPECT_EQ(ring.info(0), Descriptor::type_ipv4 | Descriptor::type_udp);
  EXPECT_EQ(ring.status(0), done_and_whole | Descriptor::IPCS | Descriptor::L4CS | Descriptor::UDPCS);
}

TEST_F(ReceiveQueueTest, SaysNothingToADriverThatAsksForNothing) {
  nic_.write(ixgbe::RXCSUM.offset(), 0);
  ReceiveRing ring(nic_);
  receive(udp_frame(100));
  ASSERT_EQ(ring.filled(), 1u);
  EXPECT_EQ(ring.info(0), 0u);
  EXPECT_EQ(ring.status(0), done_and_whole);
}

TEST_F(ReceiveQueueTest, UsesSeveralBuffersForALongFrame) {
  nic_.write(ixgbe::HLREG0.offset(), nic_.read(ixgbe::HLREG0.offset()) | ixgbe::HLREG0_JUMBOEN);
  nic_.write(ixgbe::MAXFRS.offset(), 9018u << ixgbe::MAXFRS_MFS_SHIFT);
  ReceiveRing ring(nic_);
  const Packet frame = udp_frame(5000);
  receive(frame);
  ASSERT_EQ(ring.filled(), 3u);
  Packet together;
  for (std::uint32_t slot = 0; slot < 3; ++slot) {
    const Packet part = ring.bytes(slot);
    together.insert(together.end(), part.begin(), part.end());
  }
  EXPECT_EQ(together, frame);
  EXPECT_EQ(ring.status(0), 1u) << "DD, and what is said of the frame only with its end";
  EXPECT_EQ(ring.status(2) & 0xFFF, done_and_whole | Descriptor::IPCS | Descriptor::L4CS | Descriptor::UDPCS);
}

TEST_F(ReceiveQueueTest, StripsTagsWhereTheQueueSaysSo) {
  ReceiveRing ring(nic_, 0, ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER, ixgbe::RXDCTL_VME);
  Packet frame = udp_frame(100, 0x2064);
  receive(frame);
  receive(udp_frame(100));
  ASSERT_EQ(ring.filled(), 2u);
  frame.erase(frame.begin() + 12, frame.begin() + 16);
  EXPECT_EQ(ring.bytes(0), frame);
  EXPECT_EQ(ring.vlan(0), 0x2064u);
  EXPECT_NE(ring.status(0) & Descriptor::VP, 0u);
  EXPECT_EQ(ring.bytes(1), udp_frame(100));
  EXPECT_EQ(ring.status(1) & Descriptor::VP, 0u);
  EXPECT_EQ(ring.vlan(1), 0u);
}

TEST_F(ReceiveQueueTest, LeavesTagsWhereItDoesNot) {
  ReceiveRing ring(nic_);
  receive(udp_frame(100, 5));
  ASSERT_EQ(ring.filled(), 1u);
  EXPECT_EQ(ring.bytes(0), udp_frame(100, 5));
  EXPECT_EQ(ring.status(0) & Descriptor::VP, 0u);
}

TEST_F(ReceiveQueueTest, KeepsTheFcsWhenTold) {
  nic_.write(ixgbe::HLREG0.offset(), nic_.read(ixgbe::HLREG0.offset()) & ~ixgbe::HLREG0_RXCRCSTRP);
  ReceiveRing ring(nic_, 0, ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER, ixgbe::RXDCTL_VME);
  Packet frame = udp_frame(100, 5);
  const std::uint32_t fcs = frame_check_sequence(frame);
  receive(frame);
  ASSERT_EQ(ring.filled(), 1u);
  frame.erase(frame.begin() + 12, frame.begin() + 16);
  frame.resize(frame.size() + 4);
  std::memcpy(frame.data() + frame.size() - 4, &fcs, sizeof fcs);
  EXPECT_EQ(ring.bytes(0), frame) << "the FCS that it had on the wire";
}

TEST_F(ReceiveQueueTest, WritesLegacyDescriptors) {
  ReceiveRing ring(nic_, 0, ixgbe::SRRCTL_DESCTYPE_LEGACY, ixgbe::RXDCTL_VME);
  const std::uint64_t address = ring[0].address;
  for (std::uint32_t slot = 0; slot < 4; ++slot) ring[slot].status = 0;
  Packet bad = udp_frame(100, 7);
  bad.back() ^= 1;
  receive(bad);
  EXPECT_EQ(ring[0].address, address) << "a legacy descriptor keeps it";
  const std::uint64_t status = ring[0].status;
  EXPECT_EQ(status & 0xFFFF, bad.size() - 4);
  EXPECT_EQ(status >> 32 & 0xFF,
            done_and_whole | Descriptor::VP | Descriptor::IPCS | Descriptor::L4CS | Descriptor::UDPCS);
  EXPECT_EQ(status >> 40 & 0xFF, 0x40u) << "TCPE";
  EXPECT_EQ(status >> 48, 7u);
}

TEST_F(ReceiveQueueTest, SplitsHeadersFromPayload) {
  nic_.write(ixgbe::PSRTYPE.offset(), ixgbe::PSRTYPE_UDP);
  ReceiveRing ring(nic_, 0, ixgbe::SRRCTL_DESCTYPE_SPLIT);
  const Packet frame = udp_frame(100);
  receive(frame);
  Packet arp(60, 6);
  receive(arp);
  ASSERT_TRUE(ring.done(1));
  EXPECT_EQ(ring.info(0),
            Descriptor::SPH | 42u << Descriptor::header_length_shift | Descriptor::type_ipv4 | Descriptor::type_udp);
  EXPECT_TRUE(std::equal(frame.begin(), frame.begin() + 42, ring.header(0)));
  EXPECT_EQ(ring.bytes(0), Packet(frame.begin() + 42, frame.end()));
  EXPECT_EQ(ring.info(1), 0u) << "what has no such header is not split";
  EXPECT_EQ(ring.bytes(1), arp);
}

TEST_F(ReceiveQueueTest, UsesTheHeaderBufferAlwaysWhenTold) {
  nic_.write(ixgbe::PSRTYPE.offset(), ixgbe::PSRTYPE_UDP);
  ReceiveRing ring(nic_, 0, ixgbe::SRRCTL_DESCTYPE_SPLIT_ALWAYS);
  const Packet small(60, 6);
  receive(small);
  const Packet large(300, 6);
  receive(large);
  ASSERT_TRUE(ring.done(1));
  EXPECT_EQ(ring.length(0), 0u);
  EXPECT_EQ(ring.info(0), 60u << Descriptor::header_length_shift);
  EXPECT_TRUE(std::equal(small.begin(), small.end(), ring.header(0)));
  EXPECT_EQ(ring.info(1), 256u << Descriptor::header_length_shift);
  EXPECT_EQ(ring.length(1), 44u);
}

TEST_F(ReceiveQueueTest, ReportsHeadersThatDoNotFit) {
  nic_.write(ixgbe::PSRTYPE.offset(), ixgbe::PSRTYPE_UDP);
  ReceiveRing ring(nic_, 0, ixgbe::SRRCTL_DESCTYPE_SPLIT);
  nic_.write(ixgbe::SRRCTL.offset(), ixgbe::SRRCTL_DESCTYPE_SPLIT | 2);  // a header buffer of no bytes
  receive(udp_frame(100));
  ASSERT_TRUE(ring.done(0));
  EXPECT_NE(ring.status(0) & Descriptor::HBO, 0u);
  EXPECT_EQ(ring.bytes(0), udp_frame(100));
}

TEST_F(ReceiveQueueTest, SpreadsOverQueuesAndCountsThemInTheirSlots) {
  nic_.write(ixgbe::MRQC.offset(), ixgbe::MRQC_MRQE_RSS | ixgbe::MRQC_UDP_IPV4);
  for (std::uint32_t i = 0; i < 10; ++i) nic_.write(ixgbe::RSSRK.offset(i), 0x9E3779B9 * (i + 1));
  for (std::uint32_t i = 0; i < 32; ++i) nic_.write(ixgbe::RETA.offset(i), 0x01000100);
  nic_.write(ixgbe::RQSMR.offset(0), 0x00000504);
  ReceiveRing first(nic_, 0);
  ReceiveRing second(nic_, 1);
  for (std::uint16_t port = 0; port < 40; ++port) receive(udp_frame(50, 0, port));
  EXPECT_GT(first.filled(), 5u);
  EXPECT_GT(second.filled(), 5u);
  EXPECT_EQ(first.filled() + second.filled(), 40u);
  EXPECT_EQ(first.info(0) & Descriptor::rss_type_mask, Descriptor::rss_udp_ipv4);
  EXPECT_EQ(first.hash(0) % 2, 0u);
  EXPECT_EQ(second.hash(0) % 2, 1u);
  EXPECT_EQ(nic_.read(ixgbe::QPRC.offset(4)), first.filled());
  EXPECT_EQ(nic_.read(ixgbe::QPRC.offset(5)), second.filled());
  EXPECT_EQ(nic_.read(ixgbe::QBRC_L.offset(5)), second.filled() * (92 + 4));
  EXPECT_EQ(nic_.read(ixgbe::RXDGPC.offset()), 40u);
}

TEST_F(ReceiveQueueTest, FillsTheUpperQueuesToo) {
  nic_.write(ixgbe::ETQF.offset(0), 0x0800 | ixgbe::ETQF_EN);
  nic_.write(ixgbe::ETQS.offset(0), 127u << ixgbe::ETQS_QUEUE_SHIFT | ixgbe::ETQS_QEN);
  ReceiveRing ring(nic_, 127);
  receive(udp_frame(50));
  EXPECT_EQ(ring.filled(), 1u);
  EXPECT_EQ(nic_.read(ixgbe::RDH.offset(127)), 1u);
}

TEST_F(ReceiveQueueTest, DiscardsWhatBelongsToAQueueThatIsOff) {
  nic_.write(ixgbe::ETQF.offset(0), 0x0800 | ixgbe::ETQF_EN);
  nic_.write(ixgbe::ETQS.offset(0), 9u << ixgbe::ETQS_QUEUE_SHIFT | ixgbe::ETQS_QEN);
  ReceiveRing ring(nic_);
  receive(udp_frame(50));
  EXPECT_EQ(ring.filled(), 0u);
  EXPECT_EQ(nic_.counts().discarded, 1u);
}

TEST_F(ReceiveQueueTest, AdmitsATagOnTopOfTheLongestFrame) {
  ReceiveRing ring(nic_);
  receive(udp_frame(1472, 5));
  EXPECT_EQ(ring.filled(), 1u);
  receive(udp_frame(1473, 5));
  receive(udp_frame(1473));
  EXPECT_EQ(nic_.counts().oversize, 2u);
}

TEST_F(ReceiveQueueTest, OneStarvedQueueHoldsUpTheOthersWithoutDropEnable) {
  nic_.write(ixgbe::ETQF.offset(0), 0x0800 | ixgbe::ETQF_EN);
  nic_.write(ixgbe::ETQS.offset(0), 1u << ixgbe::ETQS_QUEUE_SHIFT | ixgbe::ETQS_QEN);
  ReceiveRing other(nic_, 0);
  ReceiveRing starved(nic_, 1);
  nic_.write(ixgbe::SRRCTL.offset(1), nic_.read(ixgbe::SRRCTL.offset(1)) & ~ixgbe::SRRCTL_DROP_EN);
  for (std::uint32_t i = 0; i < ReceiveRing::size; ++i) receive(udp_frame(50));
  receive(Packet(60, 6));
  EXPECT_EQ(nic_.counts().waiting, 2u);
  EXPECT_EQ(other.filled(), 0u);
  starved.arm(0);
  nic_.doorbell(ixgbe::RDT.offset(1)).ring(0);
  nic_.step(0);
  EXPECT_EQ(nic_.counts().waiting, 0u);
  EXPECT_EQ(other.filled(), 1u);
}

TEST_F(ReceiveQueueTest, LosesWhatComesWhileNobodyListens) {
  receive(udp_frame(50));
  EXPECT_EQ(nic_.counts().frames, 0u);
  EXPECT_TRUE(wire_.coming.empty());
}

TEST_F(ReceiveQueueTest, NeverWritesOutsideItsMappings) {
  for (const std::uint32_t type : {ixgbe::SRRCTL_DESCTYPE_LEGACY, ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER,
                                   ixgbe::SRRCTL_DESCTYPE_SPLIT_ALWAYS}) {
    ReceiveRing ring(nic_, 0, type);
    ring[0] = {~std::uint64_t{0} << 1, ~std::uint64_t{0} << 1};
    const std::uint64_t before = nic_.counts().dma_faults;
    receive(udp_frame(1000));
    EXPECT_EQ(nic_.counts().dma_faults, before + 1);
    EXPECT_FALSE(ring.done(0));
    nic_.write(ixgbe::RXDCTL.offset(), 0);
  }
}

}  // namespace
}  // namespace ixcap::emulator
