// After a reset, by this driver or by somebody else, a port is what it was before: every register says so, frames come
// again, the counts go on, and the clock goes on from where it was.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/clock.hpp>
#include <ixcap/driver/ixgbe/hardware_filter.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

#include "tests/driver/list_traffic.hpp"
#include "tests/driver/stuck_device.hpp"

namespace ixcap::ixgbe {
namespace {

using namespace std::chrono_literals;
using emulator::Drive;
using emulator::Nic;

/// Frames of rising length.
std::unique_ptr<test::ListTraffic> frames(std::uint32_t count) {
  std::vector<test::ListedFrame> list;
  for (std::uint32_t i = 0; i < count; ++i) list.push_back(test::make_frame(60 + i));
  return std::make_unique<test::ListTraffic>(std::move(list));
}

using Snapshot = std::map<std::string, std::uint32_t>;

/// What all registers say that do not change by themselves or by being read.
Snapshot snapshot(pci::Device& device) {
  Snapshot values;
  for (const Register* const reg : register_table) {
    const bool changes = reg->access == Access::RC || reg->access == Access::RS || reg == &SYSTIML || reg == &SYSTIMH;
    for (std::uint32_t i = 0; i < reg->count && !changes; ++i) {
      values[std::string(reg->name) + "[" + std::to_string(i) + "]"] = device.read(reg->offset(i));
    }
  }
  return values;
}

/// Those that are not the same in both.
std::vector<std::string> differences(const Snapshot& before, const Snapshot& after) {
  std::vector<std::string> names;
  for (const auto& [name, value] : before) {
    if (after.at(name) != value) names.push_back(name);
  }
  return names;
}

std::size_t poll_all(RxQueue& queue) {
  Frame lent[batch_size];
  std::size_t frames = 0;
  while (const std::size_t polled = queue.poll(lent)) {
    frames += polled;
    queue.release();
  }
  return frames;
}

TEST(Restart, ProgramsEverythingAgain) {
  const HardwareRules rules{.vlans = std::bitset<vlan_count>(0x1234567),
                            .dropped_ethertypes = {0x0806, 0x8847},
                            .dropped_protocols = {FilterProtocol::sctp},
                            .only = HardwareRules::Addresses{{0x0A000001}, {0x0A000002, 0x0A000003}}};
  Nic nic(nullptr, {}, Drive::threaded);
  Port port(nic, {.queues = 3, .keep_fcs = true, .bad_frames = true, .interrupts = true});
  HardwareFilter filter(nic, 3);
  filter.apply(rules);
  Clock clock(nic);
  clock.start();
  port.start_receiving();
  const Snapshot before = snapshot(nic);
  for (const bool somebody_else : {false, true}) {
    if (somebody_else) {
      nic.reset_function();
      EXPECT_GT(differences(before, snapshot(nic)).size(), 50u);
    }
    port.restart();
    filter.restart(rules);
    clock.restart();
    port.start_receiving();
    EXPECT_EQ(differences(before, snapshot(nic)), std::vector<std::string>{});
  }
}

TEST(Restart, ReceivesAgainAndGoesOnCounting) {
  Nic nic(frames(400), {}, Drive::stepped);
  Port port(nic, {.descriptors = fewest_descriptors});
  port.start_receiving();
  std::size_t received = 0;
  for (int round = 0; round < 4; ++round) {
    EXPECT_EQ(nic.step(50), 50u);  // so that the ring is entered anywhere
    received += poll_all(port.queue());
    EXPECT_EQ(nic.step(10), 10u);  // read by nobody
    port.restart();
    Frame lent[batch_size];
    EXPECT_EQ(port.queue().poll(lent), 0u) << "what was in the ring is gone";
    EXPECT_EQ(nic.step(10), 0u) << "not started";
    port.start_receiving();
    nic.step(20);
    ASSERT_EQ(port.queue().poll(lent), 20u);
    EXPECT_EQ(lent[0].captured_length, 60u + static_cast<std::uint32_t>(round) * 80 + 60);
    port.queue().release();
    received += 20;
  }
  port.stop_receiving();
  EXPECT_EQ(received, 280u);
  EXPECT_EQ(port.statistics().total().total_packets, 320u);
  EXPECT_EQ(port.statistics().total().all_queues().packets, 320u);
}

TEST(Restart, ForgetsHalfAFrame) {
  std::vector<test::ListedFrame> list{test::make_frame(9000), test::make_frame(100)};
  Nic nic(std::make_unique<test::ListTraffic>(std::move(list)), {}, Drive::stepped);
  Port port(nic, {});
  port.start_receiving();
  nic.step(1);
  // The end of the frame is missing: the queue skips to the next.
  auto* const ring = reinterpret_cast<ReceiveDescriptor*>(port.queue().pages().data());
  for (std::uint32_t i = 0; i < longest_frame / buffer_bytes + 1; ++i) {
    ring[i].write_back(0, ReceiveStatus::of(buffer_bytes, false));
  }
  EXPECT_EQ(poll_all(port.queue()), 0u);
  port.restart();
  port.start_receiving();
  nic.step(1);
  EXPECT_EQ(poll_all(port.queue()), 1u);
}

TEST(Restart, InterruptsComeAgain) {
  Nic nic(frames(20), {}, Drive::stepped);
  Port port(nic, {.interrupts = true});
  port.start_receiving();
  for (int round = 0; round < 3; ++round) {
    port.interrupts()->arm(0);
    nic.step(1);
    EXPECT_TRUE(port.interrupts()->wait(0, 10s));
    poll_all(port.queue());
    port.interrupts()->arm(0);
    if (round == 1) nic.reset_function();
    port.restart();
    port.start_receiving();
    EXPECT_FALSE(port.interrupts()->wait(0, 0s)) << "what was armed before is forgotten";
    nic.step(1);
    EXPECT_FALSE(port.interrupts()->wait(0, 0s));
    poll_all(port.queue());
  }
}

TEST(Restart, ThatFailsNamesTheRegisterAndCanBeTriedAgain) {
  Nic nic(frames(20), {}, Drive::stepped);
  test::StuckDevice device(nic);
  Port port(device, {});
  port.start_receiving();
  device.stick(CTRL, CTRL_RST, CTRL_RST);
  EXPECT_THROW(port.restart(), Error);
  EXPECT_EQ(nic.step(1), 0u);
  EXPECT_EQ(poll_all(port.queue()), 0u);
  device.stick(CTRL, 0, 0);
  port.restart();
  port.start_receiving();
  EXPECT_EQ(nic.step(5), 5u);
  EXPECT_EQ(poll_all(port.queue()), 5u);
}

TEST(Restart, TheClockGoesOn) {
  Nic nic(nullptr, {}, Drive::threaded);
  nic.set_clock_drift(50'000);
  Port port(nic, {});
  Clock clock(nic);
  clock.start();
  clock.set(read_tsc(), 1'700'000'000'000'000'000);
  for (int round = 0; round < 3; ++round) {
    const std::uint64_t tsc = read_tsc();
    const ClockFit before = clock.fit();
    port.restart();
    clock.sample();
    EXPECT_EQ(clock.fit().reference_ns, before.reference_ns) << "a clock that stands says nothing";
    EXPECT_LT(nic.system_time() >> systim_shift, 1'000'000'000u) << "the card's clock began anew";
    clock.restart();
    const ClockFit after = clock.fit();
    const auto off = static_cast<double>(static_cast<std::int64_t>(after.to_ns(tsc) - before.to_ns(tsc)));
    EXPECT_LE(std::abs(off), before.error_at(after.reference_tsc) + after.error_at(tsc));
    EXPECT_GT(after.to_ns(read_tsc()), before.to_ns(tsc));
  }
}

}  // namespace
}  // namespace ixcap::ixgbe
