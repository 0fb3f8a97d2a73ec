// The transmit path from descriptors to frames: every kind of descriptor, what is reported to the driver and when, what
// is counted, and what happens to descriptors that no driver should write.

#include <gtest/gtest.h>

#include <random>

#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/packet_builder.hpp>
#include <ixcap/driver/frame.hpp>

#include "tests/driver/emulator/rings.hpp"

namespace ixcap::emulator {
namespace {

using ixgbe::TransmitDescriptor;
using test::ListWire;
using test::Packet;
using test::TransmitRing;

constexpr std::uint32_t whole = TransmitRing::whole;
constexpr std::uint32_t advanced = TransmitRing::advanced;

Packet packet_of(std::size_t length, std::uint8_t tag = 0) {
  Packet packet(length);
  for (std::size_t i = 0; i < length; ++i) packet[i] = static_cast<std::uint8_t>(i * 3 + tag);
  packet[0] = 2;
  return packet;
}

class TransmitPathTest : public testing::Test {
 protected:
  TransmitPathTest() {
    test::bring_up(nic_);
    nic_.connect(&wire_);
  }

  /// Sends what is in `ring` and looks whether the counts are sound.
  void send(TransmitRing& ring) {
    ring.ring_doorbell();
    nic_.step(0);
    const TransmitCounts counts = nic_.transmit_counts();
    EXPECT_EQ(counts.packets, counts.sent + counts.unsent + counts.malformed + counts.dma_faults);
    EXPECT_EQ(counts.frames, wire_.sent.size());
  }

