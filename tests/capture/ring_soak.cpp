// The ring under readers in other processes that join, leave, stall and are killed at random: a lossless reader misses
// nothing, a lossy one accounts for every frame, and nobody who is gone holds the others up.
//
//     ring_soak [--seconds N | --records N] [--seed N]
//
// At least so many records, and 15 readers, or so long; 1,000,000 records and a seed that is printed unless given. Exit
// status 0 when all was as it should be. The program runs itself as its readers.

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/attach.hpp>
#include <ixcap/capture/share.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/idle.hpp>

#include "tests/files.hpp"

namespace {

using namespace ixcap;
using namespace ixcap::capture;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t frames_a_loss = 1000;  // a loss record of one frame follows every so many frames
constexpr unsigned fewest_readers = 15;        // come before it ends
constexpr std::uint64_t ring_bytes = std::uint64_t{1} << 20;

/// Everything about a frame follows from its number, which is its time.
std::uint64_t scrambled(std::uint64_t number) {
  number = (number ^ number >> 31) * 0x9e3779b97f4a7c15;
  return number ^ number >> 29;
}
std::uint32_t length_of(std::uint64_t number) {
  const std::uint64_t draw = scrambled(number);
  return static_cast<std::uint32_t>(draw % 16 == 0 ? 14 + draw / 16 % 1500 : 60);
}
std::uint64_t match_set_of(std::uint64_t number) {
  return std::uint64_t{1} << (scrambled(number) >> 40) % 4;
}
std::uint8_t byte_of(std::uint64_t number, std::uint32_t at) {
  return static_cast<std::uint8_t>(number * 7 + at);
}

// ---------------------------------------------------------------------------------------------- a reader process

struct Fate {
  ReaderPolicy policy;
  std::uint64_t mask;
  std::uint64_t leaves_after;  // frames; 0: at the end
  unsigned stalls_every;       // frames; 0: never
};

class Witness {
 public:
  explicit Witness(const Fate& fate) : fate_(fate) {}

  /// False: something is wrong, and has been said.
  bool see(const Record& record) {
    if ((record.flags & record_lost_here) != 0) {
      missing_ += record.lost_frames;
      return fate_.policy == ReaderPolicy::lossy || complain("a lossless reader lost frames", record);
    }
    if (record.is_loss()) {
      if (seen_any_) told_ += record.lost_frames;
      return true;
    }
    const std::uint64_t number = record.timestamp_ns;
    if (seen_any_ && !gap_is_accounted_for(number)) return complain("the gap is not what was told", record);
    if (!seen_any_) told_ = 0;
    missing_ = 0;
    if ((match_set_of(number) & fate_.mask) == 0) return complain("the mask does not let it through", record);
    if (record.match_set != match_set_of(number) || record.captured_length != length_of(number))
      return complain("its header is damaged", record);
    for (std::uint32_t at = 0; at < record.captured_length; ++at)
      if (record.data()[at] != byte_of(number, at)) return complain("its bytes are damaged", record);
    if (!seen_any_) first_ = number;
    seen_any_ = true;
    next_ = number + 1;
    ++frames_;
    return true;
  }

  /// `end`: one more than the last frame's number.
  bool end(std::uint64_t end) {
    if (!seen_any_) return true;
    if (!gap_is_accounted_for(end)) return complain("the end is missing", {});
    const std::uint64_t losses = end / frames_a_loss - first_ / frames_a_loss;
    return told_ == losses || complain(fmt::format("{} losses were told, not {}", told_, losses).c_str(), {});
  }

  std::uint64_t frames() const { return frames_; }

 private:
  bool gap_is_accounted_for(std::uint64_t to) const {
    std::uint64_t due = 0;
    for (std::uint64_t number = next_; number < to; ++number) due += (match_set_of(number) & fate_.mask) != 0 ? 1 : 0;
    return due == missing_;
  }
  bool complain(const char* what, const Record& record) const {
    fmt::print(stderr, "reader {}: {}; at {}, expected {}, {} told to be missing\n", getpid(), what,
               record.timestamp_ns, next_, missing_);
    return false;
  }

