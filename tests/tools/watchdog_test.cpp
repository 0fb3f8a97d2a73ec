// The watchdog does its work however the watched process ends, and only then.

#include "tools/watchdog.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <string>

namespace ixcap::tools {
namespace {

constexpr int patience_ms = 20'000;

/// A named pipe: descriptors do not reach into a watchdog.
class WatchdogTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "ixcap-watchdog-" + std::to_string(::getpid());
    ::unlink(path_.c_str());
    ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    reader_ = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK);
    ASSERT_GE(reader_, 0);
  }
  void TearDown() override {
    ::close(reader_);
    ::unlink(path_.c_str());
  }
  std::function<int()> note(char byte, int status) const {
    return [path = path_, byte, status] {
      const int file = ::open(path.c_str(), O_WRONLY);
      return ::write(file, &byte, 1) == 1 ? status : 99;
    };
  }
  bool noted_within(int milliseconds) const {
    pollfd poll{reader_, POLLIN, 0};
    return ::poll(&poll, 1, milliseconds) == 1 && (poll.revents & POLLIN) != 0;
  }
  char noted() const {
    char byte = 0;
    if (!noted_within(patience_ms) || ::read(reader_, &byte, 1) != 1) return '\0';
    return byte;
  }
  /// A process that starts a watchdog, says so, and then does `act`.
  pid_t watched(const std::function<void()>& act) const {
    std::array<int, 2> ready{};
    if (::pipe(ready.data()) != 0) return -1;
    const pid_t child = ::fork();
    if (child == 0) {
      Watchdog watchdog(note('x', 0));
      if (::write(ready[1], "r", 1) != 1) ::_exit(1);
      act();
      ::_exit(0);
    }
    ::close(ready[1]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    return child;
  }
  static void wait_for_ever() {
    while (true) ::pause();
  }

  std::string path_;
  int reader_ = -1;
};

TEST_F(WatchdogTest, ActsAtTheEndAndTellsHowItWent) {
  Watchdog watchdog(note('a', 3));
  EXPECT_FALSE(noted_within(0));
  EXPECT_EQ(watchdog.end(), 3);
  EXPECT_EQ(noted(), 'a');
  EXPECT_EQ(watchdog.end(), 0);  // once is enough
  EXPECT_FALSE(noted_within(0));
}

TEST_F(WatchdogTest, ActsWhenItsObjectGoes) {
  { const Watchdog watchdog(note('b', 0)); }
  EXPECT_EQ(noted(), 'b');
}

TEST_F(WatchdogTest, AnExceptionIsAFailure) {
  Watchdog watchdog([]() -> int { throw 1; });
  EXPECT_EQ(watchdog.end(), 1);
}

TEST_F(WatchdogTest, ActsAfterSigkill) {
  const pid_t child = watched(wait_for_ever);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(noted(), 'x');
}

TEST_F(WatchdogTest, ActsAfterAnExitWithoutDestructors) {
  const pid_t child = watched([] {});
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(noted(), 'x');
}

TEST_F(WatchdogTest, ActsAfterTheWholeProcessGroupIsKilled) {
  std::array<int, 2> ready{};
  ASSERT_EQ(::pipe(ready.data()), 0);
  const pid_t leader = ::fork();
  if (leader == 0) {
    ::setpgid(0, 0);
    Watchdog watchdog(note('g', 0));
    if (::write(ready[1], "r", 1) != 1) ::_exit(1);
    wait_for_ever();
  }
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::kill(-leader, SIGINT);
  ::waitpid(leader, nullptr, 0);
  EXPECT_EQ(noted(), 'g');
}

}  // namespace
}  // namespace ixcap::tools
