#pragma once

/// While it lives, this thread gets no SIGPIPE and no SIGXFSZ, which the kernel sends to a thread whose write fails;
/// EPIPE and EFBIG say the same. The process's handlers stay as they are.

#include <signal.h>

#include <cerrno>
#include <ctime>
#include <initializer_list>

namespace ixcap::capture {

class SignalShield {
 public:
  SignalShield() noexcept {
    sigset_t pending;
    ::sigpending(&pending);
    ::sigemptyset(&blocked_);
    ::sigemptyset(&ours_);
    for (const int signal : {SIGPIPE, SIGXFSZ}) {
      ::sigaddset(&blocked_, signal);
      if (::sigismember(&pending, signal) == 0) ::sigaddset(&ours_, signal);
    }
    ::pthread_sigmask(SIG_BLOCK, &blocked_, &before_);
  }
  ~SignalShield() {
    // What has become pending meanwhile was meant for our write.
    const timespec at_once = {};
    while (::sigtimedwait(&ours_, nullptr, &at_once) > 0 || errno == EINTR) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalShield(const SignalShield&) = delete;
  SignalShield& operator=(const SignalShield&) = delete;

 private:
  sigset_t blocked_;
  sigset_t ours_;
  sigset_t before_;
};

}  // namespace ixcap::capture
