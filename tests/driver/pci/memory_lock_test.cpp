// The sum of locked memory is done before the kernel does it, and says what to do about it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include <ixcap/driver/pci/memory_lock.hpp>

namespace ixcap::pci {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::uint64_t mib = std::uint64_t{1} << 20;
constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();

std::string shortage(const MemoryLock& lock, std::uint64_t bytes) {
  const auto error = memory_lock_shortage(lock, bytes, "0000:03:00.0");
  return error ? error->what() : "enough";
}

TEST(MemoryLock, IsReadFromWhatTheKernelShows) {
  const MemoryLock lock =
      parse_memory_lock("Name:\tVmLck: 9 kB\nVmLck:\t     128 kB\nCapEff:\t0000000000000000\n", 8 * mib, 16 * mib);
  EXPECT_EQ(lock.locked_bytes, 128u * 1024);
  EXPECT_EQ(lock.limit_bytes, 8 * mib);
  EXPECT_EQ(lock.most_bytes, 16 * mib);
  EXPECT_FALSE(lock.unlimited);
}

TEST(MemoryLock, KnowsWhoHasNoLimit) {
  EXPECT_TRUE(parse_memory_lock("CapEff:\t0000000000004000\n", 0, 0).unlimited) << "CAP_IPC_LOCK";
  EXPECT_TRUE(parse_memory_lock("CapEff:\t000001ffffffffff\n", 0, 0).unlimited) << "root";
  EXPECT_FALSE(parse_memory_lock("CapEff:\t000001ffffffbfff\n", 0, 0).unlimited) << "all but that";
  EXPECT_TRUE(parse_memory_lock("", none, none).unlimited);
}

TEST(MemoryLock, TakesNonsenseForNothing) {
  for (const char* status : {"", "VmLck:", "VmLck: many kB", "VmLck:\n", "xVmLck: 5 kB", "CapEff: zz"}) {
    const MemoryLock lock = parse_memory_lock(status, 8 * mib, 8 * mib);
    EXPECT_EQ(lock.locked_bytes, 0u) << status;
    EXPECT_FALSE(lock.unlimited) << status;
  }
  EXPECT_EQ(parse_memory_lock("VmLck: 18446744073709551615 kB", 0, 0).locked_bytes, none);
}

TEST(MemoryLock, IsEnoughUpToTheLimitItself) {
  const MemoryLock lock{.locked_bytes = 2 * mib, .limit_bytes = 8 * mib, .most_bytes = 8 * mib};
  EXPECT_EQ(shortage(lock, 6 * mib), "enough");
  EXPECT_NE(shortage(lock, 6 * mib + 1), "enough");
  EXPECT_EQ(shortage({.locked_bytes = none, .limit_bytes = 0, .most_bytes = 0, .unlimited = true}, none), "enough");
}

TEST(MemoryLock, NamesBothSumsAndTheMend) {
  const MemoryLock user{.locked_bytes = 4 * mib, .limit_bytes = 8 * mib, .most_bytes = 8 * mib};
  EXPECT_THAT(shortage(user, 5 * mib), AllOf(HasSubstr("0000:03:00.0"), HasSubstr("9216 KiB"), HasSubstr("8192 KiB"),
                                             HasSubstr("prlimit"), HasSubstr("limits.d")));
  const MemoryLock may_raise{.locked_bytes = 0, .limit_bytes = 64 * 1024, .most_bytes = 8 * mib};
  EXPECT_THAT(shortage(may_raise, 5 * mib), HasSubstr("ulimit -l 8192"));
  const MemoryLock free{.locked_bytes = 0, .limit_bytes = 64 * 1024, .most_bytes = none};
  EXPECT_THAT(shortage(free, 5 * mib), HasSubstr("ulimit -l unlimited"));
  EXPECT_THAT(shortage({.locked_bytes = none, .limit_bytes = mib, .most_bytes = mib}, none), HasSubstr("1024 KiB"))
      << "no sum runs over";
}

TEST(MemoryLock, OfThisProcessIsKnown) {
  const MemoryLock lock = read_memory_lock();
  EXPECT_LE(lock.limit_bytes, lock.most_bytes);
}

}  // namespace
}  // namespace ixcap::pci
