// When frames of a replay are due: by their stamps, a factor of them, or a rate, whatever a file says. And how the
// lateness of frames is summed up.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include <ixcap/capture/pacing_error.hpp>
#include <ixcap/capture/replay_schedule.hpp>

namespace ixcap::capture {
namespace {

using emulator::Rate;
using emulator::WireFrame;

constexpr std::uint64_t ps = 1000;  // a nanosecond

WireFrame stamped(std::uint64_t recorded_ns, bool starts_file = false) {
  return {.bytes = nullptr,
          .captured_length = 0,
          .wire_length = 60,
          .recorded_ns = recorded_ns,
          .starts_file = starts_file};
}

TEST(ReplaySchedule, KeepsThePaceOfTheFile) {
  constexpr std::uint64_t day_ns = 86'400'000'000'000;
  ReplaySchedule schedule({});
  EXPECT_EQ(schedule.due_ps(stamped(100 * day_ns, true)), 0u);
  EXPECT_EQ(schedule.due_ps(stamped(100 * day_ns + 1)), 1 * ps);
  EXPECT_EQ(schedule.due_ps(stamped(100 * day_ns + 500)), 500 * ps);
  EXPECT_EQ(schedule.due_ps(stamped(100 * day_ns + 500)), 500 * ps);
  EXPECT_EQ(schedule.due_ps(stamped(101 * day_ns)), day_ns * ps);
  EXPECT_EQ(schedule.out_of_order(), 0u);
}

TEST(ReplaySchedule, TakesAFactor) {
  ReplaySchedule faster({.speed = 4});
  faster.due_ps(stamped(0, true));
  EXPECT_EQ(faster.due_ps(stamped(1000)), 250 * ps);
  ReplaySchedule slower({.speed = 0.5});
  slower.due_ps(stamped(0, true));
  EXPECT_EQ(slower.due_ps(stamped(1000)), 2000 * ps);
}

TEST(ReplaySchedule, SendsAtOnceWhatIsOutOfOrder) {
  ReplaySchedule schedule({});
  schedule.due_ps(stamped(1000, true));
  EXPECT_EQ(schedule.due_ps(stamped(3000)), 2000 * ps);
  EXPECT_EQ(schedule.due_ps(stamped(2000)), 2000 * ps);
  EXPECT_EQ(schedule.due_ps(stamped(500)), 2000 * ps);
  EXPECT_EQ(schedule.due_ps(stamped(4000)), 3000 * ps);
  EXPECT_EQ(schedule.out_of_order(), 2u);
}

TEST(ReplaySchedule, BeginsEachPassAnAverageGapAfterTheLast) {
  ReplaySchedule schedule({});
  for (std::uint64_t pass = 0; pass < 3; ++pass) {
    EXPECT_EQ(schedule.due_ps(stamped(1'000'000, true)), pass * 3000 * ps);
    EXPECT_EQ(schedule.due_ps(stamped(1'000'500)), (pass * 3000 + 500) * ps);
    EXPECT_EQ(schedule.due_ps(stamped(1'002'000)), (pass * 3000 + 2000) * ps);
  }
  EXPECT_EQ(schedule.out_of_order(), 0u);
  ReplaySchedule one_frame({});
  for (int pass = 0; pass < 3; ++pass) EXPECT_EQ(one_frame.due_ps(stamped(5, true)), 0u);
}

TEST(ReplaySchedule, KeepsARate) {
  ReplaySchedule schedule({.rate = Rate{Rate::Unit::bits_per_second, 10e9}});
  WireFrame frame = stamped(77, true);
  EXPECT_EQ(schedule.due_ps(frame), 0u);
  frame.wire_length = 20;  // is padded
  EXPECT_EQ(schedule.due_ps(frame), 67'200u);
  frame.wire_length = 1514;
  EXPECT_EQ(schedule.due_ps(frame), 2 * 67'200u);
  EXPECT_EQ(schedule.due_ps(frame), 2 * 67'200u + 1'230'400u);
  ReplaySchedule packets({.rate = Rate{Rate::Unit::frames_per_second, 1000}});
  packets.due_ps(frame);
  EXPECT_EQ(packets.due_ps(frame), 1'000'000'000u);
}

TEST(ReplaySchedule, NeverGoesBackWhateverTheStamps) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  for (const double speed : {1e-6, 1.0, 1e6}) {
    ReplaySchedule schedule({.speed = speed});
    std::uint64_t last = 0;
    for (const std::uint64_t stamp : {std::uint64_t{0}, most, std::uint64_t{1}, most / 2, most, std::uint64_t{0}}) {
      for (const bool starts_file : {false, true}) {
        const std::uint64_t due = schedule.due_ps(stamped(stamp, starts_file));
        EXPECT_GE(due, last);
        last = due;
      }
    }
  }
  ReplaySchedule slowest({.rate = Rate{Rate::Unit::frames_per_second, 1e-3}});
  std::uint64_t last = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t due = slowest.due_ps(stamped(0));
    ASSERT_GE(due, last);
    last = due;
  }
}

TEST(PacingError, BoundsWhatNinetyNineOfAHundredKeep) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (const unsigned bits : {1u, 3u, 4u, 10u, 40u, 64u}) {
    PacingError error;
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 5000; ++i) {
      values.push_back(random() >> (64 - bits));
      error.add(values.back());
    }
    std::ranges::sort(values);
    const std::uint64_t exact = values[4949];
    EXPECT_GE(error.percentile_99_ns(), exact);
    EXPECT_LE(error.percentile_99_ns() - exact, exact / 8);
    EXPECT_EQ(error.worst_ns(), values.back());
    EXPECT_EQ(error.frames(), 5000u);
  }
  EXPECT_EQ(PacingError().percentile_99_ns(), 0u);
  PacingError two;
  two.add(10);
  two.add(20);
  EXPECT_EQ(two.mean_ns(), 15);
}

}  // namespace
}  // namespace ixcap::capture
