// What the software NIC does with a frame, by the registers, and that every frame ends in exactly one counter: the one
// the driver reads and the one that tells the truth.

#include <gtest/gtest.h>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

#include "tests/driver/emulator/rings.hpp"
#include "tests/driver/list_traffic.hpp"

namespace ixcap::emulator {
namespace {

using ixgbe::Port;
using test::ListedFrame;
using test::make_frame;

constexpr std::uint32_t small_ring = ixgbe::fewest_descriptors;
constexpr Rate timed{Rate::Unit::bits_per_second, 10e9};

ListedFrame frame_to(std::initializer_list<std::uint8_t> address, std::uint32_t vlan = 0) {
  ListedFrame frame = make_frame(64);
  std::copy(address.begin(), address.end(), frame.bytes.begin());
  frame.bytes[12] = vlan != 0 ? 0x81 : 0x08;
  frame.bytes[13] = 0;
  frame.bytes[14] = static_cast<std::uint8_t>(vlan >> 8);
  frame.bytes[15] = static_cast<std::uint8_t>(vlan);
  return frame;
}

std::unique_ptr<Traffic> traffic(std::vector<ListedFrame> frames) {
  return std::make_unique<test::ListTraffic>(std::move(frames));
}

void expect_balanced(const WireCounts& wire) {
  EXPECT_EQ(wire.frames, wire.rejected() + wire.not_admitted + wire.discarded + wire.no_descriptor + wire.missed +
                             wire.dma_faults + wire.delivered + wire.waiting);
}

TEST(ReceivePath, WaitsForDescriptorsWhenTheRateIsMax) {
  Nic nic(traffic(std::vector<ListedFrame>(200, make_frame(60))), {}, Drive::stepped);
  Port port(nic, {small_ring});
  port.start_receiving();
  EXPECT_EQ(nic.step(200), small_ring - 1) << "one descriptor always stays with the driver";
  EXPECT_EQ(nic.counts().no_descriptor, 0u);
}

TEST(ReceivePath, CountsWhatEachQueueReceivedWhateverIsReadOrReset) {
  Nic nic(traffic(std::vector<ListedFrame>(20, make_frame(60))), {}, Drive::stepped);
  Port port(nic, {small_ring});
  port.start_receiving();
  EXPECT_EQ(nic.step(10), 10u);
  port.statistics().update();
  EXPECT_EQ(nic.step(5), 5u);
  nic.write(ixgbe::CTRL.offset(), ixgbe::CTRL_RST);
  const std::vector<QueueCounts> counts = nic.receive_queue_counts();
  EXPECT_EQ(counts[0].frames, 15u);
  EXPECT_EQ(counts[0].bytes, 15u * 64u);
  EXPECT_EQ(counts[1].frames, 0u);
}

TEST(ReceivePath, CountsWhatComesWhileNobodyListens) {
  test::ListWire wire;
  wire.coming.assign(3, test::Packet(60));
  Nic nic(nullptr, {}, Drive::stepped);
  nic.connect(&wire);
  nic.step(3);
  EXPECT_EQ(nic.counts().unheard, 3u);
  EXPECT_EQ(nic.counts().frames, 0u);
}

TEST(ReceivePath, DropsAtTheQueueWhenTheWireDoesNotWait) {
  Nic nic(traffic(std::vector<ListedFrame>(200, make_frame(60))), timed, Drive::stepped);
  Port port(nic, {small_ring});
  port.start_receiving();
  EXPECT_EQ(nic.step(200), 200u);
  port.statistics().update();
  EXPECT_EQ(port.statistics().total().all_queues().no_descriptor, 200 - (small_ring - 1));
  EXPECT_EQ(port.statistics().total().all_queues().packets, small_ring - 1);
  EXPECT_EQ(nic.counts().no_descriptor, 200 - (small_ring - 1));
  expect_balanced(nic.counts());
}

TEST(ReceivePath, KeepsFramesInThePacketBufferWithoutDropEnable) {
  Nic nic(traffic(std::vector<ListedFrame>(2000, make_frame(1500))), timed, Drive::stepped);
  Port port(nic, {small_ring});
  nic.write(ixgbe::SRRCTL.offset(), nic.read(ixgbe::SRRCTL.offset()) & ~ixgbe::SRRCTL_DROP_EN);
  port.start_receiving();
  nic.step(2000);
  const std::uint64_t buffered = 512 * 1024 / 1500;
  EXPECT_EQ(nic.counts().waiting, buffered);
  EXPECT_EQ(nic.counts().missed, 2000 - buffered - (small_ring - 1));
  expect_balanced(nic.counts());

  std::size_t received = 0;
  Frame lent[batch_size];
  while (const std::size_t count = port.queue().poll(lent)) {
    received += count;
    port.queue().release();
    nic.step(1);
  }
  EXPECT_EQ(received, small_ring - 1 + buffered);
  EXPECT_TRUE(nic.traffic_ended());
  port.statistics().update();
  EXPECT_EQ(port.statistics().total().missed, nic.counts().missed);
  expect_balanced(nic.counts());
}

TEST(ReceivePath, CountsOversizeAtTheMac) {
  Nic nic(traffic({make_frame(longest_frame), make_frame(longest_frame + 1), make_frame(60'000), make_frame(60)}), {},
          Drive::stepped);
  Port port(nic, {});
  port.start_receiving();
  EXPECT_EQ(nic.step(10), 4u);
  port.statistics().update();
  EXPECT_EQ(port.statistics().total().oversize, 2u);
  EXPECT_EQ(port.statistics().total().total_packets, 4u);
  EXPECT_EQ(port.statistics().total().good_packets, 2u);
  expect_balanced(nic.counts());
}

TEST(ReceivePath, ZeroFillsWhatTheFileTruncated) {
  ListedFrame frame = make_frame(100);
  frame.bytes.resize(30);
  Nic nic(traffic({frame}), {}, Drive::stepped);
  Port port(nic, {});
  port.start_receiving();
  nic.step(1);
  Frame lent[batch_size];
  ASSERT_EQ(port.queue().poll(lent), 1u);
  EXPECT_EQ(lent[0].captured_length, 100u);
  EXPECT_TRUE(std::equal(frame.bytes.begin(), frame.bytes.end(), lent[0].data));
  EXPECT_TRUE(std::all_of(lent[0].data + 30, lent[0].data + 100, [](std::uint8_t byte) { return byte == 0; }));
  EXPECT_EQ(nic.counts().zero_filled, 1u);
}

struct Admission {
  const char* name;
  std::uint32_t fctrl;
  std::uint64_t admitted;
};

class L2Filter : public testing::TestWithParam<Admission> {};

TEST_P(L2Filter, AdmitsByDestination) {
  const std::vector<ListedFrame> frames{
      frame_to({0x02, 0x00, 0x63, 0x78, 0x99, 0x25}),  // the card's own
      frame_to({0x02, 0x00, 0x63, 0x78, 0x99, 0x26}),  // somebody else's
      frame_to({0x01, 0x00, 0x5E, 0x00, 0x00, 0x01}),  // multicast, in the table
      frame_to({0x01, 0x00, 0x5E, 0x00, 0x00, 0x02}),  // multicast, not in it
      frame_to({0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}),
  };
  Nic nic(traffic(frames), {}, Drive::stepped);
  Port port(nic, {});
  nic.write(ixgbe::FCTRL.offset(), GetParam().fctrl);
  nic.write(ixgbe::MCSTCTRL.offset(), ixgbe::MCSTCTRL_MFE);
  nic.write(ixgbe::MTA.offset(0), 1u << 16);  // vector 0x010: address bytes 4 and 5 are 00:01
  port.start_receiving();
  EXPECT_EQ(nic.step(10), frames.size());
  EXPECT_EQ(nic.counts().delivered, GetParam().admitted);
  port.statistics().update();
  EXPECT_EQ(port.statistics().total().unfiltered_packets, frames.size());
  EXPECT_EQ(port.statistics().total().good_packets, GetParam().admitted);
  expect_balanced(nic.counts());
}

INSTANTIATE_TEST_SUITE_P(Modes, L2Filter,
                         testing::Values(Admission{"exact", 0, 2}, Admission{"broadcast", ixgbe::FCTRL_BAM, 3},
                                         Admission{"multicast", ixgbe::FCTRL_MPE, 3},
                                         Admission{"unicast", ixgbe::FCTRL_UPE, 3},
                                         Admission{"all", ixgbe::FCTRL_UPE | ixgbe::FCTRL_MPE | ixgbe::FCTRL_BAM, 5}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ReceivePath, FiltersVlansByTable) {
  Nic nic(traffic({frame_to({2}, 5), frame_to({2}, 100), frame_to({2})}), {}, Drive::stepped);
  Port port(nic, {});
  nic.write(ixgbe::VLNCTRL.offset(), 0x8100 | ixgbe::VLNCTRL_VFE);
  nic.write(ixgbe::VFTA.offset(100 / 32), 1u << (100 % 32));
  port.start_receiving();
  nic.step(10);
  EXPECT_EQ(nic.counts().delivered, 2u) << "VLAN 100 and the untagged frame";
  EXPECT_EQ(nic.counts().not_admitted, 1u);
}

TEST(ReceivePath, CountsADmaFaultWhenTheRingIsNotMapped) {
  Nic nic(traffic(std::vector<ListedFrame>(3, make_frame(60))), {}, Drive::stepped);
  Port port(nic, {});
  nic.write(ixgbe::RDBAH.offset(), 0xDEAD);
  port.start_receiving();
  EXPECT_EQ(nic.step(10), 3u);
  EXPECT_EQ(nic.counts().dma_faults, 3u);
  expect_balanced(nic.counts());
}

TEST(ReceivePath, CountsADmaFaultWhenABufferIsNotMapped) {
  Nic nic(traffic(std::vector<ListedFrame>(3, make_frame(60))), {}, Drive::stepped);
  nic.enable_bus_master(true);
  const pci::DmaMemory ring(nic, 4096);
  auto* descriptors = reinterpret_cast<ixgbe::ReceiveDescriptor*>(ring.data());
  const std::uint64_t end = ring.io_address() + ring.size();
  for (std::uint32_t i = 0; i < 64; ++i) descriptors[i].arm(i == 0 ? end - 59 : end - 60);
  nic.write(ixgbe::RDBAL.offset(), static_cast<std::uint32_t>(ring.io_address()));
  nic.write(ixgbe::RDBAH.offset(), static_cast<std::uint32_t>(ring.io_address() >> 32));
  nic.write(ixgbe::RDLEN.offset(), 1024);
  nic.write(ixgbe::SRRCTL.offset(), ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER | ixgbe::SRRCTL_DROP_EN | 2);
  nic.write(ixgbe::FCTRL.offset(), ixgbe::FCTRL_UPE);
  nic.write(ixgbe::RXDCTL.offset(), ixgbe::RXDCTL_ENABLE);
  nic.write(ixgbe::RDT.offset(), 63);
  nic.write(ixgbe::RXCTRL.offset(), ixgbe::RXCTRL_RXEN);
  EXPECT_EQ(nic.step(2), 2u);
  EXPECT_EQ(nic.counts().dma_faults, 2u) << "one byte past the mapping; the head stays";
  descriptors[0].arm(end - 60);
  EXPECT_EQ(nic.step(2), 1u);
  EXPECT_EQ(nic.counts().delivered, 1u);
}

TEST(ReceivePath, IgnoresATailOutsideTheRing) {
  Nic nic(traffic(std::vector<ListedFrame>(300, make_frame(60))), {}, Drive::stepped);
  Port port(nic, {small_ring});
  port.start_receiving();
  nic.write(ixgbe::RDT.offset(), 0xFFFFFFFF);
  EXPECT_LT(nic.step(300), small_ring);
  expect_balanced(nic.counts());
}

TEST(ReceivePath, FollowsARingThatBecomesShorterWhileItRuns) {
  Nic nic(traffic(std::vector<ListedFrame>(300, make_frame(60))), {}, Drive::stepped);
  Port port(nic, {small_ring * 2});
  port.start_receiving();
  EXPECT_EQ(nic.step(100), 100u);
  nic.write(ixgbe::RDLEN.offset(), small_ring * 16);  // the head lay beyond
  nic.write(ixgbe::RDT.offset(), 10);
  nic.step(300);
  expect_balanced(nic.counts());
}

TEST(ReceivePath, CountsADmaFaultWhenBuffersHaveNoSize) {
  Nic nic(traffic({make_frame(60)}), {}, Drive::stepped);
  Port port(nic, {});
  nic.write(ixgbe::SRRCTL.offset(), ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER | ixgbe::SRRCTL_DROP_EN);
  port.start_receiving();
  EXPECT_EQ(nic.step(1), 1u);
  EXPECT_EQ(nic.counts().dma_faults, 1u);
}

TEST(ReceivePath, StopsDmaWithoutBusMaster) {
  Nic nic(traffic({make_frame(60)}), {}, Drive::stepped);
  Port port(nic, {});
  port.start_receiving();
  nic.enable_bus_master(false);
  EXPECT_EQ(nic.step(1), 0u);
}

TEST(ReceivePath, SticksAtTheMaximumOfARegister) {
  Nic nic(traffic(std::vector<ListedFrame>(3, make_frame(60))), {}, Drive::stepped);
  RegisterFile registers;
  DmaMap dma;
  ReceivePath path(registers, dma);
  registers.set(ixgbe::TPR, 0xFFFFFFFE);
  const ListedFrame frame = make_frame(60);
  for (int i = 0; i < 3; ++i) path.receive({frame.bytes.data(), 60, 60});
  path.flush_statistics();
  EXPECT_EQ(registers.read(ixgbe::TPR.offset()), 0xFFFFFFFFu);
}

TEST(ReceivePath, SortsFramesByLengthWithFcs) {
  std::vector<ListedFrame> frames;
  for (const std::uint32_t with_fcs : {64u, 65u, 127u, 128u, 255u, 256u, 511u, 512u, 1023u, 1024u, 1518u}) {
    frames.push_back(make_frame(with_fcs - 4));
  }
  Nic nic(traffic(frames), {}, Drive::stepped);
  Port port(nic, {});
  port.start_receiving();
  nic.step(20);
  EXPECT_EQ(nic.read(ixgbe::PRC64.offset()), 1u);
  EXPECT_EQ(nic.read(ixgbe::PRC127.offset()), 2u);
  EXPECT_EQ(nic.read(ixgbe::PRC255.offset()), 2u);
  EXPECT_EQ(nic.read(ixgbe::PRC511.offset()), 2u);
  EXPECT_EQ(nic.read(ixgbe::PRC1023.offset()), 2u);
  EXPECT_EQ(nic.read(ixgbe::PRC1522.offset()), 2u);
}

}  // namespace
}  // namespace ixcap::emulator
