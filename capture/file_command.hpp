#pragma once

/// Runs a command on each finished file: COMMAND FILE, as tcpdump's -z, without a shell, in a process of its own with
/// the lowest priority.
///
/// A few run at a time, more wait their turn. The command's input is empty; it writes to standard error, so that it
/// cannot disturb a capture on standard output. Who calls look_after() now and then leaves no zombies.
///
/// Threads: one at a time.

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <ixcap/driver/error.hpp>

namespace ixcap::capture {

class FileCommand {
 public:
  static constexpr std::size_t most_at_a_time = 4;

  /// `command`: a path, or a name on $PATH; empty: nothing is ever run.
  explicit FileCommand(std::string command) : command_(std::move(command)) {}
  /// Lets what is running go on, and forgets what is not.
  ~FileCommand() = default;
  FileCommand(const FileCommand&) = delete;
  FileCommand& operator=(const FileCommand&) = delete;

  void run_on(const std::string& path);
  /// Starts what can be started and takes note of what has ended. Returns at once.
  void look_after();
  /// Waits until the command has run on every file.
  void finish();

  /// The first failure, told once.
  std::optional<Error> take_failure();
  std::uint64_t failures() const noexcept { return failures_; }

 private:
  struct Running {
    pid_t process;
    std::string path;
  };

  void start(const std::string& path);
  void ended(const Running& running, int status);
  void fail(const std::string& path, const std::string& reason);

  std::string command_;
  std::deque<std::string> waiting_;
  std::vector<Running> running_;
  std::optional<Error> failure_;
  std::uint64_t failures_ = 0;
};

}  // namespace ixcap::capture
