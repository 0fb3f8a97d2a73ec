// Records of several rings come out once, in the order of their times, as soon as that order is certain.

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <ixcap/capture/merged_rings.hpp>

namespace ixcap::capture {
namespace {

constexpr RingOptions smallest = {.size_bytes = RingMemory::smallest_size_bytes};

/// A ring and its producer, which tells up to which time its queue is quiet.
struct Queue {
  RingMemory memory{smallest};
  RingProducer producer{memory};

  bool append(std::uint64_t timestamp_ns, std::uint16_t number = 0) {
    static constexpr std::array<std::uint8_t, 60> bytes{};
    const Frame frame = {bytes.data(), bytes.size(), bytes.size()};
    const bool done = producer.append(frame, timestamp_ns, 1, number, record_time_software);
    producer.publish();
    return done;
  }
};

struct Queues {
  explicit Queues(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) all.push_back(std::make_unique<Queue>());
  }
  std::vector<RingMemory*> memories() const {
    std::vector<RingMemory*> memories;
    for (const auto& queue : all) memories.push_back(&queue->memory);
    return memories;
  }
  Queue& operator[](std::size_t i) { return *all[i]; }

  std::vector<std::unique_ptr<Queue>> all;
};

std::uint64_t time_of(const Record* record) {
  return record == nullptr ? 0 : record->timestamp_ns;
}

TEST(MergedRings, OneRingIsReadAsItIs) {
  Queues queues(1);
  MergedRings rings(queues.memories());
  EXPECT_EQ(rings.next(), nullptr);
  queues[0].append(5);
  EXPECT_EQ(time_of(rings.next()), 5u) << "nobody says that it is quiet, and nobody needs to";
  queues[0].producer.close();
  EXPECT_EQ(rings.next(), nullptr);
  EXPECT_EQ(rings.state(), RingState::ended);
}

TEST(MergedRings, TheOldestComesFirst) {
  Queues queues(3);
  MergedRings rings(queues.memories());
  queues[0].append(10);
  queues[0].append(40);
  queues[1].append(20);
  queues[1].append(50);
  queues[2].append(15);
  queues[2].append(45);
  for (const std::uint64_t expected : {10u, 15u, 20u, 40u}) EXPECT_EQ(time_of(rings.next()), expected);
  EXPECT_EQ(rings.next(), nullptr) << "an older one than 45 may come in the first ring";
}

TEST(MergedRings, ARecordWaitsUntilTheOthersAreQuietUpToItsTime) {
  Queues queues(2);
  MergedRings rings(queues.memories());
  queues[0].append(100);
  EXPECT_EQ(rings.next(), nullptr);
  queues[1].producer.set_quiet_until_ns(99);
  EXPECT_EQ(rings.next(), nullptr);
  queues[1].append(99);
  EXPECT_EQ(time_of(rings.next()), 99u);
  EXPECT_EQ(rings.next(), nullptr);
  queues[1].producer.set_quiet_until_ns(100);
  EXPECT_EQ(time_of(rings.next()), 100u);
}

TEST(MergedRings, ARecordWaitsNoLongerThanItsPatience) {
  Queues queues(2);
  MergedRings rings(queues.memories());
  queues[0].append(100);
  const auto start = std::chrono::steady_clock::now();
  while (rings.next() == nullptr) {
  }
  EXPECT_GE(std::chrono::steady_clock::now() - start, MergedRings::patience);
}

TEST(MergedRings, ARingThatHasEndedHoldsNothingUp) {
  Queues queues(2);
  MergedRings rings(queues.memories());
  queues[0].append(100);
  queues[1].producer.close();
  EXPECT_EQ(time_of(rings.next()), 100u);
  EXPECT_EQ(rings.next(), nullptr);
  EXPECT_EQ(rings.state(), RingState::open);
  queues[0].producer.close();
  EXPECT_EQ(rings.next(), nullptr);
  EXPECT_EQ(rings.state(), RingState::ended);
}

TEST(MergedRings, HasNotEndedWhileARecordWaits) {
  Queues queues(2);
  MergedRings rings(queues.memories());
  queues[0].append(100);
  queues[0].producer.close();
  EXPECT_EQ(rings.next(), nullptr);
  EXPECT_EQ(rings.state(), RingState::open);
  queues[1].producer.close();
  EXPECT_EQ(time_of(rings.next()), 100u);
}

TEST(MergedRings, EveryRecordComesOnceAndInOrderOverManyTurnsOfTheRings) {
  constexpr std::uint32_t seed = 3;
  constexpr std::uint64_t records = 200'000;
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937 random(seed);
  Queues queues(4);
  MergedRings rings(queues.memories());
  std::array<std::uint64_t, 4> sent{};
  std::array<std::uint64_t, 4> read{};
  std::uint64_t last = 0;
  std::uint64_t time = 0;
  const auto drain = [&] {
    const std::uint64_t most = random() % 200;
    for (std::uint64_t i = 0; i < most; ++i) {
      const Record* const record = rings.next();
      if (record == nullptr) break;
      ASSERT_GT(record->timestamp_ns, last);
      last = record->timestamp_ns;
      ++read[record->queue];
    }
    rings.release();
  };
  while (time < records) {
    ++time;
    const std::uint16_t number = static_cast<std::uint16_t>(random() % 8 < 5 ? 0 : random() % 4);
    while (!queues[number].append(time, number)) drain();
    ++sent[number];
    for (const auto& queue : queues.all) queue->producer.set_quiet_until_ns(time);
    if (random() % 64 == 0) drain();
  }
  for (const auto& queue : queues.all) queue->producer.close();
  while (rings.state() == RingState::open) drain();
  EXPECT_EQ(read, sent);
}

TEST(MergedRings, LossyReadersMergeInOrderToo) {
  constexpr std::uint64_t records = 20'000;
  Queues queues(3);
  MergedRings rings(queues.memories(), {.policy = ReaderPolicy::lossy});
  std::uint64_t read = 0;
  std::uint64_t last = 0;
  bool in_order = true;
  const auto drain = [&] {
    while (const Record* const record = rings.next()) {
      if (record->is_loss()) continue;
      in_order = in_order && record->timestamp_ns > last;
      last = record->timestamp_ns;
      ++read;
    }
    rings.release();
  };
  for (std::uint64_t time = 1; time <= records; ++time) {
    ASSERT_TRUE(queues[time % 3].append(time)) << "nobody is waited for";
    for (const auto& queue : queues.all) queue->producer.set_quiet_until_ns(time);
    if (time % 500 == 0 && time % 8000 > 3000) drain();  // sometimes too late
  }
  for (const auto& queue : queues.all) queue->producer.close();
  while (rings.state() == RingState::open) drain();
  EXPECT_TRUE(in_order);
  EXPECT_EQ(read + rings.lost(), records);
  EXPECT_GT(rings.lost(), 0u);
  EXPECT_GT(read, records / 2);
}

TEST(MergedRings, FramesOfOtherFiltersArePassedOver) {
  Queues queues(2);
  MergedRings everything(queues.memories());
  MergedRings nothing(queues.memories(), {.mask = 2});
  queues[0].append(1);
  queues[1].append(2);
  for (const auto& queue : queues.all) queue->producer.close();
  EXPECT_EQ(time_of(everything.next()), 1u);
  EXPECT_EQ(time_of(everything.next()), 2u);
  EXPECT_EQ(nothing.next(), nullptr);
  EXPECT_EQ(nothing.state(), RingState::ended);
}

TEST(MergedRings, ASleeperIsWokenByAnyRingAndByBreakloop) {
  constexpr std::chrono::milliseconds for_ever{-1};
  Queues queues(2);
  MergedRings rings(queues.memories());
  for (const auto& queue : queues.all) queue->producer.publish();  // admits the reader
  std::jthread breaking([&] { rings.breakloop(); });
  EXPECT_FALSE(rings.wait(for_ever));
  EXPECT_FALSE(rings.wait(std::chrono::milliseconds(0)));
  std::jthread writing([&] { queues[1].append(7); });
  EXPECT_TRUE(rings.wait(for_ever));
  writing.join();
  queues[0].producer.close();
  while (rings.next() == nullptr) EXPECT_TRUE(rings.wait(for_ever));
  rings.release();
  EXPECT_FALSE(rings.wait(std::chrono::milliseconds(0))) << "the ring that has ended keeps nobody awake";
  queues[1].producer.close();
  EXPECT_TRUE(rings.wait(for_ever)) << "an end is something to look at";
  EXPECT_EQ(rings.next(), nullptr);
  EXPECT_EQ(rings.state(), RingState::ended);
}

TEST(MergedRings, ARecordThatIsHeldBackIsLookedAfterWhileSleeping) {
  Queues queues(2);
  MergedRings rings(queues.memories());
  queues[0].append(100);
  queues[1].producer.publish();
  EXPECT_EQ(rings.next(), nullptr);
  while (rings.next() == nullptr) ASSERT_TRUE(rings.wait(std::chrono::milliseconds(-1)));
}

TEST(Packets, LossRecordsAreAddedUpAndPacketsComeOut) {
  Queues queues(1);
  MergedRings rings(queues.memories());
  std::jthread writing([&] {
    for (std::uint64_t time = 1; time <= 5000; ++time) {
      while (!queues[0].append(time)) std::this_thread::yield();
      if (time % 1000 == 0) {
        while (!queues[0].producer.append_loss(3, time, 0)) std::this_thread::yield();
      }
    }
    queues[0].producer.close();
  });
  std::uint64_t expected = 0;
  auto packets = rings.packets();
  for (const Record& packet : packets) EXPECT_EQ(packet.timestamp_ns, ++expected);
  EXPECT_EQ(expected, 5000u);
  EXPECT_EQ(packets.lost(), 15u);
}

TEST(Packets, ALoopThatIsLeftGivesItsPacketsBack) {
  Queues queues(1);
  MergedRings rings(queues.memories());
  std::uint64_t time = 0;
  while (queues[0].append(time + 1)) ++time;
  for (const Record& packet : rings.packets()) {
    if (packet.timestamp_ns == time) break;
  }
  EXPECT_TRUE(queues[0].append(time + 1)) << "there is room again";
  rings.breakloop();
  for (const Record& packet : rings.packets()) EXPECT_EQ(packet.timestamp_ns, time + 1);
}

}  // namespace
}  // namespace ixcap::capture
