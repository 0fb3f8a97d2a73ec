#pragma once

/// The seat of an engine: whatever runs a set of programs over a batch of frames.
///
/// All engines give the same answer, the one libpcap's bpf_filter gives; docs/filter.md lists what that takes. An
/// engine copies or translates what it needs of the programs when it is made, and never changes afterwards.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <ixcap/driver/frame.hpp>

namespace ixcap::filter {

/// The most programs run together: one bit each in a match set.
inline constexpr std::size_t most_filters = 64;

/// A place in native code, and what the code from there on does.
struct CodeMark {
  std::uint32_t offset;  ///< bytes from the start of the code
  std::string note;      ///< "(003) jeq #0x50", or what has no instruction of its own: "frames of 16 bytes and more"
};

/// Native code as it lies in memory, for looking at; both are owned by the engine.
struct NativeCode {
  std::span<const std::uint8_t> bytes;
  std::span<const CodeMark> marks;  ///< ascending offsets
};

class Engine {
 public:
  virtual ~Engine() = default;

  /// Writes match_sets[f], for every frame f, with bit i set where program i returned other than 0.
  ///
  /// `frames`: at most batch_size, only read, needed until the call returns. `match_sets`: at least as many.
  /// Any number of threads may call this at once. It does not allocate, lock or enter the kernel.
  virtual void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept = 0;

  /// The same, for a caller who knows which frames come next: their first bytes may be asked for while `frames` are
  /// looked at, so that they have arrived when their turn comes. `next`: at most batch_size, their bytes readable.
  virtual void match_ahead(std::span<const Frame> frames, std::span<std::uint64_t> match_sets,
                           [[maybe_unused]] std::span<const Frame> next) const noexcept {
    match(frames, match_sets);
  }

  /// The code that match() runs; empty if the engine has none of its own.
  virtual NativeCode native_code() const noexcept { return {}; }
};

}  // namespace ixcap::filter
