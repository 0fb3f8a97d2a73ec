// A replay sends all of its traffic, in order and nothing before its time, and ends when it is told to.

#include <gtest/gtest.h>

#include <thread>

#include <ixcap/capture/injector.hpp>
#include <ixcap/capture/replay.hpp>

#include "tests/capture/served_nic.hpp"

namespace ixcap::capture {
namespace {

using emulator::Rate;
using test::ListedFrame;

ReplayReport replay(test::ServedNic& served, const std::vector<ListedFrame>& frames, const ReplayPace& pace) {
  Injector injector({.interface = served.interface(), .descriptors = 64});
  test::ListTraffic traffic(frames);
  Replay replay(injector, traffic, pace);
  replay.run();
  EXPECT_EQ(replay.progress(), frames.size());
  EXPECT_EQ(injector.counts().on_wire, frames.size());
  return replay.report();
}

TEST(Replay, SendsEverythingAtAnyPace) {
  const std::vector<ListedFrame> frames = test::frames_of_all_lengths(500);
  const ReplayPace paces[] = {{.rate = Rate{}},
                              {.rate = Rate{Rate::Unit::frames_per_second, 20'000}},
                              {.rate = Rate{Rate::Unit::bits_per_second, 10e9}},
                              {}};
  for (const ReplayPace& pace : paces) {
    test::ServedNic served;
    const ReplayReport report = replay(served, frames, pace);
    test::expect_sent(served.sent(), frames);
    EXPECT_EQ(report.frames, frames.size());
    EXPECT_EQ(report.pacing.frames(), pace.as_fast_as_possible() ? 0u : frames.size());
    EXPECT_GE(report.duration_ns, report.scheduled_ns) << "nothing is sent before its time";
  }
}

TEST(Replay, TakesTheTimeThatItsScheduleTakes) {
  test::ServedNic served;
  const ReplayReport report =
      replay(served, test::frames_of_all_lengths(101), {.rate = Rate{Rate::Unit::frames_per_second, 1000}});
  EXPECT_EQ(report.scheduled_ns, 100'000'000u);
  EXPECT_GE(report.duration_ns, report.scheduled_ns);
  EXPECT_GE(report.duration_ns, report.pacing.worst_ns());
}

TEST(Replay, StopsInTheMiddleOfALongWait) {
  test::ServedNic served;
  Injector injector({.interface = served.interface()});
  test::ListTraffic traffic(test::frames_of_all_lengths(3));
  Replay replay(injector, traffic, {.rate = Rate{Rate::Unit::frames_per_second, 1e-3}});
  std::thread runner([&] { replay.run(); });
  while (replay.progress() == 0) std::this_thread::yield();
  replay.stop();
  runner.join();
  EXPECT_EQ(replay.report().frames, 1u);
  EXPECT_EQ(injector.counts().on_wire, 1u);
}

}  // namespace
}  // namespace ixcap::capture
