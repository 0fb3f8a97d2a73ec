// A transmit queue sends every frame once, in order, whole and long enough, over any number of turns of the ring; what
// cannot be sent is refused and counted; nothing that a device writes leads it astray.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/ixgbe/transmitter.hpp>

#include "tests/driver/emulator/rings.hpp"
#include "tests/driver/list_traffic.hpp"
#include "tests/driver/raw_device.hpp"

namespace ixcap::ixgbe {
namespace {

using emulator::Drive;
using emulator::Nic;
using test::ListedFrame;
using test::make_frame;
using test::Packet;
using testing::HasSubstr;

Frame lent(const ListedFrame& frame) {
  return {frame.bytes.data(), static_cast<std::uint32_t>(frame.bytes.size()), frame.wire_length};
}

/// The frame as it has to arrive: filled with zeros to its length, and to the shortest there may be.
Packet on_wire(const ListedFrame& frame) {
  Packet packet = frame.bytes;
  packet.resize(std::max(frame.wire_length, TxQueue::shortest_on_wire));
  return packet;
}

/// A port that sends to a list; nothing moves but in step().
struct SendingPort {
  explicit SendingPort(std::uint32_t descriptors = TxQueue::fewest_descriptors) : transmitter(nic, descriptors) {
    nic.connect(&wire);
  }
  TxQueue& queue() { return transmitter.queue(); }
  void step() { nic.step(0); }

