#pragma once

/// A set of filters: packet filter and packet classifier in one, what capture asks about every batch of frames.
///
/// The answer for a frame is a 64-bit match set: bit i = filter i matched, so 0 = nobody wants the frame. How many
/// bytes a program asks to keep (its return value) plays no part; how much of a frame is captured is the capture's
/// business.
///
/// A Set without filters matches every frame, with match set 1: bit 0 then stands for the whole capture, and whoever
/// reads match sets needs no special case for "no filter given".
///
/// Threads: any number may call match() at once. A Set never changes; copies share its translated programs.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

class Set {
 public:
  /// No filters: matches every frame.
  Set() = default;

  /// Filter i is programs[i]; nothing of `programs` is kept. Throws Error if there are more than most_filters.
  explicit Set(std::span<const Program> programs);

  /// Filters in the set.
  std::size_t size() const noexcept { return size_; }

  /// Writes match_sets[f] for every frame f. `frames`: at most batch_size; `match_sets`: at least as many. Frames are
  /// only read, and needed until the call returns.
  void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept;

 private:
  std::size_t size_ = 0;
  std::shared_ptr<const Engine> engine_;  // null: no filters
};

}  // namespace ixcap::filter
