#pragma once

/// Makes decision graphs cheaper without changing what they decide.
///
/// - Tests of the captured length move up and join: a path that is going to reject needs no length, so a node may ask
///   for the least that any accepting path from there on needs. Behind it, smaller lengths are known.
/// - A chain of tests that lead to the same place when they hold (`port 80 or port 443 or ...`) is grouped by field,
///   and four or more constants for one field become one test for membership.
/// - A chain of tests that lead to the same place when they fail (`protocol 6, and no fragment`) joins neighbouring
///   fields into masked comparisons of up to 8 bytes.

#include <ixcap/filter/graph.hpp>

namespace ixcap::filter {

/// The new roots take the place of the old. `widest_field`: bytes that may be compared at once, 4 or 8.
void optimize(Graph& graph, unsigned widest_field);

}  // namespace ixcap::filter
