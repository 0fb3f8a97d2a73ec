#include "tests/bench/measurement.hpp"

#include <fmt/format.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <limits>
#include <utility>

#include <ixcap/driver/error.hpp>

namespace ixcap::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Makes the compiler believe that somebody reads the bytes at `address`.
void keep(const void* address) {
  asm volatile("" : : "r"(address) : "memory");
}

std::uint64_t word_of(const Frame& frame) {
  std::uint32_t word = 0;
  std::memcpy(&word, frame.data + 12, sizeof word);  // the ethertype is where filters begin
  return word;
}

void read_words(std::span<const Frame> frames, std::size_t distance) {
  std::uint64_t sum = 0;
  std::size_t i = 0;
  if (distance != 0) {
    for (; i + distance < frames.size(); ++i) {
      __builtin_prefetch(frames[i + distance].data);
      sum += word_of(frames[i]);
    }
  }
  for (; i < frames.size(); ++i) sum += word_of(frames[i]);
  keep(&sum);
}

/// Goes through the passes of a round.
class Round {
 public:
  explicit Round(const FrameSet& set) : shape_(set.shape), frames_(set.frames) {}

  /// Nanoseconds a frame.
  double time(const Contender& contender) {
    for (int i = 0; i < shape_.untimed_passes; ++i) contender.pass(frames_);
    Clock::duration taken{};
    for (int i = 0; i < shape_.timed_passes; ++i) {
      if (shape_.order == Order::new_each_pass) shuffle(frames_, random_);
      const auto start = Clock::now();
      contender.pass(frames_);
      taken += Clock::now() - start;
    }
    const std::chrono::duration<double, std::nano> ns = taken;
    return ns.count() / static_cast<double>(frames_.size()) / shape_.timed_passes;
  }

 private:
  const FrameSetShape shape_;
  std::vector<Frame> frames_;
  emulator::Random random_{1};
};

}  // namespace

Contender in_batches(std::string name, const filter::Engine& engine) {
  return {std::move(name), [&engine](std::span<const Frame> frames) {
            std::array<std::uint64_t, batch_size> match_sets;
            while (!frames.empty()) {
              const auto batch = frames.first(std::min(batch_size, frames.size()));
              frames = frames.subspan(batch.size());
              engine.match_ahead(batch, match_sets, frames.first(std::min(batch_size, frames.size())));
              keep(match_sets.data());
            }
          }};
}

Contender word_reader(std::size_t distance) {
  return {"floor", [distance](std::span<const Frame> frames) { read_words(frames, distance); }};
}

std::size_t best_distance(const FrameSet& set) {
  constexpr std::array<std::size_t, 8> distances{0, 2, 4, 8, 16, 32, 64, 128};
  constexpr double seconds = 0.3;
  std::vector<Contender> readers;
  for (const std::size_t distance : distances) readers.push_back(word_reader(distance));
  const std::vector<double> times = measure(set, readers, seconds);
  return distances[static_cast<std::size_t>(std::ranges::min_element(times) - times.begin())];
}

std::vector<double> measure(const FrameSet& set, std::span<const Contender> contenders, double seconds) {
  std::vector<double> fastest(contenders.size(), std::numeric_limits<double>::infinity());
  Round a_round(set);
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  for (std::size_t round = 0; round < fewest_rounds || Clock::now() < end; ++round) {
    for (std::size_t turn = 0; turn < contenders.size(); ++turn) {
      // Another one begins every round, so that nobody always comes after the same one.
      const std::size_t i = (round + turn) % contenders.size();
      fastest[i] = std::min(fastest[i], a_round.time(contenders[i]));
    }
  }
  return fastest;
}

std::uint64_t check_matches(const FrameSet& set, const filter::Program& program, const filter::Engine& engine,
                            std::string_view filter_name, std::string_view engine_name) {
  // The same layout (asserted in filter/program.cpp), and bpf_filter is compiled C: it sees bytes.
  const auto* const instructions = reinterpret_cast<const bpf_insn*>(program.instructions().data());
  const std::span<const Frame> frames = set.frames;
  std::array<std::uint64_t, batch_size> match_sets;
  std::uint64_t matches = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const std::size_t place = i % batch_size;
    if (place == 0) {
      match_sets.fill(~0ull);
      engine.match(frames.subspan(i, std::min(batch_size, frames.size() - i)), match_sets);
    }
    const Frame& frame = frames[i];
    const bool expected = bpf_filter(instructions, frame.data, frame.wire_length, frame.captured_length) != 0;
    if (match_sets[place] != (expected ? 1 : 0)) {
      throw Error(fmt::format("{} does not agree with bpf_filter", engine_name), std::string(filter_name),
                  fmt::format("frame {} of set {} ({} bytes captured of {}): match set {:#x}, bpf_filter says {}", i,
                              set.shape.name, frame.captured_length, frame.wire_length, match_sets[place],
                              expected ? "match" : "no match"),
                  "mend the engine before measuring it");
    }
    matches += expected ? 1 : 0;
  }
  return matches;
}

}  // namespace ixcap::bench
