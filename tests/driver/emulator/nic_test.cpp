// The software NIC with its own thread: everything that comes over the wire is received in order, at full speed and at
// a rate, while registers are read from another thread.

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

#include "tests/driver/list_traffic.hpp"

namespace ixcap::emulator {
namespace {

using test::ListedFrame;
using test::make_frame;

std::vector<ListedFrame> numbered_frames(std::uint32_t count) {
  std::vector<ListedFrame> frames;
  for (std::uint32_t i = 0; i < count; ++i) frames.push_back(make_frame(60 + i % 200, static_cast<std::uint8_t>(i)));
  return frames;
}

/// Polls until the traffic has ended and the ring is empty; answers the number of frames that were as expected.
std::size_t receive_all(Nic& nic, ixgbe::Port& port, const std::vector<ListedFrame>& expected) {
  std::size_t received = 0;
  Frame lent[batch_size];
  for (bool last = false; !last;) {
    last = nic.traffic_ended();
    while (const std::size_t count = port.queue().poll(lent)) {
      for (std::size_t i = 0; i < count; ++i, ++received) {
        const ListedFrame& frame = expected[received % expected.size()];
        if (lent[i].captured_length != frame.wire_length || lent[i].data[20] != frame.bytes[20]) return received;
      }
      port.queue().release();
    }
    std::this_thread::yield();
  }
  return received;
}

TEST(Nic, DeliversEverythingInOrderAtFullSpeed) {
  const std::vector<ListedFrame> frames = numbered_frames(50'000);
  Nic nic(std::make_unique<test::ListTraffic>(frames), {}, Drive::threaded);
  ixgbe::Port port(nic, {});
  port.start_receiving();
  EXPECT_EQ(receive_all(nic, port, frames), frames.size());
  EXPECT_EQ(nic.counts().delivered, frames.size());
}

TEST(Nic, AnswersRegistersWhileTrafficFlows) {
  const std::vector<ListedFrame> frames = numbered_frames(50'000);
  Nic nic(std::make_unique<test::ListTraffic>(frames), {}, Drive::threaded);
  ixgbe::Port port(nic, {});
  port.start_receiving();
  std::jthread control([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) port.statistics().update();
  });
  EXPECT_EQ(receive_all(nic, port, frames), frames.size());
  control.request_stop();
  control.join();
  port.statistics().update();
  EXPECT_EQ(port.statistics().total().total_packets, frames.size());
}

TEST(Nic, TakesAtLeastTheWireTimeAtARate) {
  const std::vector<ListedFrame> frames = numbered_frames(10'000);
  const Rate rate{Rate::Unit::frames_per_second, 1e6};
  Nic nic(std::make_unique<test::ListTraffic>(frames), rate, Drive::threaded);
  ixgbe::Port port(nic, {ixgbe::most_descriptors});
  const auto start = std::chrono::steady_clock::now();
  port.start_receiving();
  receive_all(nic, port, frames);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::microseconds{9'999});
  const WireCounts wire = nic.counts();
  EXPECT_EQ(wire.frames, frames.size());
  EXPECT_EQ(wire.delivered + wire.no_descriptor, frames.size());
}

TEST(Nic, GivesDoorbellsForTailRegistersOnly) {
  Nic nic(nullptr, {}, Drive::stepped);
  EXPECT_NO_THROW(nic.doorbell(ixgbe::RDT.offset(5)));
  EXPECT_THROW(nic.doorbell(ixgbe::RDH.offset(5)), Error);
  EXPECT_THROW(nic.doorbell(3), Error);
}

TEST(Nic, SetsInterruptCausesAndMasksThroughTheirOwnRegisters) {
  Nic nic(nullptr, {}, Drive::stepped);
  nic.write(ixgbe::EICS.offset(), 0x5);
  EXPECT_EQ(nic.read(ixgbe::EICS.offset()), 0x5u) << "reads the causes without clearing";
  EXPECT_EQ(nic.read(ixgbe::EICR.offset()), 0x5u);
  EXPECT_EQ(nic.read(ixgbe::EICR.offset()), 0u);
  nic.write(ixgbe::EIMS.offset(), 0xF);
  nic.write(ixgbe::EIMC.offset(), 0x3);
  EXPECT_EQ(nic.read(ixgbe::EIMS.offset()), 0xCu);
}

TEST(Nic, GrantsTheEepromToWhoRequestsIt) {
  Nic nic(nullptr, {}, Drive::stepped);
  nic.write(ixgbe::EEC.offset(), ixgbe::EEC_REQ);
  EXPECT_NE(nic.read(ixgbe::EEC.offset()) & ixgbe::EEC_GNT, 0u);
  nic.write(ixgbe::EEC.offset(), 0);
  EXPECT_EQ(nic.read(ixgbe::EEC.offset()) & ixgbe::EEC_GNT, 0u);
  EXPECT_NE(nic.read(ixgbe::EEC.offset()) & ixgbe::EEC_ARD, 0u);
}

TEST(Nic, ResetPutsEverythingBack) {
  Nic nic(nullptr, {}, Drive::stepped);
  nic.write(ixgbe::FCTRL.offset(), 0x700);
  nic.write(ixgbe::RAL.offset(), 0);
  nic.write(ixgbe::CTRL.offset(), ixgbe::CTRL_GIO_DIS);
  nic.write(ixgbe::CTRL.offset(), ixgbe::CTRL_RST | ixgbe::CTRL_LNK_RST);
  EXPECT_EQ(nic.read(ixgbe::CTRL.offset()), 0u) << "self-clearing, and masters are allowed again";
  EXPECT_EQ(nic.read(ixgbe::FCTRL.offset()), 0u);
  EXPECT_NE(nic.read(ixgbe::RAL.offset()), 0u) << "loaded from the NVM";
}

}  // namespace
}  // namespace ixcap::emulator
