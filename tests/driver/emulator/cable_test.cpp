// Frames cross from one software NIC to another, and from one thread to another, whole and in order; what does not fit
// is counted.

#include <gtest/gtest.h>

#include <thread>

#include <ixcap/driver/emulator/cable.hpp>
#include <ixcap/driver/emulator/frame_queue.hpp>

#include "tests/driver/emulator/rings.hpp"

namespace ixcap::emulator {
namespace {

using test::Packet;

Packet numbered(std::size_t length, std::uint32_t number) {
  Packet packet(length, static_cast<std::uint8_t>(number));
  packet[0] = 2;
  return packet;
}

TEST(FrameQueue, GivesFramesInTheirOrderWhereverTheEndIs) {
  FrameQueue queue(1024);
  std::uint32_t pushed = 0;
  std::uint32_t popped = 0;
  while (popped < 2000) {
    while (queue.push(numbered(1 + pushed * 37 % 300, pushed))) ++pushed;
    ASSERT_GT(pushed, popped);
    for (int i = 0; i < 2 && popped < pushed; ++i, ++popped) {
      const auto frame = queue.front();
      ASSERT_EQ(Packet(frame.begin(), frame.end()), numbered(1 + popped * 37 % 300, popped)) << popped;
      queue.pop();
    }
  }
}

TEST(FrameQueue, RefusesWhatDoesNotFit) {
  FrameQueue queue(1024);
  EXPECT_TRUE(queue.front().empty());
  EXPECT_FALSE(queue.push({}));
  EXPECT_FALSE(queue.push(Packet(1017)));
  EXPECT_TRUE(queue.push(Packet(1016)));
  EXPECT_FALSE(queue.push(Packet(1)));
  queue.pop();
  EXPECT_TRUE(queue.push(Packet(1)));
}

TEST(FrameQueue, CrossesThreads) {
  constexpr std::uint32_t count = 20'000;
  FrameQueue queue(4096);
  std::jthread producer([&queue] {
    for (std::uint32_t i = 0; i < count; ++i) {
      while (!queue.push(numbered(1 + i % 500, i))) std::this_thread::yield();
    }
  });
  for (std::uint32_t i = 0; i < count;) {
    const auto frame = queue.front();
    if (frame.empty()) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(frame.size(), 1 + i % 500);
    ASSERT_EQ(frame.back(), i % 500 == 0 ? 2 : static_cast<std::uint8_t>(i));
    queue.pop();
    ++i;
  }
}

TEST(Cable, JoinsTwoNics) {
  Cable cable;
  Nic left(nullptr, {}, Drive::stepped);
  Nic right(nullptr, {}, Drive::stepped);
  for (Nic* nic : {&left, &right}) test::bring_up(*nic);
  left.connect(&cable.end(0));
  right.connect(&cable.end(1));
  test::TransmitRing from_left(left);
  test::TransmitRing from_right(right);
  test::ReceiveRing to_left(left);
  test::ReceiveRing to_right(right);
  for (std::uint32_t i = 0; i < 30; ++i) {
    from_left.add(numbered(60 + i, i), test::TransmitRing::advanced | test::TransmitRing::whole);
  }
  from_right.add(numbered(1514, 99), test::TransmitRing::advanced | test::TransmitRing::whole);
  from_left.ring_doorbell();
  from_right.ring_doorbell();
  for (int i = 0; i < 2; ++i) {
    left.step(64);
    right.step(64);
  }
  ASSERT_EQ(to_right.filled(), 30u);
  EXPECT_EQ(to_right.bytes(29), numbered(89, 29));
  ASSERT_EQ(to_left.filled(), 1u);
  EXPECT_EQ(to_left.bytes(0), numbered(1514, 99));
  EXPECT_EQ(cable.lost(0), 0u);
  left.connect(nullptr);
  right.connect(nullptr);
}

TEST(Cable, JoinsTwoNicsThatRunByThemselves) {
  constexpr std::uint32_t count = test::TransmitRing::size - 1;
  Cable cable;
  Nic left(nullptr, {}, Drive::threaded);
  Nic right(nullptr, {}, Drive::threaded);
  for (Nic* nic : {&left, &right}) test::bring_up(*nic);
  left.connect(&cable.end(0));
  right.connect(&cable.end(1));
  test::TransmitRing sent(left);
  test::ReceiveRing received(right);
  for (std::uint32_t i = 0; i < count; ++i) {
    sent.add(numbered(60 + i, i), test::TransmitRing::advanced | test::TransmitRing::whole);
  }
  sent.ring_doorbell();
  while (!sent[count - 1].done() || !received.done(count - 1)) std::this_thread::yield();
  for (std::uint32_t i = 0; i < count; ++i) EXPECT_EQ(received.bytes(i), numbered(60 + i, i));
  left.connect(nullptr);
  right.connect(nullptr);
}

TEST(Cable, CountsWhatTheOtherEndLeaves) {
  Cable cable;
  const Packet frame(15'000);
  for (int i = 0; i < 1000; ++i) cable.end(1).send(frame);
  EXPECT_GT(cable.lost(1), 500u);
  std::uint64_t received = 0;
  while (!cable.end(0).receive().empty()) ++received;
  EXPECT_EQ(received + cable.lost(1), 1000u);
}

}  // namespace
}  // namespace ixcap::emulator
