#pragma once

/// The parts of a decision graph in words, for listings.

#include <string>

#include <ixcap/filter/graph.hpp>

namespace ixcap::filter {

/// `[12:2] = 0x800`, `[26:4] in {32 constants}`, `length >= 34`, `[4*([14]&0xf)+16:2] > 1024`. Constants are written in
/// the network's order.
std::string describe(const Graph& graph, const Test& test);

/// What describe() says, and the instructions that asked for it: `[12:2] = 0x800 <- (001)`; with several programs
/// `(2:001)` is instruction 1 of program 2.
std::string describe_with_origins(const Graph& graph, TestId test);

}  // namespace ixcap::filter
