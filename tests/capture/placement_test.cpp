// CPUs are named as the kernel names them, and threads run where they were put.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

#include <ixcap/capture/placement.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Placement, ReadsListsAsTheKernelWritesThem) {
  EXPECT_THAT(parse_cpu_list("0"), ElementsAre(0u));
  EXPECT_THAT(parse_cpu_list("0-3,8"), ElementsAre(0u, 1u, 2u, 3u, 8u));
  EXPECT_THAT(parse_cpu_list("5,2-2"), ElementsAre(5u, 2u));
}

TEST(Placement, RefusesWhatIsNoList) {
  for (const char* list : {"", ",", "1,", "-1", "3-1", "1-", "a", "1 2", "99999", "0-99999"}) {
    EXPECT_THROW(parse_cpu_list(list), Error) << list;
  }
}

TEST(Placement, LeavesWhatIsNoCardToTheScheduler) {
  EXPECT_THAT(place_queues("emulator", 4, ""), IsEmpty());
  EXPECT_THAT(place_queues("vfio-user:/tmp/socket", 1, ""), IsEmpty());
}

TEST(Placement, GivesEveryQueueACpuOfThoseChosen) {
  const unsigned allowed = allowed_cpus().front();
  EXPECT_THAT(place_queues("emulator", 3, fmt::format("{}", allowed)), ElementsAre(allowed, allowed, allowed));
}

TEST(Placement, RefusesCpusThatThisProcessMayNotUse) {
  EXPECT_THROW(place_queues("emulator", 1, fmt::format("{}", CPU_SETSIZE - 1)), Error);
}

TEST(Placement, PinsAThreadAndLetsItGo) {
  const unsigned cpu = allowed_cpus().back();
  const std::vector<unsigned> before = allowed_cpus();
  {
    const RunningOn running({cpu});
    EXPECT_THAT(allowed_cpus(), ElementsAre(cpu));
  }
  EXPECT_EQ(allowed_cpus(), before);
  std::jthread([cpu] {
    EXPECT_TRUE(pin_this_thread(cpu));
    EXPECT_THAT(allowed_cpus(), ElementsAre(cpu));
  });
}

}  // namespace
}  // namespace ixcap::capture
