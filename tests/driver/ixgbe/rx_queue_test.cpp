// A receive queue hands out every frame once, in order and whole, over any number of turns of the ring, and survives
// whatever a device writes into its descriptors.

#include <gtest/gtest.h>

#include <random>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/port.hpp>

#include "tests/driver/list_traffic.hpp"
#include "tests/driver/raw_device.hpp"

namespace ixcap::ixgbe {
namespace {

using emulator::Drive;
using emulator::Nic;
using test::ListedFrame;
using test::make_frame;
using test::RawDevice;

constexpr std::uint32_t small_ring = fewest_descriptors;

/// Polls until nothing more comes; checks the frames against `expected` from `position` on.
void drain_and_compare(RxQueue& queue, const std::vector<ListedFrame>& expected, std::size_t& position) {
  Frame lent[batch_size];
  while (const std::size_t count = queue.poll(lent)) {
    for (std::size_t i = 0; i < count; ++i, ++position) {
      ASSERT_LT(position, expected.size());
      ASSERT_EQ(lent[i].captured_length, expected[position].wire_length) << "frame " << position;
      ASSERT_EQ(lent[i].wire_length, lent[i].captured_length);
      const std::vector<std::uint8_t>& bytes = expected[position].bytes;
      ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), lent[i].data)) << "frame " << position;
    }
    queue.release();
  }
}

void expect_all_received(const std::vector<ListedFrame>& frames, std::size_t frames_a_step) {
  Nic nic(std::make_unique<test::ListTraffic>(frames), {}, Drive::stepped);
  Port port(nic, {small_ring});
  port.start_receiving();
  std::size_t position = 0;
  for (std::size_t i = 0; i <= frames.size() && !nic.traffic_ended(); ++i) {
    nic.step(frames_a_step);
    drain_and_compare(port.queue(), frames, position);
  }
  EXPECT_EQ(position, frames.size());
  EXPECT_EQ(port.queue().malformed(), 0u);
}

TEST(RxQueue, DeliversEveryFrameOverManyTurnsOfTheRing) {
  std::vector<ListedFrame> frames;
  for (std::uint32_t i = 0; i < 1000; ++i) frames.push_back(make_frame(60 + i, static_cast<std::uint8_t>(i)));
  for (const std::size_t step : {1u, 7u, 63u, 64u, 1000u}) expect_all_received(frames, step);
}

TEST(RxQueue, JoinsFramesOfSeveralDescriptors) {
  std::vector<ListedFrame> frames;
  for (const std::uint32_t length : {2047u, 2048u, 2049u, 4096u, 4097u, 9000u, longest_frame, 60u, longest_frame}) {
    frames.push_back(make_frame(length, static_cast<std::uint8_t>(length)));
  }
  expect_all_received(frames, 1);
  expect_all_received(frames, 100);
}

TEST(RxQueue, JoinsMoreFramesThanItHasSideBuffersFor) {
  expect_all_received(std::vector<ListedFrame>(100, make_frame(3000)), 100);
}

TEST(RxQueue, PassesOnEmptyAndShortFrames) {
  std::vector<ListedFrame> frames;
  for (std::uint32_t length = 0; length < 60; ++length) frames.push_back(make_frame(length));
  expect_all_received(frames, 60);
}

TEST(RxQueue, LendsNoMoreThanAskedFor) {
  Nic nic(std::make_unique<test::ListTraffic>(std::vector<ListedFrame>(50, make_frame(60))), {}, Drive::stepped);
  Port port(nic, {small_ring});
  port.start_receiving();
  nic.step(50);
  Frame lent[batch_size];
  EXPECT_EQ(port.queue().poll(std::span(lent).first(0)), 0u);
  EXPECT_EQ(port.queue().poll(std::span(lent).first(20)), 20u);
  port.queue().release();
  EXPECT_EQ(port.queue().poll(lent), 30u);
}

TEST(RxQueue, RefusesRingSizesThatTheCardCannotHave) {
  Nic nic(nullptr, {}, Drive::stepped);
  for (const std::uint32_t size : {0u, 1u, 32u, 100u, 1000u, 16384u, 0xFFFFFFFFu}) {
    EXPECT_THROW(Port(nic, {size}), Error) << size;
  }
}

TEST(RxQueue, CountsAFrameLongerThanItsBufferAndGoesOn) {
  RawDevice device;
  RxQueue queue(device, 0, small_ring);
  device.ring[0].write_back(0, ReceiveStatus::of(buffer_bytes + 1, true));
  device.ring[1].write_back(0, ReceiveStatus::of(60, true));
  Frame lent[batch_size];
  ASSERT_EQ(queue.poll(lent), 1u);
  EXPECT_EQ(lent[0].captured_length, 60u);
  EXPECT_EQ(queue.malformed(), 1u);
}

