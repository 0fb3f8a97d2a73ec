#pragma once

/// A small process that outlives this one by as long as it takes to put something right.
///
/// It is forked before this process starts any thread, in a session of its own, so that neither ^C nor the end of a
/// terminal reaches it, and it waits for the end of a pipe that only this process holds open. However this process
/// ends, by itself, by a crash or by SIGKILL, the kernel closes that pipe.
///
/// Ownership: nothing is shared but standard error. Descriptors other than that are closed in the watchdog, so that it
/// keeps no device and no output open.
/// Threads: one at a time. Errors: ixcap::Error.

#include <sys/types.h>

#include <functional>

#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::tools {

class Watchdog {
 public:
  /// `at_end` runs in the watchdog once this process has ended or called end(), and answers the watchdog's exit status.
  explicit Watchdog(const std::function<int()>& at_end);

  /// Has `at_end` run now and waits for it. Answers its status. The destructor does it, too.
  int end();
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  pci::FileDescriptor pipe_;
  pid_t process_ = -1;
};

}  // namespace ixcap::tools
