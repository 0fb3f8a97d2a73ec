#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include <ixcap/capture/file_command.hpp>

namespace ixcap::capture {
namespace {

/// How a process is started: nothing that this one does about signals reaches it, and it has no part in our output.
class Manner {
 public:
  Manner() noexcept {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, STDERR_FILENO, STDOUT_FILENO);
    ::posix_spawnattr_init(&attributes_);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    sigset_t all;
    ::sigfillset(&all);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    // A group of its own: what a terminal sends to end the capture does not end the work on its files.
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~Manner() {
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&actions_);
  }
  Manner(const Manner&) = delete;
  Manner& operator=(const Manner&) = delete;

  const posix_spawn_file_actions_t* actions() const noexcept { return &actions_; }
  const posix_spawnattr_t* attributes() const noexcept { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

void FileCommand::run_on(const std::string& path) {
  if (command_.empty()) return;
  waiting_.push_back(path);
  look_after();
}

void FileCommand::look_after() {
  for (std::size_t i = 0; i < running_.size();) {
    int status = 0;
    const pid_t done = ::waitpid(running_[i].process, &status, WNOHANG);
    if (done == 0 || (done < 0 && errno == EINTR)) {
      ++i;
      continue;
    }
    ended(running_[i], done < 0 ? 0 : status);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  while (!waiting_.empty() && running_.size() < most_at_a_time) {
    const std::string path = std::move(waiting_.front());
    waiting_.pop_front();
    start(path);
  }
}

void FileCommand::finish() {
  look_after();
  while (!running_.empty()) {
    siginfo_t ended = {};
    ::waitid(P_PID, static_cast<id_t>(running_.front().process), &ended, WEXITED | WNOWAIT);
    look_after();
  }
}

void FileCommand::start(const std::string& path) {
  const Manner manner;
  std::string command = command_;
  // A path that begins with a hyphen would be taken for an option.
  std::string argument = path.starts_with('-') ? "./" + path : path;
  char* arguments[] = {command.data(), argument.data(), nullptr};
  pid_t process = 0;
  const int error_number =
      ::posix_spawnp(&process, command.c_str(), manner.actions(), manner.attributes(), arguments, environ);
  if (error_number != 0) {
    fail(path, std::generic_category().message(error_number));
    return;
  }
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(process), 19);  // refused: it is only in more of a hurry
  running_.push_back({process, path});
}

void FileCommand::ended(const Running& running, int status) {
  if (WIFSIGNALED(status)) {
    fail(running.path, fmt::format("signal {} ended it", WTERMSIG(status)));
  } else if (WEXITSTATUS(status) != 0) {
    fail(running.path, fmt::format("it ended with status {}", WEXITSTATUS(status)));
  }
}

void FileCommand::fail(const std::string& path, const std::string& reason) {
  if (++failures_ != 1) return;
  failure_.emplace("cannot run " + command_ + " on", path, reason,
                   "the file is complete; give -z one command that takes a file, without arguments of its own");
}

std::optional<Error> FileCommand::take_failure() {
  return std::exchange(failure_, std::nullopt);
}

}  // namespace ixcap::capture
