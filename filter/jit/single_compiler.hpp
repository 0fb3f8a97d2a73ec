#pragma once

/// Translates the graph of one small program into code for a batch of frames. Not part of the library's interface.
///
/// The usual case, made short: the answers of the tests stay vectors, nodes combine them group by group, and what comes
/// out is written to the match sets at once. Frames of a group that all have the bytes which the program may ask for,
/// nearly all groups, are not asked for their lengths; the others go through a second copy of the code, which is.

#include <cstdint>
#include <optional>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/jit/assembler.hpp>
#include <ixcap/filter/jit/batch_compiler.hpp>

namespace ixcap::filter::jit {

/// frames: `count` of them, 0 < count <= batch_size, a multiple of 8. Writes 1 to the match set of every frame that the
/// program accepts, 0 to those of others. The topmost `count` bits of the result tell the frames that lanes cannot
/// decide; of them, frames 0 to 7 are bits 0 1 4 5 2 3 6 7, and so on by eights.
using SingleFunction = std::uint64_t (*)(const Frame* frames, std::uint64_t count, std::uint64_t* match_sets,
                                         LaneScratch* scratch) noexcept;

/// The frame that a bit of the result is about.
constexpr std::size_t frame_of_bit(std::size_t bit) noexcept {
  return (bit & ~std::size_t{6}) | (bit & 2) << 1 | (bit >> 1 & 2);
}

/// The code of a SingleFunction; nothing if the graph has more than one program, or is too large to gain by it. The
/// graph is optimised with widest_field 4. `level`: one of 8 lanes, which the CPU need not have.
std::optional<Code> compile_single(const Graph& graph, SimdLevel level);

}  // namespace ixcap::filter::jit
