// Runs as many random programs as wanted through the engines and libpcap's bpf_filter, for a record or until they
// disagree:
//
//     random_programs [--programs N] [--seed S] [--engine NAME]... [--threads T]
//
// Programs come in blocks of 10,000, and every block has a seed of its own: S, S + 1, ... So a disagreement is repeated
// by its block alone. Exit status: 0 if all agree, 1 at the first disagreement, 2 if the arguments are wrong.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <getopt.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <ixcap/filter/engines.hpp>

#include "tests/filter/guarded_frames.hpp"
#include "tests/filter/random_trials.hpp"

namespace ixcap::filter {
namespace {

constexpr std::uint64_t block_size = 10'000;

struct Options {
  std::uint64_t programs = 100'000;
  std::uint32_t seed = 1;
  std::vector<EngineKind> kinds;
  unsigned threads = 1;
};

template <typename Number>
bool read(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool read(std::string_view text, std::vector<EngineKind>& kinds) {
  const auto kind = std::ranges::find(available_engines(), text, name_of);
  if (kind == available_engines().end()) return false;
  kinds.push_back(*kind);
  return true;
}

std::optional<Options> read_options(int count, char** arguments) {
  constexpr option known[] = {{"programs", required_argument, nullptr, 'p'},
                              {"seed", required_argument, nullptr, 's'},
                              {"engine", required_argument, nullptr, 'e'},
                              {"threads", required_argument, nullptr, 't'},
                              {}};
  Options options;
  bool right = true;
  for (int letter; right && (letter = ::getopt_long(count, arguments, "", known, nullptr)) != -1;) {
    switch (letter) {
      case 'p':
        right = read(optarg, options.programs);
        break;
      case 's':
        right = read(optarg, options.seed);
        break;
      case 'e':
        right = read(optarg, options.kinds);
        break;
      case 't':
        right = read(optarg, options.threads) && options.threads > 0 && options.threads <= 256;
        break;
      default:
        right = false;
    }
  }
  if (!right || optind != count) return std::nullopt;
  if (options.kinds.empty()) options.kinds.assign(available_engines().begin(), available_engines().end());
  return options;
}

// Blocks, taken one after the other by whichever thread is free.
class Run {
 public:
  explicit Run(const Options& options) : options_(options) {}

  bool agrees() {
    {
      std::vector<std::jthread> threads;
      for (unsigned count = 0; count < options_.threads; ++count) threads.emplace_back([this] { take_blocks(); });
    }
    fmt::print("seed {}, engines {}: {} programs, {} frames, {} disagreements, {:.1f} s\n", options_.seed,
               fmt::join(names(), " "), programs_, frames_, disagrees_ ? 1 : 0, seconds());
    return !disagrees_;
  }

 private:
  void take_blocks() {
    const std::uint64_t blocks = (options_.programs + block_size - 1) / block_size;
    while (!disagrees_) {
      const std::uint64_t block = next_block_.fetch_add(1, std::memory_order_relaxed);  // only a number to take
      if (block >= blocks) return;
      const auto seed = static_cast<std::uint32_t>(options_.seed + block);
      const std::uint64_t programs = std::min(block_size, options_.programs - block * block_size);
      add(try_random_programs(options_.kinds, seed, programs), seed, programs);
    }
  }

  void add(const TrialResult& result, std::uint32_t seed, std::uint64_t programs) {
    const std::scoped_lock lock(mutex_);
    programs_ += result.programs;
    frames_ += result.frames;
    if (!result.disagreement.empty() && !disagrees_.exchange(true)) {
      fmt::print("{}repeat it with: random_programs --seed {} --programs {} --engine {}\n", result.disagreement, seed,
                 programs, fmt::join(names(), " --engine "));
    }
    const double now = seconds();
    if (now < said_ + 10) return;
    said_ = now;
    fmt::print(stderr, "{} programs, {} frames, {:.0f} s\n", programs_, frames_, now);
  }

  std::vector<std::string_view> names() const {
    std::vector<std::string_view> found;
    std::ranges::transform(options_.kinds, std::back_inserter(found), name_of);
    return found;
  }

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count(); }

  const Options options_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> next_block_ = 0;
  std::atomic<bool> disagrees_ = false;
  std::mutex mutex_;  // of what follows
  std::uint64_t programs_ = 0;
  std::uint64_t frames_ = 0;
  double said_ = 0;  // seconds since the start
};

}  // namespace
}  // namespace ixcap::filter

int main(int count, char** arguments) {
  const auto options = ixcap::filter::read_options(count, arguments);
  if (!options) {
    fmt::print(stderr, "usage: random_programs [--programs N] [--seed S] [--engine NAME]... [--threads T]\n");
    return 2;
  }
  ixcap::filter::report_faults();
  return ixcap::filter::Run(*options).agrees() ? 0 : 1;
}
