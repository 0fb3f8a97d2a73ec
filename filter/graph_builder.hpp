#pragma once

/// Programs to decision graphs, by running them on unknown bytes.
///
/// Every path through a program is followed once with A, X and M[] as values of the frame; where paths meet with the
/// same values in what is still going to be read, they become one. Loads leave a test of the captured length in front
/// of what follows, divisions by X a test for 0.

#include <cstddef>
#include <optional>

#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

/// Adds the program as the graph's next root, and its instructions as the origins of its tests. False, leaving `graph`
/// without a new root, if the program is too complicated to be compiled: paths meet with different values so often that
/// more than four times its instructions (and 256) would be needed, or it computes a value in more than 64 operations.
/// No expression of pcap-filter(7) comes near that; the interpreter runs such programs.
bool add_program(Graph& graph, const Program& program);

}  // namespace ixcap::filter
