#include "tools/signals.hpp"

#include <signal.h>
#include <time.h>

namespace ixcap::tools {
namespace {

volatile sig_atomic_t finish_flag = 0;
volatile sig_atomic_t statistics_flag = 0;
volatile sig_atomic_t rotation_flag = 0;

time_t first_request_s = 0;

time_t now_s() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

void on_finish(int signal_number) {
  if (finish_flag == 0) {
    first_request_s = now_s();
    finish_flag = 1;
  } else if (now_s() > first_request_s + 1) {
    signal(signal_number, SIG_DFL);
    raise(signal_number);
  }
}
void on_statistics(int) {
  statistics_flag = 1;
}
void on_hangup(int) {
  rotation_flag = 1;
}

void install(int signal_number, void (*handler)(int)) noexcept {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // nothing here is ended by an interrupted call: the flags are looked at
  sigaction(signal_number, &action, nullptr);
}

bool is_ignored(int signal_number) noexcept {
  struct sigaction action = {};
  return sigaction(signal_number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

void watch_signals() noexcept {
  install(SIGINT, on_finish);
  install(SIGTERM, on_finish);
  if (!is_ignored(SIGHUP)) install(SIGHUP, on_finish);
  install(SIGUSR1, on_statistics);
  install(SIGXFSZ, SIG_IGN);
}

bool finish_requested() noexcept {
  return finish_flag != 0;
}

bool take_statistics_request() noexcept {
  const bool requested = statistics_flag != 0;
  statistics_flag = 0;
  return requested;
}

void let_hangup_rotate() noexcept {
  if (!is_ignored(SIGHUP)) install(SIGHUP, on_hangup);
}

bool take_rotation_request() noexcept {
  const bool requested = rotation_flag != 0;
  rotation_flag = 0;
  return requested;
}

}  // namespace ixcap::tools
