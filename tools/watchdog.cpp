#include "tools/watchdog.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include <ixcap/driver/error.hpp>

namespace ixcap::tools {
namespace {

/// Of the signals that a person, a terminal or a service manager sends to all, none ends the watchdog.
void ignore_signals() noexcept {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGUSR1, SIGUSR2})
    ::signal(number, SIG_IGN);
}

/// In the watchdog: keeps nothing of the process that it watches but standard error and the pipe.
void detach(int pipe) noexcept {
  ::prctl(PR_SET_NAME, "ixcap-watchdog");
  [[maybe_unused]] const int stays = ::chdir("/");  // a folder that cannot be left stays in use, no more
  const int null = ::open("/dev/null", O_RDWR);
  if (null >= 0) {
    ::dup2(null, STDIN_FILENO);
    ::dup2(null, STDOUT_FILENO);
  }
  constexpr int kept = 3;
  if (pipe != kept) ::dup2(pipe, kept);
  ::close_range(kept + 1, ~0u, 0);
}

/// Returns when nobody holds the other end of descriptor 3 open any more.
void wait_for_the_end() noexcept {
  char byte = 0;
  while (true) {
    const ssize_t got = ::read(3, &byte, 1);
    if (got == 0 || (got < 0 && errno != EINTR)) return;
  }
}

struct Pipe {
  pci::FileDescriptor read_end;
  pci::FileDescriptor write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw Error::from_errno("cannot start the watchdog", "", errno, "close files or raise ulimit -n");
  }
  return {pci::FileDescriptor(ends[0]), pci::FileDescriptor(ends[1])};
}

/// The watchdog's life. Neither destructors nor buffers are this process's: what they hold is the other's.
[[noreturn]] void watch(Pipe lifeline, Pipe readiness, const std::function<int()>& at_end) noexcept {
  lifeline.write_end.reset();
  ::setsid();
  ignore_signals();
  const bool told = ::write(readiness.write_end.number(), "r", 1) == 1;
  detach(lifeline.read_end.number());
  if (told) wait_for_the_end();
  int status = 1;
  try {
    status = at_end();
  } catch (...) {
    status = 1;
  }
  ::_exit(status);
}

}  // namespace

Watchdog::Watchdog(const std::function<int()>& at_end) {
  Pipe lifeline = make_pipe();
  Pipe readiness = make_pipe();
  process_ = ::fork();
  if (process_ < 0) {
    throw Error::from_errno("cannot start the watchdog", "", errno, "end some processes or raise ulimit -u");
  }
  if (process_ == 0) watch(std::move(lifeline), std::move(readiness), at_end);
  pipe_ = std::move(lifeline.write_end);
  // Until it has left this process's session, what ends this process may end it, too.
  readiness.write_end.reset();
  char byte = 0;
  ssize_t got = 0;
  do {
    got = ::read(readiness.read_end.number(), &byte, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) {
    end();
    throw Error("cannot start the watchdog", "", "it ended at once", "try again");
  }
}

int Watchdog::end() {
  pipe_.reset();
  if (process_ < 0) return 0;
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0) {
    if (errno != EINTR) return 1;
  }
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

Watchdog::~Watchdog() {
  end();
}

}  // namespace ixcap::tools
