#pragma once

/// Translates a graph into code for one frame. Not part of the library's interface.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/jit/assembler.hpp>

namespace ixcap::filter::jit {

/// The code is a function, `std::uint64_t (const Frame*)`, that returns bit bits[i] for every root i that accepts. The
/// graph is optimised with widest_field 8.
Code compile_scalar(const Graph& graph, std::span<const unsigned> bits);

/// If compile_scalar looks at all of the fields that the program from `root`, one of the graph's, may ask for, without
/// branches: the tests of captured lengths that a frame has to pass first. Nothing if it branches.
std::optional<std::vector<Test>> straight_lengths(const Graph& graph, NodeId root);

}  // namespace ixcap::filter::jit
