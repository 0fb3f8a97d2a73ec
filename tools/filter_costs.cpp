/// `ixcap filter --cost`: what a frame costs each engine.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <limits>
#include <span>

#include <ixcap/driver/error.hpp>

#include "tools/filter_engine.hpp"
#include "tools/filter_reports.hpp"
#include "tools/frame_file.hpp"

namespace ixcap::tools {
namespace {

using Clock = std::chrono::steady_clock;
using Nanoseconds = std::chrono::duration<double, std::nano>;

constexpr std::size_t most_bytes = std::size_t{256} << 20;  // of frames in memory
constexpr std::size_t frames_a_turn = 20'000;               // at least: the clock then takes no part in the result
constexpr int fewest_rounds = 5;
constexpr int most_rounds = 1000;
constexpr std::chrono::milliseconds patience{2000};

struct Contender {
  NamedEngine engine;
  double best_ns = std::numeric_limits<double>::infinity();  // a frame
  std::uint64_t matches = 0;                                 // bits set in one pass over the frames
};

struct Measurement {
  int rounds = 0;
  std::size_t passes = 0;  // over the frames, in a round
};

FrameStore load(const std::string& path) {
  FrameFile file(path);
  FrameStore store;
  const bool more = file.read(store, std::numeric_limits<std::size_t>::max(), most_bytes);
  if (store.size() == 0) throw Error("cannot measure on", path, "it holds no frame", "give a capture file with frames");
  if (more) fmt::print(stderr, "ixcap: '{}' is large: measuring on its first {} frames\n", path, store.size());
  return store;
}

/// Bits set in the match sets of all frames.
std::uint64_t match_all(const filter::Engine& engine, std::span<const Frame> frames) {
  std::array<std::uint64_t, batch_size> match_sets{};
  std::uint64_t matches = 0;
  while (!frames.empty()) {
    const auto batch = frames.first(std::min(batch_size, frames.size()));
    engine.match(batch, match_sets);
    for (std::size_t f = 0; f < batch.size(); ++f) matches += static_cast<unsigned>(std::popcount(match_sets[f]));
    frames = frames.subspan(batch.size());
  }
  return matches;
}

void take_turn(Contender& contender, std::span<const Frame> frames, std::size_t passes) {
  const Clock::time_point start = Clock::now();
  for (std::size_t pass = 0; pass < passes; ++pass) contender.matches = match_all(*contender.engine.engine, frames);
  const Nanoseconds elapsed = Clock::now() - start;
  contender.best_ns = std::min(contender.best_ns, elapsed.count() / static_cast<double>(passes * frames.size()));
}

/// In turns, so that what else the machine does falls on all alike; each keeps its best.
Measurement measure(std::vector<Contender>& contenders, std::span<const Frame> frames) {
  Measurement measurement{.passes = (frames_a_turn + frames.size() - 1) / frames.size()};
  const Clock::time_point end = Clock::now() + patience;
  do {
    for (Contender& contender : contenders) take_turn(contender, frames, measurement.passes);
    ++measurement.rounds;
  } while (measurement.rounds < fewest_rounds || (measurement.rounds < most_rounds && Clock::now() < end));
  return measurement;
}

/// A figure for a wrong answer would be worth nothing.
void check_agreement(const std::vector<Contender>& contenders) {
  const Contender& judge = contenders.front();
  for (const Contender& contender : contenders) {
    if (contender.matches == judge.matches) continue;
    throw Error(
        "cannot compare filter engine", contender.engine.name,
        fmt::format("it found {} matches where {} found {}", contender.matches, judge.engine.name, judge.matches),
        "report this together with the expressions and the capture file");
  }
}

}  // namespace

void print_costs(const Filters& filters, const std::string& path) {
  const FrameStore store = load(path);
  const std::vector<Frame> frames = store.frames();
  std::vector<Contender> contenders;
  for (NamedEngine& engine : make_all_engines(filters.programs)) contenders.push_back({.engine = std::move(engine)});
  const Measurement measurement = measure(contenders, frames);
  check_agreement(contenders);

  fmt::print(stderr, "ixcap: {} frames of {} bytes on average, {} expression{}; best of {} rounds of {} passes\n",
             frames.size(), store.bytes() / frames.size(), filters.programs.size(),
             filters.programs.size() == 1 ? "" : "s", measurement.rounds, measurement.passes);
  fmt::print("{:<12} {:>10} {:>17}\n", "engine", "ns/packet", "speed of libpcap");
  for (const Contender& contender : contenders) {
    fmt::print("{:<12} {:>10.2f} {:>16.2f}x\n", contender.engine.name, contender.best_ns,
               contenders.front().best_ns / contender.best_ns);
  }
}

}  // namespace ixcap::tools
