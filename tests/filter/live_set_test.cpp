// Filters change under full load: every batch is answered by one set that was current, and no freed program runs.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <thread>
#include <vector>

#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/interpreter.hpp>
#include <ixcap/filter/live_set.hpp>

#include "tests/filter/packets.hpp"

namespace ixcap::filter {
namespace {

std::uint64_t answer(LiveSet::Reader& reader, const Frame& frame = {nullptr, 0, 0}) {
  std::uint64_t match_set = 0xdeadbeef;
  reader.match(std::span(&frame, 1), std::span(&match_set, 1));
  return match_set;
}

Filter everything() {
  return {Program::returning(1)};
}

TEST(LiveSet, MatchesNothingWithoutFilters) {
  LiveSet filters;
  LiveSet::Reader reader = filters.reader();
  EXPECT_EQ(answer(reader), 0u);
  const unsigned bit = filters.add(everything());
  EXPECT_EQ(bit, 0u);
  EXPECT_EQ(answer(reader), 1u);
  filters.remove(bit);
  EXPECT_EQ(answer(reader), 0u) << "the last one gone, it does not fall back to everything";
}

TEST(LiveSet, LetsAFilterKeepItsBit) {
  LiveSet filters({everything(), everything(), {compile("len = 1")}});
  LiveSet::Reader reader = filters.reader();
  EXPECT_EQ(answer(reader), 0b011u);
  filters.remove(0);
  EXPECT_EQ(answer(reader), 0b010u);
  EXPECT_EQ(filters.bits(), 0b110u);
  EXPECT_EQ(filters.add(everything()), 0u) << "the lowest that is free";
  EXPECT_EQ(filters.add(everything()), 3u);
  EXPECT_EQ(answer(reader), 0b1011u);
  filters.replace(2, everything());
  filters.replace(3, {Program::returning(0)});
  EXPECT_EQ(answer(reader), 0b0111u);
}

TEST(LiveSet, ChangesNothingWhenItRefuses) {
  LiveSet filters({everything()});
  LiveSet::Reader reader = filters.reader();
  EXPECT_THROW(filters.remove(1), Error);
  EXPECT_THROW(filters.remove(64), Error);
  EXPECT_THROW(filters.replace(7, everything()), Error);
  const auto flows = std::make_shared<FlowSet>("f", FlowKind::flows, 1);
  EXPECT_THROW(filters.add({compile("ip"), flows, {.key = KeyFrom::host}}), Error);
  EXPECT_EQ(filters.bits(), 1u);
  for (std::size_t i = 1; i < most_filters; ++i) filters.add(everything());
  EXPECT_THROW(filters.add(everything()), Error);
  EXPECT_EQ(answer(reader), ~std::uint64_t{0});
  EXPECT_THROW(LiveSet(std::vector<Filter>(most_filters + 1, everything())), Error);
}

TEST(LiveSet, HasSoManyReadersAtATime) {
  LiveSet filters({everything()});
  std::vector<LiveSet::Reader> readers;
  for (std::size_t i = 0; i < LiveSet::most_readers; ++i) readers.push_back(filters.reader());
  EXPECT_THROW(filters.reader(), Error);
  readers.pop_back();
  LiveSet::Reader again = filters.reader();
  EXPECT_EQ(answer(again), 1u);
}

constexpr unsigned swaps = 10'000;

/// Which engines have been freed, for those that still run them; and how often that was seen.
struct Graves {
  std::array<std::atomic<bool>, swaps + 8> freed = {};
  std::atomic<unsigned> made = 0;
  std::atomic<unsigned> gone = 0;
  std::atomic<unsigned> risen = 0;
};

/// Says when it runs after, or while, it is freed.
class MortalEngine final : public Engine {
 public:
  MortalEngine(Graves& graves, std::span<const Program> programs)
      : graves_(graves), number_(graves.made++), engine_(programs) {}
  ~MortalEngine() override {
    graves_.freed.at(number_) = true;
    ++graves_.gone;
  }
  void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept override {
    if (graves_.freed[number_]) ++graves_.risen;
    engine_.match(frames, match_sets);
    if (graves_.freed[number_]) ++graves_.risen;
  }

 private:
  Graves& graves_;
  unsigned number_;
  InterpreterEngine engine_;
};

/// Matches the frames whose first byte is `version` modulo 64.
Filter of_version(unsigned version) {
  return {Program::verify({{0x30, 0, 0, 0}, {0x15, 0, 1, version % 64}, {0x06, 0, 0, 1}, {0x06, 0, 0, 0}})};
}

struct Load {
  LiveSet& filters;
  std::atomic<unsigned> begun = 0;  // versions that may be seen
  std::atomic<unsigned> done = 0;   // no version below this may be seen any more
  std::atomic<bool> finished = false;
  std::atomic<int> reading = 0;
  std::atomic<std::uint64_t> batches = 0;
  std::atomic<std::uint64_t> faults = 0;

