#pragma once

/// The seat of an engine: whatever runs a set of programs over a batch of frames.
///
/// All engines give the same answer, the one libpcap's bpf_filter gives; docs/filter.md lists what that takes. An
/// engine copies or translates what it needs of the programs when it is made, and never changes afterwards.

#include <cstddef>
#include <cstdint>
#include <span>

#include <ixcap/driver/frame.hpp>

namespace ixcap::filter {

/// The most programs run together: one bit each in a match set.
inline constexpr std::size_t most_filters = 64;

class Engine {
 public:
  virtual ~Engine() = default;

  /// Writes match_sets[f], for every frame f, with bit i set where program i returned other than 0.
  ///
  /// `frames`: at most batch_size, only read, needed until the call returns. `match_sets`: at least as many.
  /// Any number of threads may call this at once. It does not allocate, lock or enter the kernel.
  virtual void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept = 0;
};

}  // namespace ixcap::filter