  const Fate fate_;
  bool seen_any_ = false;
  std::uint64_t first_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t missing_ = 0;
  std::uint64_t told_ = 0;
  std::uint64_t frames_ = 0;
};

/// Exit status 0: all was well.
int read(const std::string& path, const Fate& fate) {
  Attachment capture({.name = path, .reader = {fate.policy, fate.mask}});
  Witness witness(fate);
  std::uint64_t last = 0;
  while (capture.state() == RingState::open) {
    while (const Record* record = capture.next()) {
      if (!witness.see(*record)) return 1;
      last = record->timestamp_ns;
      if (fate.leaves_after != 0 && witness.frames() >= fate.leaves_after) return 0;
      if (fate.stalls_every != 0 && scrambled(last) % fate.stalls_every == 0) usleep(20'000);
      if (scrambled(last) % 32 == 0) capture.release();
    }
    capture.release();
    capture.wait(std::chrono::milliseconds(-1));
  }
  if (capture.state() == RingState::broken || capture.died()) {
    fmt::print(stderr, "reader {}: the ring ended before its time\n", getpid());
    return 1;
  }
  // The last record of the ring is a loss record that says how many frames there were.
  return witness.end(last) ? 0 : 1;
}

// ---------------------------------------------------------------------------------------------- the soak itself

class Soak {
 public:
  Soak(std::uint64_t records, std::chrono::seconds time, std::uint32_t seed)
      : records_(records), end_(Clock::now() + time), random_(seed) {}

  int run() {
    std::jthread producing([this] { produce(); });
    while (!produced_) {
      if (readers_.size() < 6 && random_() % 2 == 0) start_reader();
      if (!readers_.empty() && random_() % 4 == 0) strike();
      collect(WNOHANG);
      usleep(static_cast<useconds_t>(random_() % 20'000));
    }
    producing.join();
    for (const auto& [pid, reader] : readers_) {
      if (reader.stopped) kill(pid, SIGCONT);
    }
    while (!readers_.empty()) collect(0);
    fmt::print("{} frames, {} readers: {} left or read to the end, {} were killed, {} stopped for a while; {} failed\n",
               count_, started_.load(), ended_, killed_, stopped_, failed_);
    if (producer_.cursor_faults() != 0) fmt::print("{} impossible cursors\n", producer_.cursor_faults());
    return failed_ == 0 && producer_.cursor_faults() == 0 ? 0 : 1;
  }

 private:
  struct Child {
    bool killed = false;
    bool stopped = false;
  };

  void produce() {
    std::vector<std::uint8_t> bytes(2048);
    std::uint64_t number = 0;
    for (; number < records_ || started_ < fewest_readers || Clock::now() < end_; ++number) {
      const std::uint32_t length = length_of(number);
      for (std::uint32_t at = 0; at < length; ++at) bytes[at] = byte_of(number, at);
      until_room([&] { return producer_.append({bytes.data(), length, length}, number, match_set_of(number), 0, 0); });
      if (number % frames_a_loss == frames_a_loss - 1) until_room([&] { return producer_.append_loss(1, number, 0); });
      if (scrambled(number) % 40 == 0) producer_.publish();
      if (scrambled(number) % 50'000 == 0) usleep(2000);  // readers fall asleep
    }
    until_room([&] { return producer_.append_loss(0, number, 0); });
    producer_.close();
    count_ = number;
    produced_ = true;
  }

  template <typename Put>
  void until_room(Put put) {
    Idle idle;
    while (!put()) idle.wait();
  }

  void start_reader() {
    const std::string policy = random_() % 2 == 0 ? "lossless" : "lossy";
    const std::string mask = std::to_string(1 + random_() % 15);
    const std::string leaves = std::to_string(random_() % 3 == 0 ? 1 + random_() % 200'000 : 0);
    const std::string stalls = std::to_string(random_() % 3 == 0 ? 5000 : 0);
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      execl("/proc/self/exe", "ring_soak", "--reader", share_.path().c_str(), policy.c_str(), mask.c_str(),
            leaves.c_str(), stalls.c_str(), nullptr);
      _exit(127);
    }
    readers_[pid] = {};
    ++started_;
  }

  /// Something happens to one of the readers.
  void strike() {
    auto& [pid, reader] = *std::next(readers_.begin(), static_cast<long>(random_() % readers_.size()));
    if (reader.killed) return;
    if (reader.stopped) {
      kill(pid, SIGCONT);
      reader.stopped = false;
    } else if (random_() % 2 == 0) {
      kill(pid, SIGKILL);
      reader.killed = true;
    } else {
      kill(pid, SIGSTOP);
      reader.stopped = true;
      ++stopped_;
    }
  }

  void collect(int options) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, options);
    if (pid <= 0) return;
    const bool killed = WIFSIGNALED(status) && readers_[pid].killed;
    if (killed) {
      ++killed_;
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      ++ended_;
    } else {
      fmt::print(stderr, "reader {} ended with status {:#x}\n", pid, status);
      ++failed_;
    }
    readers_.erase(pid);
  }

  const std::uint64_t records_;
  const Clock::time_point end_;
  std::mt19937 random_;
  test::TemporaryFolder folder_;
  RingMemory memory_{{.size_bytes = ring_bytes}};
  RingProducer producer_{memory_};
  Share share_{folder_.file("soak.sock"), {.name = "soak"}, {&memory_}};
  std::map<pid_t, Child> readers_;
  std::atomic<bool> produced_ = false;
  std::uint64_t count_ = 0;
  std::atomic<unsigned> started_ = 0;
  unsigned ended_ = 0;
  unsigned killed_ = 0;
  unsigned stopped_ = 0;
  unsigned failed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (words.size() == 6 && words[0] == "--reader") {
      return read(words[1], {words[2] == "lossy" ? ReaderPolicy::lossy : ReaderPolicy::lossless, std::stoull(words[3]),
                             std::stoull(words[4]), static_cast<unsigned>(std::stoul(words[5]))});
    }
    std::uint64_t records = 1'000'000;
    std::chrono::seconds time{0};
    std::uint32_t seed = std::random_device{}();
    for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
      if (words[i] == "--records") records = std::stoull(words[i + 1]);
      if (words[i] == "--seconds") time = std::chrono::seconds(std::stoull(words[i + 1]));
      if (words[i] == "--seed") seed = static_cast<std::uint32_t>(std::stoul(words[i + 1]));
    }
    fmt::print("seed {}\n", seed);
    std::fflush(stdout);
    return Soak(records, time, seed).run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "ring_soak: {}\n", error.what());
    return 1;
  }
}
