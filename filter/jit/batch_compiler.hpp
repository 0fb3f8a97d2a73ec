#pragma once

/// Translates a graph into code for a batch of frames. Not part of the library's interface.

#include <array>
#include <cstddef>
#include <cstdint>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/jit/assembler.hpp>
#include <ixcap/filter/jit/lane_plan.hpp>
#include <ixcap/filter/jit/lanes.hpp>

namespace ixcap::filter::jit {

/// Memory of the caller for frames that windows may not be loaded from where they are: copies, no window of which
/// crosses a page. And which Frames' bytes to ask for ahead, group by group: a multiple of the lanes.
struct LaneScratch {
  const Frame* prefetch;
  const Frame* prefetch_end;
  static constexpr std::size_t most_lanes = 16;
  alignas(longest_reach) std::array<std::array<std::uint8_t, longest_reach>, most_lanes> bytes;
  std::array<Frame, most_lanes> frames;
};

/// frames: `count` of them, 0 < count <= batch_size, a multiple of the lanes. words[i]: a bit a frame for root i, the
/// frames that it accepts; words[roots]: the frames that lanes cannot decide, whose other bits mean nothing.
using BatchFunction = void (*)(const Frame* frames, std::uint64_t count, std::uint64_t* words,
                               LaneScratch* scratch) noexcept;

/// The code of a BatchFunction; no code at all if the graph has more tests and nodes than fit a small stack frame. The
/// graph is optimised with widest_field 4. The CPU need not have the level.
Code compile_batch(const Graph& graph, SimdLevel level);

}  // namespace ixcap::filter::jit
