#pragma once

/// Measures contenders against each other: in one run, in turns, so that whatever slows the machine down for a moment
/// slows down all of them.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/program.hpp>

#include "tests/bench/frame_sets.hpp"

namespace ixcap::bench {

/// Something that goes through all frames of a set once.
struct Contender {
  std::string name;
  std::function<void(std::span<const Frame>)> pass;
};

/// `engine` in batches of batch_size; the engine has to outlive the contender.
Contender in_batches(std::string name, const filter::Engine& engine);

/// Reads one word of every frame: what no filter that looks at frames can be faster than. `distance`: how many frames
/// ahead it prefetches; 0 = it does not.
Contender word_reader(std::size_t distance);

/// The distance with which word_reader() is fastest on the set.
std::size_t best_distance(const FrameSet& set);

/// Nanoseconds a frame of every contender in its fastest round, in their order. A round is a few passes
/// (FrameSetShape); in every round each contender has its turn. Takes `seconds`, or longer for fewest_rounds.
inline constexpr int fewest_rounds = 5;
std::vector<double> measure(const FrameSet& set, std::span<const Contender> contenders, double seconds);

/// Compares `engine` frame by frame with bpf_filter. Returns how many frames match; throws Error at the first frame
/// about which they differ. `filter_name` and `engine_name` are for its words.
std::uint64_t check_matches(const FrameSet& set, const filter::Program& program, const filter::Engine& engine,
                            std::string_view filter_name, std::string_view engine_name);

}  // namespace ixcap::bench
