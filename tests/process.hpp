#pragma once

/// Runs commands as a person would and keeps what they print.

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/files.hpp"

namespace ixcap::test {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Result {
  int status;       ///< exit status; 128 + signal number if a signal ended it
  std::string out;  ///< standard output
  std::string err;  ///< standard error
};

/// A command under way. Its output goes to files, so it never waits for its reader.
class Process {
 public:
  /// `before` runs in the child before the command does.
  explicit Process(std::vector<std::string> words, const std::function<void()>& before = {}) {
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed leaves nothing behind
    redirect(folder_.file("out"), STDOUT_FILENO);
    redirect(folder_.file("err"), STDERR_FILENO);
    if (before) before();
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }

  ~Process() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal_number) const { kill(pid_, signal_number); }

  /// Whether it has not ended yet.
  bool running() const {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
  }

  /// What it has written to standard error so far.
  std::string err() const { return read_file(folder_.file("err")); }

  Result wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(folder_.file("out")),
            read_file(folder_.file("err"))};
  }

 private:
  static void redirect(const std::string& path, int to) {
    const int file = open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    if (file < 0 || dup2(file, to) < 0) _exit(127);
  }

  TemporaryFolder folder_;
  pid_t pid_;
};

inline Result run(std::vector<std::string> words, const std::function<void()>& before = {}) {
  return Process(std::move(words), before).wait();
}

/// All that a shell command prints, to standard output and standard error.
inline std::string output_of(const std::string& command) {
  return run({"sh", "-c", "(" + command + ") 2>&1"}).out;
}

/// Whether a program of that name can be run.
inline bool on_path(const std::string& name) {
  return run({"sh", "-c", "command -v " + name}).status == 0;
}

}  // namespace ixcap::test