  /// Matches all the time. 64 frames, the first byte of each its number: exactly one matches, and that one tells the
  /// version that answered; it has to be one that was current during the batch.
  void match_batches() {
    LiveSet::Reader reader = filters.reader();
    std::array<std::uint8_t, batch_size> bytes;
    std::array<Frame, batch_size> frames;
    for (std::size_t f = 0; f < batch_size; ++f) {
      bytes[f] = static_cast<std::uint8_t>(f);
      frames[f] = {&bytes[f], 1, 1};
    }
    ++reading;
    while (!finished) {
      const unsigned lowest = done;
      std::array<std::uint64_t, batch_size> match_sets;
      match_sets.fill(0xdeadbeef);
      reader.match(frames, match_sets);
      const unsigned highest = begun;
      ++batches;
      const auto hit = std::ranges::find(match_sets, 1u);
      const auto version = static_cast<unsigned>(hit - match_sets.begin());
      const bool one = hit != match_sets.end() && std::ranges::count(match_sets, 0u) == batch_size - 1;
      const unsigned ahead = (version - lowest) % 64;
      if (!one || ahead > highest - lowest) ++faults;
    }
  }
};

TEST(LiveSet, SwapsTenThousandTimesUnderLoad) {
  Graves graves;
  {
    LiveSet filters({of_version(0)}, [&](std::span<const Program> programs) {
      return std::make_unique<const MortalEngine>(graves, programs);
    });
    Load load = {filters};
    std::vector<std::jthread> readers;
    for (int i = 0; i < 2; ++i) readers.emplace_back([&] { load.match_batches(); });
    while (load.reading < 2) std::this_thread::yield();
    for (unsigned version = 1; version <= swaps; ++version) {
      load.begun = version;
      filters.replace(0, of_version(version));
      load.done = version;
      ASSERT_EQ(graves.made - graves.gone, 1u) << "the one before is freed when replace returns";
    }
    const std::uint64_t batches = load.batches;
    while (load.batches < batches + 100) std::this_thread::yield();
    load.finished = true;
    readers.clear();
    EXPECT_EQ(load.faults, 0u);
    EXPECT_GT(load.batches, 100u);
    RecordProperty("batches", static_cast<int>(load.batches));
  }
  EXPECT_EQ(graves.risen, 0u) << "a freed program ran";
  EXPECT_EQ(graves.made, swaps + 1);
  EXPECT_EQ(graves.gone, swaps + 1);
}

TEST(LiveSet, IsChangedByManyThreadsAtOnce) {
  LiveSet filters({everything()});
  std::atomic<bool> finished = false;
  std::atomic<unsigned> faults = 0;
  std::jthread reading([&] {
    LiveSet::Reader reader = filters.reader();
    while (!finished) faults += (answer(reader) & 1) == 1 ? 0u : 1u;
  });
  std::vector<std::jthread> writers;
  for (int i = 0; i < 3; ++i) {
    writers.emplace_back([&] {
      for (int round = 0; round < 300; ++round) {
        const unsigned bit = filters.add({compile("len > 10")});
        filters.replace(bit, everything());
        filters.remove(bit);
      }
    });
  }
  writers.clear();
  finished = true;
  reading = {};
  EXPECT_EQ(faults, 0u) << "whoever stays matches throughout";
  EXPECT_EQ(filters.bits(), 1u);
}

TEST(LiveSet, TellsItsWatcherOfBothSidesOfAChange) {
  const Filter http = {compile("tcp port 80")};
  LiveSet filters({everything()});
  std::vector<std::size_t> counts;
  filters.watch([&](const LiveSet::Filters& told) { counts.push_back(told.size()); });
  EXPECT_EQ(counts, (std::vector<std::size_t>{1})) << "at once";
  const unsigned bit = filters.add(http);
  EXPECT_EQ(counts, (std::vector<std::size_t>{1, 2, 2}));
  filters.replace(bit, http);
  EXPECT_EQ(counts, (std::vector<std::size_t>{1, 2, 2, 3, 2})) << "what is replaced matches until the change is done";
  filters.remove(bit);
  EXPECT_EQ(counts, (std::vector<std::size_t>{1, 2, 2, 3, 2, 2, 1}));
  filters.watch({});
  filters.remove(0);
  EXPECT_EQ(counts.size(), 7u);
}

}  // namespace
}  // namespace ixcap::filter