  test::ListWire wire;
  Nic nic{nullptr, {}, Drive::stepped};
  Port port{nic, {}};
  Transmitter transmitter;
};

/// Sends `frames`, `batch` at a time, stepping the NIC whenever the ring is full.
void send_all(SendingPort& sender, const std::vector<ListedFrame>& frames, std::size_t batch) {
  std::vector<Frame> waiting;
  for (const ListedFrame& frame : frames) waiting.push_back(lent(frame));
  std::span<const Frame> left = waiting;
  while (!left.empty()) {
    const std::size_t sent = sender.queue().send(left.first(std::min(batch, left.size())));
    left = left.subspan(sent);
    if (sent == 0) sender.step();
  }
  while (sender.queue().pending() != 0) sender.step();
}

TEST(TxQueue, SendsEveryFrameOverManyTurnsOfTheRing) {
  std::vector<ListedFrame> frames;
  for (std::uint32_t i = 0; i < 1000; ++i) frames.push_back(make_frame(60 + i, static_cast<std::uint8_t>(i)));
  for (const std::size_t batch : {1u, 7u, 63u, 64u, 1000u}) {
    SendingPort sender;
    send_all(sender, frames, batch);
    ASSERT_EQ(sender.wire.sent.size(), frames.size());
    for (std::size_t i = 0; i < frames.size(); ++i) ASSERT_EQ(sender.wire.sent[i], frames[i].bytes) << i;
    EXPECT_EQ(sender.queue().counts().frames, frames.size());
    EXPECT_EQ(sender.queue().counts().padded, 0u);
    EXPECT_EQ(sender.queue().completed(), frames.size());
    EXPECT_EQ(sender.nic.transmit_counts().malformed, 0u);
  }
}

TEST(TxQueue, SendsFramesOfSeveralDescriptors) {
  std::vector<ListedFrame> frames;
  for (const std::uint32_t length : {2047u, 2048u, 2049u, 4096u, 4097u, 9000u, longest_frame, 60u, longest_frame}) {
    for (int i = 0; i < 5; ++i) frames.push_back(make_frame(length, static_cast<std::uint8_t>(length + 1)));
  }
  SendingPort sender;
  send_all(sender, frames, frames.size());
  ASSERT_EQ(sender.wire.sent.size(), frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) EXPECT_EQ(sender.wire.sent[i], frames[i].bytes) << i;
}

TEST(TxQueue, FillsWithZerosWhatIsShortOrWasNotCaptured) {
  SendingPort sender;
  const std::vector<ListedFrame> old(2 * TxQueue::fewest_descriptors, make_frame(1500, 0x55));
  send_all(sender, old, 64);  // every buffer has held something
  sender.wire.sent.clear();
  std::vector<ListedFrame> frames{make_frame(14), make_frame(59), make_frame(60), make_frame(68), make_frame(2000)};
  frames[3].wire_length = 1514;
  frames[4].wire_length = 5000;
  frames.push_back({{}, 100});
  send_all(sender, frames, 64);
  ASSERT_EQ(sender.wire.sent.size(), frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) EXPECT_EQ(sender.wire.sent[i], on_wire(frames[i])) << i;
  EXPECT_EQ(sender.queue().counts().padded, 2u);
  EXPECT_EQ(sender.queue().counts().zero_filled, 3u);
}

TEST(TxQueue, RefusesWhatTheCardCannotSend) {
  SendingPort sender;
  std::vector<ListedFrame> frames{make_frame(13), make_frame(60), make_frame(longest_frame + 1), {{}, 0}, {{}, 262144}};
  send_all(sender, frames, 64);
  ASSERT_EQ(sender.wire.sent.size(), 1u);
  const TxCounts& counts = sender.queue().counts();
  EXPECT_EQ(counts.frames, 1u);
  EXPECT_EQ(counts.bytes, 60u);
  EXPECT_EQ(counts.too_short, 2u);
  EXPECT_EQ(counts.too_long, 2u);
}

TEST(TxQueue, SendsNothingBeforeItIsCommitted) {
  SendingPort sender;
  const ListedFrame frame = make_frame(60);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(sender.queue().put(lent(frame)));
  sender.step();
  EXPECT_TRUE(sender.wire.sent.empty());
  EXPECT_EQ(sender.queue().pending(), 10u);
  sender.queue().commit();
  sender.step();
  EXPECT_EQ(sender.wire.sent.size(), 10u);
  EXPECT_EQ(sender.queue().pending(), 0u);
  EXPECT_EQ(sender.queue().send({}), 0u);
}

TEST(TxQueue, SaysWhenItIsFullAndGoesOnWhenTheCardHasSent) {
  SendingPort sender;
  const ListedFrame frame = make_frame(60);
  std::uint32_t put = 0;
  while (sender.queue().put(lent(frame))) ++put;
  EXPECT_EQ(put, TxQueue::fewest_descriptors - 1);
  EXPECT_FALSE(sender.queue().put(lent(frame)));
  sender.queue().commit();
  sender.step();
  EXPECT_TRUE(sender.queue().put(lent(frame)));
}

TEST(TxQueue, AsksForOneReportABatch) {
  test::RawDevice device;
  TxQueue queue(device, 0, TxQueue::most_descriptors);
  const auto* const ring = reinterpret_cast<const TransmitDescriptor*>(device.ring);
  const ListedFrame frame = make_frame(60);
  const std::vector<Frame> frames(batch_size + 10, lent(frame));
  EXPECT_EQ(queue.send(frames), frames.size());
  EXPECT_EQ(device.tail, frames.size()) << "one doorbell";
  std::vector<std::size_t> reports;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if ((ring[i].command & TransmitDescriptor::RS) != 0) reports.push_back(i);
    EXPECT_NE(ring[i].command & TransmitDescriptor::IFCS, 0u);
    EXPECT_EQ(ring[i].status, 60u << TransmitDescriptor::PAYLEN_shift);
  }
  EXPECT_EQ(reports, (std::vector<std::size_t>{batch_size - 1, frames.size() - 1}));
}

// A device that writes anything into the descriptors, DD above all: frames may be lost then, but memory is not.
TEST(TxQueue, SurvivesADeviceThatWritesAnything) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  test::RawDevice device;
  TxQueue queue(device, 0, TxQueue::fewest_descriptors);
  auto* const ring = reinterpret_cast<TransmitDescriptor*>(device.ring);
  const ListedFrame shorter = make_frame(60);
  const ListedFrame longer = make_frame(longest_frame);
  for (int round = 0; round < 2000; ++round) {
    for (std::uint64_t writes = random() % 8; writes > 0; --writes) {
      ring[random() % TxQueue::fewest_descriptors] = {random(), static_cast<std::uint32_t>(random()),
                                                      static_cast<std::uint32_t>(random())};
    }
    for (std::uint64_t puts = random() % 70; puts > 0; --puts) {
      if (!queue.put(lent(random() % 10 == 0 ? longer : shorter))) break;
    }
    queue.commit();
    ASSERT_LE(queue.pending(), TxQueue::fewest_descriptors - 1);
    ASSERT_LT(device.tail, TxQueue::fewest_descriptors);
  }
  EXPECT_EQ(queue.completed() + queue.pending(), queue.counts().frames);
}

TEST(TxQueue, TakesPowersOfTwoOnly) {
  test::RawDevice device;
  for (const std::uint32_t descriptors : {0u, 1u, 32u, 100u, 16384u}) {
    try {
      const TxQueue queue(device, 0, descriptors);
      FAIL() << descriptors;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("give a power of two from 64 to 8192"));
    }
  }
}

}  // namespace
}  // namespace ixcap::ixgbe
