// Frames of a batch are stamped by their time on the wire, strictly increasing, whatever the host's clock does.

#include <gtest/gtest.h>

#include <vector>

#include <ixcap/capture/frame_clock.hpp>

namespace ixcap::capture {
namespace {

constexpr std::uint64_t ten_gigabit = 10'000'000'000;
constexpr std::uint64_t noon_ns = 1'800'000'000'000'000'000;

std::vector<std::uint64_t> stamps(FrameClock& clock, const std::vector<std::uint32_t>& lengths, std::uint64_t now_ns) {
  std::vector<Frame> frames;
  for (const std::uint32_t length : lengths) frames.push_back({nullptr, length, length});
  std::vector<std::uint64_t> times(lengths.size());
  clock.stamp(frames, now_ns, times.data());
  return times;
}

TEST(FrameClock, SpreadsABatchByWireTime) {
  FrameClock clock(ten_gigabit);
  const auto times = stamps(clock, {60, 1514, 60}, noon_ns);
  EXPECT_EQ(times[2], noon_ns) << "the last frame arrived when it was polled";
  EXPECT_EQ(times[2] - times[1], 67u) << "84 bytes on the wire at 0.8 ns each";
  EXPECT_EQ(times[1] - times[0], 1230u) << "1,538 bytes; rounded to whole nanoseconds at both ends";
}

TEST(FrameClock, NeverGivesATimeTwice) {
  FrameClock clock(ten_gigabit);
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
  FrameClock clock(ten_gigabit);
  const auto before = stamps(clock, {60}, noon_ns);
  EXPECT_EQ(stamps(clock, {60}, noon_ns - 1'000'000)[0], before[0] + 1);
}

TEST(FrameClock, FollowsAClockThatIsSetBackFar) {
  FrameClock clock(ten_gigabit);
  stamps(clock, {60}, noon_ns);
  EXPECT_EQ(stamps(clock, {60}, noon_ns - 3'600'000'000'000)[0], noon_ns - 3'600'000'000'000);
}

TEST(FrameClock, StampsWithoutASpeed) {
  FrameClock clock(0);
  const auto times = stamps(clock, {60, 60}, noon_ns);
  EXPECT_EQ(times[0], noon_ns);
  EXPECT_EQ(times[1], noon_ns + 1);
}

}  // namespace
}  // namespace ixcap::capture
