// Records of several rings come out once, in the order of their times, as soon as that order is certain.

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>
#include <vector>

#include <ixcap/capture/merged_rings.hpp>

namespace ixcap::capture {
namespace {

constexpr RingOptions smallest = {.size_bytes = RingMemory::smallest_size_bytes};

/// A ring, its producer and the time up to which its queue is quiet.
struct Queue {
  RingMemory memory{smallest};
  RingProducer producer{memory};
  std::atomic<std::uint64_t> quiet_until_ns = 0;

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
  std::vector<MergedRings::Source> sources() const {
    std::vector<MergedRings::Source> sources;
    for (const auto& queue : all) sources.push_back({queue->memory, queue->quiet_until_ns});
    return sources;
  }
  Queue& operator[](std::size_t i) { return *all[i]; }

  std::vector<std::unique_ptr<Queue>> all;
};

std::uint64_t time_of(const Record* record) {
  return record == nullptr ? 0 : record->timestamp_ns;
}

TEST(MergedRings, OneRingIsReadAsItIs) {
  Queues queues(1);
  MergedRings rings(queues.sources());
  EXPECT_EQ(rings.next(), nullptr);
  queues[0].append(5);
  EXPECT_EQ(time_of(rings.next()), 5u) << "nobody says that it is quiet, and nobody needs to";
  queues[0].producer.close();
  EXPECT_EQ(rings.next(), nullptr);
  EXPECT_EQ(rings.state(), RingState::ended);
}

TEST(MergedRings, TheOldestComesFirst) {
  Queues queues(3);
  MergedRings rings(queues.sources());
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
  MergedRings rings(queues.sources());
  queues[0].append(100);
  EXPECT_EQ(rings.next(), nullptr);
  queues[1].quiet_until_ns = 99;
  EXPECT_EQ(rings.next(), nullptr);
  queues[1].append(99);
  EXPECT_EQ(time_of(rings.next()), 99u);
  EXPECT_EQ(rings.next(), nullptr);
  queues[1].quiet_until_ns = 100;
  EXPECT_EQ(time_of(rings.next()), 100u);
}

TEST(MergedRings, ARecordWaitsNoLongerThanItsPatience) {
  Queues queues(2);
  MergedRings rings(queues.sources());
  queues[0].append(100);
  const auto start = std::chrono::steady_clock::now();
  while (rings.next() == nullptr) {
  }
  EXPECT_GE(std::chrono::steady_clock::now() - start, MergedRings::patience);
}

TEST(MergedRings, ARingThatHasEndedHoldsNothingUp) {
  Queues queues(2);
  MergedRings rings(queues.sources());
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
  MergedRings rings(queues.sources());
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
  MergedRings rings(queues.sources());
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
    for (const auto& queue : queues.all) queue->quiet_until_ns = time;
    if (random() % 64 == 0) drain();
  }
  for (const auto& queue : queues.all) queue->producer.close();
  while (rings.state() == RingState::open) drain();
  EXPECT_EQ(read, sent);
}

}  // namespace
}  // namespace ixcap::capture
