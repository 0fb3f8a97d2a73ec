#include "tools/signals.hpp"

#include <signal.h>

namespace ixcap::tools {
namespace {

volatile sig_atomic_t finish_flag = 0;
volatile sig_atomic_t statistics_flag = 0;

void on_finish(int) {
  finish_flag = 1;
}
void on_statistics(int) {
  statistics_flag = 1;
}

void install(int signal_number, void (*handler)(int), int flags) noexcept {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(signal_number, &action, nullptr);
}

}  // namespace

void watch_signals() noexcept {
  // SA_RESETHAND: the second one does what the system does by default. No SA_RESTART: a write that blocks on a full
  // pipe is woken up.
  install(SIGINT, on_finish, static_cast<int>(SA_RESETHAND));
  install(SIGTERM, on_finish, static_cast<int>(SA_RESETHAND));
  install(SIGUSR1, on_statistics, SA_RESTART);
  install(SIGXFSZ, SIG_IGN, 0);
}

bool finish_requested() noexcept {
  return finish_flag != 0;
}

bool take_statistics_request() noexcept {
  const bool requested = statistics_flag != 0;
  statistics_flag = 0;
  return requested;
}

}  // namespace ixcap::tools