TEST(RxQueue, DropsAChainWithoutAnEndUpToTheNextEnd) {
  RawDevice device;
  RxQueue queue(device, 0, small_ring);
  for (int i = 0; i < 20; ++i) device.ring[i].write_back(0, ReceiveStatus::of(buffer_bytes, false));
  Frame lent[batch_size];
  EXPECT_EQ(queue.poll(lent), 0u);
  queue.release();
  EXPECT_EQ(device.tail, 19u) << "the descriptors went back although nothing was lent";
  device.ring[20].write_back(0, ReceiveStatus::of(5, true));
  device.ring[21].write_back(0, ReceiveStatus::of(60, true));
  ASSERT_EQ(queue.poll(lent), 1u);
  EXPECT_EQ(lent[0].captured_length, 60u);
  EXPECT_EQ(queue.malformed(), 1u);
}

TEST(RxQueue, WaitsForTheEndOfAFrameThatIsNotWrittenYet) {
  RawDevice device;
  RxQueue queue(device, 0, small_ring);
  device.ring[0].write_back(0, ReceiveStatus::of(buffer_bytes, false));
  Frame lent[batch_size];
  EXPECT_EQ(queue.poll(lent), 0u);
  device.ring[1].write_back(0, ReceiveStatus::of(100, true));
  ASSERT_EQ(queue.poll(lent), 1u);
  EXPECT_EQ(lent[0].captured_length, buffer_bytes + 100);
}

TEST(RxQueue, MarksFramesThatTheCardSaysSomethingAbout) {
  RawDevice device;
  RxQueue queue(device, 0, small_ring);
  const auto marked = [](std::uint32_t length, bool end, std::uint64_t marks) {
    return ReceiveStatus{ReceiveStatus::of(length, end).bits | marks};
  };
  device.ring[0].write_back(0, ReceiveStatus::of(60, true));
  device.ring[1].write_back(0, marked(60, true, ReceiveStatus::TS));
  device.ring[2].write_back(0, ReceiveStatus::of(buffer_bytes, false));
  device.ring[3].write_back(0, marked(100, true, ReceiveStatus::CE));
  device.ring[4].write_back(0, ReceiveStatus::of(61, true));
  Frame lent[batch_size];
  ASSERT_EQ(queue.poll(lent), 4u);
  EXPECT_EQ(lent[1].captured_length, 60u);
  EXPECT_EQ(lent[2].captured_length, buffer_bytes + 100);
  EXPECT_EQ(lent[3].captured_length, 61u);
  EXPECT_EQ(queue.marked(), 0b0110u);
  EXPECT_EQ(queue.status(1).bits & ReceiveStatus::MAC_errors, 0u);
  EXPECT_EQ(queue.status(2).bits & ReceiveStatus::MAC_errors, ReceiveStatus::CE);
  queue.release();
  device.ring[5].write_back(0, ReceiveStatus::of(60, true));
  ASSERT_EQ(queue.poll(lent), 1u);
  EXPECT_EQ(queue.marked(), 0u) << "of this poll, not of the one before";
}

TEST(RxQueue, JoinsNoFrameOutOfDescriptorsThatAreLent) {
  RawDevice device;
  RxQueue queue(device, 0, small_ring);
  Frame lent[batch_size];
  for (std::uint32_t i = 0; i + 3 < small_ring; ++i) device.ring[i].write_back(0, ReceiveStatus::of(60, true));
  for (std::uint32_t i = small_ring - 3; i < small_ring; ++i) {
    device.ring[i].write_back(0, ReceiveStatus::of(buffer_bytes, false));
  }
  EXPECT_EQ(queue.poll(lent), small_ring - 3) << "the chain goes on in descriptors that are lent";
  queue.release();
  EXPECT_EQ(queue.poll(lent), 0u) << "it has no end now";
  device.ring[0].write_back(0, ReceiveStatus::of(1, true));
  ASSERT_EQ(queue.poll(lent), 1u);
  EXPECT_EQ(lent[0].captured_length, 3 * buffer_bytes + 1);
}

TEST(RxQueue, SurvivesGarbageInEveryDescriptor) {
  constexpr std::uint32_t seed = 82599;
  std::mt19937_64 random(seed);
  RawDevice device;
  RxQueue queue(device, 0, small_ring);
  Frame lent[batch_size];
  std::uint64_t read = 0;
  for (int round = 0; round < 20'000; ++round) {
    for (std::uint32_t slot = 0; slot < small_ring; ++slot) {
      // Half of the words look like a write-back, so that all branches are taken.
      const std::uint64_t noise = random();
      device.ring[slot].write_back(random(), {noise & 1 ? (noise & 0x0FFF'0000'0003ull) | 1 : noise});
    }
    const std::size_t count = queue.poll(lent);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_LE(lent[i].captured_length, longest_frame);
      for (std::uint32_t byte = 0; byte < lent[i].captured_length; byte += 64) read += lent[i].data[byte];
    }
    queue.release();
    ASSERT_LT(device.tail, small_ring);
  }
  RecordProperty("seed", static_cast<int>(seed));
  EXPECT_EQ(read, 0u) << "the buffers hold zeros";
}

}  // namespace
}  // namespace ixcap::ixgbe
