#pragma once

/// Translates a graph into code for one frame after the other. Not part of the library's interface.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/jit/assembler.hpp>

namespace ixcap::filter::jit {

/// What the code is called with. The match set of a frame has bit bits[i] for every root i that accepts it.
enum class ScalarShape {
  one_frame,  ///< OneFrameFunction: leaf code, which saves no register
  loop,       ///< LoopFunction: the same code in a loop over a batch, without a call for each frame
};

using OneFrameFunction = std::uint64_t (*)(const Frame* frame) noexcept;

/// `frames` and `match_sets`: `count` of them, at least one. Asks for the bytes of frames of the batch ahead.
using LoopFunction = void (*)(const Frame* frames, std::uint64_t count, std::uint64_t* match_sets) noexcept;

/// Root i answers in bit bits[i]. The graph is optimised with widest_field 8.
Code compile_scalar(const Graph& graph, std::span<const unsigned> bits, ScalarShape shape);

/// If compile_scalar looks at all of the fields that the program from `root`, one of the graph's, may ask for, without
/// branches: the tests of captured lengths that a frame has to pass first. Nothing if it branches.
std::optional<std::vector<Test>> straight_lengths(const Graph& graph, NodeId root);

}  // namespace ixcap::filter::jit