  ListWire wire_;
  Nic nic_{nullptr, {}, Drive::stepped};
};

TEST_F(TransmitPathTest, SendsALegacyDescriptorAndReportsIt) {
  TransmitRing ring(nic_);
  ring.add(packet_of(100), whole, 0x1234'5600);
  send(ring);
  ASSERT_EQ(wire_.sent.size(), 1u);
  EXPECT_EQ(wire_.sent[0], packet_of(100));
  EXPECT_EQ(ring[0].status, 0x1234'5601u) << "DD; the rest stays";
  EXPECT_EQ(nic_.read(ixgbe::TDH.offset()), 1u);
}

TEST_F(TransmitPathTest, ReportsOnlyWhereTheDriverAsksForIt) {
  TransmitRing ring(nic_);
  ring.add(packet_of(60), advanced | TransmitDescriptor::EOP | TransmitDescriptor::IFCS);
  ring.add(packet_of(60), advanced | whole, 60u << TransmitDescriptor::PAYLEN_shift);
  send(ring);
  EXPECT_EQ(wire_.sent.size(), 2u);
  EXPECT_FALSE(ring[0].done());
  EXPECT_TRUE(ring[1].done());
}

TEST_F(TransmitPathTest, GathersAPacketFromSeveralDescriptors) {
  TransmitRing ring(nic_);
  const Packet packet = packet_of(3000);
  const std::span<const std::uint8_t> bytes(packet);
  ring.add(bytes.first(14), advanced | TransmitDescriptor::IFCS);
  ring.add({}, advanced);
  ring.add(bytes.subspan(14, 1000), advanced);
  ring.add(bytes.subspan(1014), advanced | whole);
  send(ring);
  ASSERT_EQ(wire_.sent.size(), 1u);
  EXPECT_EQ(wire_.sent[0], packet);
}

TEST_F(TransmitPathTest, WaitsForTheEndOfAPacket) {
  TransmitRing ring(nic_);
  ring.add(packet_of(40), advanced | TransmitDescriptor::IFCS | TransmitDescriptor::RS);
  send(ring);
  send(ring);
  EXPECT_TRUE(wire_.sent.empty());
  EXPECT_FALSE(ring[0].done());
  ring.add(packet_of(40), advanced | whole);
  send(ring);
  ASSERT_EQ(wire_.sent.size(), 1u);
  EXPECT_EQ(wire_.sent[0].size(), 80u);
  EXPECT_TRUE(ring[0].done());
}

TEST_F(TransmitPathTest, WrapsAroundTheRing) {
  TransmitRing ring(nic_);
  for (std::uint32_t i = 0; i < 3 * TransmitRing::size; ++i) {
    ring.add(packet_of(64, static_cast<std::uint8_t>(i)), advanced | whole);
    send(ring);
  }
  ASSERT_EQ(wire_.sent.size(), 3 * TransmitRing::size);
  EXPECT_EQ(wire_.sent.back(), packet_of(64, 3 * TransmitRing::size - 1));
}

TEST_F(TransmitPathTest, WritesTheHeadBackInsteadOfDescriptors) {
  TransmitRing ring(nic_);
  const std::uint64_t address = ring.memory().io_address() + TransmitRing::head_offset;
  nic_.write(ixgbe::TDWBAH.offset(), static_cast<std::uint32_t>(address >> 32));
  nic_.write(ixgbe::TDWBAL.offset(), static_cast<std::uint32_t>(address) | ixgbe::TDWBAL_HEAD_WB_EN);
  for (int i = 0; i < 3; ++i) ring.add(packet_of(60), advanced | whole);
  send(ring);
  std::uint32_t head = 0;
  std::memcpy(&head, ring.memory().data() + TransmitRing::head_offset, sizeof head);
  EXPECT_EQ(head, 3u);
  EXPECT_FALSE(ring[2].done());

  nic_.write(ixgbe::TDWBAH.offset(), 0xDEAD);
  ring.add(packet_of(60), advanced | whole);
  send(ring);
  EXPECT_EQ(nic_.transmit_counts().write_back_faults, 1u);
  EXPECT_EQ(wire_.sent.size(), 4u);
}

TEST_F(TransmitPathTest, SendsFromEveryQueue) {
  std::vector<std::unique_ptr<TransmitRing>> rings;
  for (const std::uint32_t queue : {0u, 1u, 63u, 64u, 127u}) {
    rings.push_back(std::make_unique<TransmitRing>(nic_, queue));
    rings.back()->add(packet_of(60, static_cast<std::uint8_t>(queue)), advanced | whole);
    rings.back()->ring_doorbell();
  }
  nic_.step(0);
  ASSERT_EQ(wire_.sent.size(), 5u);
  EXPECT_EQ(wire_.sent[4], packet_of(60, 127));
}

TEST_F(TransmitPathTest, InsertsVlanTags) {
  TransmitRing ring(nic_);
  ring.add(packet_of(60), whole | TransmitDescriptor::VLE, 0x0064'0000);
  ring.add_context({.mac_length = 14, .vlan = 0x2005});
  ring.add(packet_of(60), advanced | whole | TransmitDescriptor::VLE);
  ring.add_context({.mac_length = 14, .vlan = 7}, 1);
  ring.add(packet_of(60), advanced | whole | TransmitDescriptor::VLE, 1u << TransmitDescriptor::IDX_shift);
  ring.add(packet_of(60), advanced | whole | TransmitDescriptor::VLE);
  send(ring);
  ASSERT_EQ(wire_.sent.size(), 4u);
  const std::uint16_t tags[] = {0x0064, 0x2005, 7, 0x2005};
  for (std::size_t i = 0; i < 4; ++i) {
    Packet expected = packet_of(60);
    const std::uint8_t tag[] = {0x81, 0x00, static_cast<std::uint8_t>(tags[i] >> 8),
                                static_cast<std::uint8_t>(tags[i])};
    expected.insert(expected.begin() + 12, std::begin(tag), std::end(tag));
    EXPECT_EQ(wire_.sent[i], expected) << i;
  }
}

TEST_F(TransmitPathTest, PadsShortFramesWhenTold) {
  TransmitRing ring(nic_);
  ring.add(packet_of(20), advanced | whole);
  send(ring);
  nic_.write(ixgbe::HLREG0.offset(), nic_.read(ixgbe::HLREG0.offset()) & ~ixgbe::HLREG0_TXPADEN);
  ring.add(packet_of(20), advanced | whole);
  send(ring);
  ASSERT_EQ(wire_.sent.size(), 2u);
  Packet padded = packet_of(20);
  padded.resize(60);
  EXPECT_EQ(wire_.sent[0], padded);
  EXPECT_EQ(wire_.sent[1], packet_of(20));
  EXPECT_EQ(nic_.transmit_counts().padding, 40u);
}

TEST_F(TransmitPathTest, TakesTheDriversFcsIfItIsRight) {
  TransmitRing ring(nic_);
  Packet packet = packet_of(60);
  const std::uint32_t fcs = frame_check_sequence(packet);
  packet.resize(64);
  std::memcpy(packet.data() + 60, &fcs, sizeof fcs);
  const std::uint32_t command = advanced | TransmitDescriptor::EOP | TransmitDescriptor::RS;
  ring.add(packet, command);
  packet[20] ^= 1;
  ring.add(packet, command);
  send(ring);
  ASSERT_EQ(wire_.sent.size(), 1u);
  EXPECT_EQ(wire_.sent[0], packet_of(60));
  EXPECT_EQ(nic_.transmit_counts().malformed, 1u) << "no receiver would take it";
}

TEST_F(TransmitPathTest, CutsSegmentsWithTagsAndChecksums) {
  PacketBuilder builder(14 + 20 + 20 + 2500);
  builder.ethernet({2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}).ethertype(0x0800);
  builder.ipv4({0x0A000001, 0x0A000002, protocol_tcp}, 20 + 2500);
  builder.tcp({.source_port = 1, .destination_port = 2, .sequence = 100, .flags = flag_ack}, {}, Bytes(2500, 0x55));
  const Bytes packet = builder.take();
  TransmitRing ring(nic_);
  ring.add_context({.mac_length = 14,
                    .ip_length = 20,
                    .l4_length = 20,
                    .mss = 1000,
                    .vlan = 9,
                    .ipv4 = true,
                    .l4 = TransmitContext::L4::tcp});
  const std::span<const std::uint8_t> bytes(packet);
  constexpr std::uint32_t segmented = advanced | TransmitDescriptor::TSE | TransmitDescriptor::VLE;
  ring.add(bytes.first(54), segmented | TransmitDescriptor::IFCS,
           TransmitDescriptor::IXSM | TransmitDescriptor::TXSM | 2500u << TransmitDescriptor::PAYLEN_shift);
  ring.add(bytes.subspan(54), segmented | whole);
  send(ring);
  ASSERT_EQ(wire_.sent.size(), 3u);
  EXPECT_EQ(wire_.sent[0].size(), 4 + 54 + 1000u);
  EXPECT_EQ(wire_.sent[2].size(), 4 + 54 + 500u);
  EXPECT_EQ(load_big_16(wire_.sent[2].data() + 12), 0x8100);
  EXPECT_EQ(load_big_16(wire_.sent[2].data() + 14), 9);
  EXPECT_EQ(load_big_32(wire_.sent[2].data() + 18 + 20 + 4), 2100u);
  EXPECT_EQ(nic_.transmit_counts().sent, 1u);
  EXPECT_EQ(nic_.transmit_counts().frames, 3u);
}

TEST_F(TransmitPathTest, CountsInTheStatisticsRegisters) {
  nic_.write(ixgbe::TQSM.offset(0), 0x00000300);  // queue 1 counts in slot 3
  TransmitRing ring(nic_, 1);
  Packet broadcast = packet_of(60);
  std::fill_n(broadcast.begin(), 6, std::uint8_t{0xFF});
  Packet multicast = packet_of(200);
  multicast[0] = 1;
  ring.add(broadcast, advanced | whole);
  ring.add(multicast, advanced | whole);
  ring.add(packet_of(1514), advanced | whole);
  send(ring);
  constexpr std::uint32_t bytes = 64 + 204 + 1518;
  EXPECT_EQ(nic_.read(ixgbe::GPTC.offset()), 3u);
  EXPECT_EQ(nic_.read(ixgbe::GPTC.offset()), 0u) << "cleared by reading";
  EXPECT_EQ(nic_.read(ixgbe::TPT.offset()), 3u);
  EXPECT_EQ(nic_.read(ixgbe::GOTCL.offset()), bytes);
  EXPECT_EQ(nic_.read(ixgbe::GOTCH.offset()), 0u);
  EXPECT_EQ(nic_.read(ixgbe::BPTC.offset()), 1u);
  EXPECT_EQ(nic_.read(ixgbe::MPTC.offset()), 1u);
  EXPECT_EQ(nic_.read(ixgbe::PTC64.offset()), 1u);
  EXPECT_EQ(nic_.read(ixgbe::PTC255.offset()), 1u);
  EXPECT_EQ(nic_.read(ixgbe::PTC1522.offset()), 1u);
  EXPECT_EQ(nic_.read(0x06030 + 3 * 0x40), 3u) << "QPTC by the address that drivers use";
  EXPECT_EQ(nic_.read(ixgbe::QBTC_L.offset(3)), bytes);
  EXPECT_EQ(nic_.read(ixgbe::TXDGPC.offset()), 3u);
}

TEST_F(TransmitPathTest, CountsWhatEachQueueSentWhateverIsReadOrReset) {
  TransmitRing first(nic_, 1);
  TransmitRing second(nic_, 64);
  first.add(packet_of(100), advanced | whole);
  send(first);
  nic_.read(ixgbe::GPTC.offset());
  first.add(packet_of(200), advanced | whole);
  send(first);
  second.add(packet_of(20), advanced | whole);
  send(second);
  nic_.write(ixgbe::CTRL.offset(), ixgbe::CTRL_RST);
  const std::vector<QueueCounts> counts = nic_.transmit_queue_counts();
  EXPECT_EQ(counts[1].frames, 2u);
  EXPECT_EQ(counts[1].bytes, 104u + 204u);
  EXPECT_EQ(counts[64].frames, 1u);
  EXPECT_EQ(counts[64].bytes, 64u) << "with padding and FCS";
  EXPECT_EQ(counts[0].frames, 0u);
}

TEST_F(TransmitPathTest, StandsStillWithoutTransmitEnableOrBusMaster) {
  TransmitRing ring(nic_);
  ring.add(packet_of(60), advanced | whole);
  nic_.write(ixgbe::DMATXCTL.offset(), 0);
  send(ring);
  EXPECT_TRUE(wire_.sent.empty());
  nic_.write(ixgbe::DMATXCTL.offset(), ixgbe::DMATXCTL_TE);
  nic_.enable_bus_master(false);
  send(ring);
  EXPECT_TRUE(wire_.sent.empty());
  nic_.enable_bus_master(true);
  send(ring);
  EXPECT_EQ(wire_.sent.size(), 1u);
}

TEST_F(TransmitPathTest, StopsWithItsQueueAndGoesOnFromTheHead) {
  TransmitRing ring(nic_);
  ring.add(packet_of(60), advanced | whole);
  send(ring);
  nic_.write(ixgbe::TXDCTL.offset(), ixgbe::TXDCTL_SWFLSH);
  EXPECT_EQ(nic_.read(ixgbe::TXDCTL.offset()), 0u) << "off, and SWFLSH has cleared itself";
  ring.add(packet_of(60, 1), advanced | whole);
  send(ring);
  EXPECT_EQ(wire_.sent.size(), 1u);
  nic_.write(ixgbe::TXDCTL.offset(), ixgbe::TXDCTL_ENABLE);
  send(ring);
  ASSERT_EQ(wire_.sent.size(), 2u);
  EXPECT_EQ(wire_.sent[1], packet_of(60, 1));
}

TEST_F(TransmitPathTest, GivesDescriptorsBackWithoutALink) {
  TransmitRing ring(nic_);
  nic_.write(ixgbe::ESDP.offset(), ixgbe::ESDP_SDP3);  // laser off
  ring.add(packet_of(60), advanced | whole);
  send(ring);
  EXPECT_TRUE(ring[0].done());
  EXPECT_TRUE(wire_.sent.empty());
  EXPECT_EQ(nic_.transmit_counts().unsent, 1u);
  EXPECT_EQ(nic_.read(ixgbe::GPTC.offset()), 0u);
}

TEST_F(TransmitPathTest, ReceivesWhatItSendsInLoopbackEvenWithoutALink) {
  TransmitRing ring(nic_);
  test::ReceiveRing received(nic_);
  nic_.write(ixgbe::ESDP.offset(), ixgbe::ESDP_SDP3);
  nic_.write(ixgbe::HLREG0.offset(), nic_.read(ixgbe::HLREG0.offset()) | ixgbe::HLREG0_LPBK);
  for (std::uint8_t i = 0; i < 20; ++i) ring.add(packet_of(1024, i), advanced | whole);
  wire_.coming.push_back(packet_of(60));
  ring.ring_doorbell();
  nic_.step(0);
  EXPECT_TRUE(wire_.sent.empty());
  ASSERT_EQ(received.filled(), 20u);
  EXPECT_EQ(received.bytes(19), packet_of(1024, 19));
  EXPECT_EQ(nic_.read(ixgbe::GPTC.offset()), 20u);
  EXPECT_EQ(nic_.read(ixgbe::GPRC.offset()), 20u);
}

TEST_F(TransmitPathTest, NeverReadsBeyondItsMappings) {
  TransmitRing ring(nic_);
  const std::uint64_t end = ring.memory().io_address() + ring.memory().size();
  ring.put({end - 59, advanced | whole | 60, 0});
  ring.put({0, advanced | whole | 60, 0});
  ring.put({~std::uint64_t{0}, advanced | whole | 60, 0});
  ring.put({end - 60, advanced | whole | 60, 0});
  send(ring);
  EXPECT_EQ(wire_.sent.size(), 1u);
  EXPECT_EQ(nic_.transmit_counts().dma_faults, 3u);
  EXPECT_TRUE(ring[0].done()) << "a driver that waits for it goes on";
}

TEST_F(TransmitPathTest, CountsAFaultOnceWhenTheRingIsNotMapped) {
  TransmitRing ring(nic_);
  nic_.write(ixgbe::TDBAH.offset(), 0xDEAD);
  ring.add(packet_of(60), advanced | whole);
  send(ring);
  send(ring);
  EXPECT_EQ(nic_.transmit_counts().dma_faults, 1u);
}

TEST_F(TransmitPathTest, RefusesWhatNoCardCouldSend) {
  TransmitRing ring(nic_);
  ring.add(packet_of(16), advanced | whole);
  ring.add({}, advanced | whole);
  ring.add(packet_of(longest_frame + 1), advanced | whole);
  ring.add(packet_of(60), TransmitDescriptor::DEXT | whole | 7u << 20);                      // no such DTYP
  ring.add(packet_of(60), advanced | whole | TransmitDescriptor::TSE);                       // no context
  ring.add(packet_of(60), advanced | whole, TransmitDescriptor::IXSM);                       // the same
  ring.add(packet_of(60), advanced | whole, TransmitDescriptor::TXSM);                       // the same
  ring.add(packet_of(60), whole | TransmitDescriptor::IC | 59u << 16);                       // CSO at the end
  for (int i = 0; i < 5; ++i) ring.add(packet_of(0xFFFF), advanced | (i == 4 ? whole : 0));  // beyond PAYLEN
  send(ring);
  EXPECT_TRUE(wire_.sent.empty());
  EXPECT_EQ(nic_.transmit_counts().malformed, 9u);
}

TEST_F(TransmitPathTest, GivesUpAPacketThatFillsTheRingWithoutAnEnd) {
  TransmitRing ring(nic_);
  for (std::uint32_t i = 0; i + 1 < TransmitRing::size; ++i) ring.add(packet_of(20), advanced | TransmitDescriptor::RS);
  send(ring);
  EXPECT_EQ(nic_.transmit_counts().malformed, 1u);
  EXPECT_TRUE(ring[0].done());
  ring.add(packet_of(60), advanced | whole);
  send(ring);
  EXPECT_EQ(wire_.sent.size(), 1u);
}

TEST_F(TransmitPathTest, IgnoresATailOutsideTheRing) {
  TransmitRing ring(nic_);
  ring.add(packet_of(60), advanced | whole);
  nic_.write(ixgbe::TDT.offset(), 0xFFFFFFF0);
  nic_.step(0);
  EXPECT_EQ(nic_.transmit_counts().packets, 0u);
  send(ring);
  EXPECT_EQ(wire_.sent.size(), 1u);
}

TEST_F(TransmitPathTest, SurvivesGarbageInItsDescriptors) {
  TransmitRing ring(nic_);
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t near_memory = ring.memory().io_address() + random() % (ring.memory().size() + 100);
      auto command = static_cast<std::uint32_t>(random());
      if (random() % 2 == 0) command = (command & ~TransmitDescriptor::DTYP_mask) | advanced;
      ring.put({random() % 4 == 0 ? random() : near_memory, command, static_cast<std::uint32_t>(random())});
    }
    ring.ring_doorbell();
    for (int pass = 0; pass < 2; ++pass) nic_.step(0);
    wire_.sent.clear();
    nic_.write(ixgbe::TXDCTL.offset(), 0);
    nic_.write(ixgbe::TDH.offset(), ring.tail());
    nic_.write(ixgbe::TXDCTL.offset(), ixgbe::TXDCTL_ENABLE);
  }
  const TransmitCounts counts = nic_.transmit_counts();
  EXPECT_GT(counts.packets, 1000u);
  EXPECT_EQ(counts.packets, counts.sent + counts.unsent + counts.malformed + counts.dma_faults);
}

}  // namespace
}  // namespace ixcap::emulator
