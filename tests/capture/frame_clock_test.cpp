// Frames of a batch are stamped by their time on the wire, strictly increasing, whatever the host's clock does and the
// card's stamps say; and how late these times can be is known.

#include <gtest/gtest.h>

#include <vector>

#include <ixcap/capture/frame_clock.hpp>

namespace ixcap::capture {
namespace {

constexpr std::uint64_t ten_gigabit = 10'000'000'000;
constexpr std::uint64_t noon_ns = 1'800'000'000'000'000'000;

std::vector<std::uint64_t> stamps(FrameClock& clock, const std::vector<std::uint32_t>& lengths, std::uint64_t now_ns,
                                  const std::vector<CardStamp>& of_card = {}) {
  std::vector<Frame> frames;
  for (const std::uint32_t length : lengths) frames.push_back({nullptr, length, length});
  std::vector<std::uint64_t> times(lengths.size());
  clock.stamp(frames, now_ns, times.data(), of_card);
  return times;
}

TEST(FrameClock, SpreadsABatchByWireTime) {
  FrameClock clock(nullptr, ten_gigabit, 2048);
  const auto times = stamps(clock, {60, 1514, 60}, noon_ns);
  EXPECT_EQ(times[2], noon_ns) << "the last frame arrived when it was polled";
  EXPECT_EQ(times[2] - times[1], 67u) << "84 bytes on the wire at 0.8 ns each";
  EXPECT_EQ(times[1] - times[0], 1230u) << "1,538 bytes; rounded to whole nanoseconds at both ends";
}

TEST(FrameClock, NeverGivesATimeTwice) {
  FrameClock clock(nullptr, ten_gigabit, 2048);
  std::uint64_t last = 0;
  for (int batch = 0; batch < 100; ++batch) {
    // Faster than any wire: batches of 64 frames every 10 ns.
    for (const std::uint64_t time : stamps(clock, std::vector<std::uint32_t>(64, 60), noon_ns + 10u * batch)) {
      EXPECT_GT(time, last);
      last = time;
    }
  }
}

TEST(FrameClock, KeepsOrderWhenTheClockIsSetBackALittle) {
  FrameClock clock(nullptr, ten_gigabit, 2048);
  const auto before = stamps(clock, {60}, noon_ns);
  EXPECT_EQ(stamps(clock, {60}, noon_ns - 1'000'000)[0], before[0] + 1);
}

TEST(FrameClock, FollowsAClockThatIsSetBackFar) {
  FrameClock clock(nullptr, ten_gigabit, 2048);
  stamps(clock, {60}, noon_ns);
  EXPECT_EQ(stamps(clock, {60}, noon_ns - 3'600'000'000'000)[0], noon_ns - 3'600'000'000'000);
}

TEST(FrameClock, StampsWithoutASpeed) {
  FrameClock clock(nullptr, 0, 2048);
  const auto times = stamps(clock, {60, 60}, noon_ns);
  EXPECT_EQ(times[0], noon_ns);
  EXPECT_EQ(times[1], noon_ns + 1);
}

using Times = std::vector<std::uint64_t>;

TEST(FrameClock, PutsFramesBeforeOneThatTheCardHasStamped) {
  FrameClock clock(nullptr, ten_gigabit, 2048);
  const std::uint64_t stamp = noon_ns - 5000;
  const auto times = stamps(clock, {60, 60, 60, 60}, noon_ns, {{2, stamp}});
  EXPECT_EQ(times, (Times{stamp - 134, stamp - 67, stamp, noon_ns})) << "84 bytes take 67.2 ns";
}

TEST(FrameClock, KeepsTheCardsStampsApart) {
  FrameClock clock(nullptr, ten_gigabit, 2048);
  const auto times = stamps(clock, {60, 60, 60}, noon_ns, {{0, noon_ns - 900}, {2, noon_ns - 300}});
  EXPECT_EQ(times, (Times{noon_ns - 900, noon_ns - 367, noon_ns - 300}));
}

TEST(FrameClock, LetsAStampGiveWayToATimeThatWasGivenOut) {
  FrameClock clock(nullptr, ten_gigabit, 2048);
  stamps(clock, {60}, noon_ns);
  const auto times = stamps(clock, {60, 60}, noon_ns + 1000, {{0, noon_ns - 200}});
  EXPECT_EQ(times, (Times{noon_ns + 1, noon_ns + 1000}));
}

// The card's clock is known but for an error.
TEST(FrameClock, TakesAStampThatIsALittleAheadOfThePoll) {
  FrameClock clock(nullptr, ten_gigabit, 2048);
  const auto times = stamps(clock, {60, 60, 60}, noon_ns, {{1, noon_ns + 40}});
  EXPECT_EQ(times, (Times{noon_ns - 134, noon_ns + 40, noon_ns + 41}));
}

TEST(FrameClock, TellsWhichStampsCanBeOfAFrame) {
  EXPECT_TRUE(FrameClock::possible(noon_ns, noon_ns));
  EXPECT_TRUE(FrameClock::possible(noon_ns - FrameClock::most_behind_ns, noon_ns));
  EXPECT_TRUE(FrameClock::possible(noon_ns + FrameClock::most_ahead_ns, noon_ns));
  EXPECT_FALSE(FrameClock::possible(noon_ns - FrameClock::most_behind_ns - 1, noon_ns));
  EXPECT_FALSE(FrameClock::possible(noon_ns + FrameClock::most_ahead_ns + 1, noon_ns));
  EXPECT_FALSE(FrameClock::possible(0, noon_ns));
  EXPECT_FALSE(FrameClock::possible(~std::uint64_t{0}, noon_ns));
}

TEST(FrameClock, KnowsHowLongAFrameCanHaveWaited) {
  constexpr bool emptied = true;
  FrameClock clock(nullptr, ten_gigabit, 256);
  std::uint64_t tsc = 1'000'000;
  const auto poll = [&](std::size_t frames, bool left_none, std::uint64_t ticks) {
    clock.polled(frames, left_none, tsc += ticks);
    return clock.longest_wait_ticks();
  };
  poll(0, emptied, 100);
  poll(0, emptied, 100);
  EXPECT_EQ(poll(1, emptied, 50), 150u) << "it may have come as soon as the poll before had begun";
  EXPECT_EQ(poll(1, emptied, 90), 150u) << "at most 140";
  EXPECT_EQ(poll(64, !emptied, 100), 190u);
  EXPECT_EQ(poll(64, !emptied, 100), 290u) << "what was left behind may have been there as long";
  EXPECT_EQ(poll(5, emptied, 100), 390u);
  clock.woke(tsc += 1'000'000'000);
  EXPECT_EQ(poll(1, emptied, 30), 390u) << "a sleep does not count: the interrupt ends it";
}

TEST(FrameClock, BoundsTheWaitByALapOfTheRing) {
  FrameClock clock(nullptr, ten_gigabit, 256);
  std::uint64_t tsc = 1'000'000;
  clock.polled(0, true, tsc);
  for (int i = 0; i < 1000; ++i) clock.polled(64, false, tsc += 100);
  EXPECT_LE(clock.longest_wait_ticks(), 900u) << "two laps of four batches";
  EXPECT_GE(clock.longest_wait_ticks(), 400u);
}

}  // namespace
}  // namespace ixcap::capture
