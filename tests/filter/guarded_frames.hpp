#pragma once

/// Frames beside memory that nobody may touch, so that reading a byte too far is a fault in any code, compiled with
/// sanitizers or not.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <ixcap/driver/frame.hpp>

namespace ixcap::filter {

/// Places for frames, each a few pages between two inaccessible ones. Threads: one at a time.
class GuardedFrames {
 public:
  /// `count` places for frames of up to `longest` bytes.
  GuardedFrames(std::size_t count, std::size_t longest);
  ~GuardedFrames();
  GuardedFrames(const GuardedFrames&) = delete;
  GuardedFrames& operator=(const GuardedFrames&) = delete;

  /// The first `captured` of `bytes`, ending where the place ends: the byte behind them faults. Lent until the place is
  /// used again; the wire length is that of `bytes`.
  Frame at_end(std::size_t place, std::span<const std::uint8_t> bytes, std::size_t captured);

  /// The same, `offset` bytes behind the start of the place: with 0, the byte before the frame faults. Behind what is
  /// captured the memory goes on with the rest of `bytes`, which is what a check of bounds that is one byte short
  /// would take for the frame.
  Frame at_start(std::size_t place, std::span<const std::uint8_t> bytes, std::size_t captured, std::size_t offset = 0);

 private:
  std::size_t size_;    // bytes of one place
  std::size_t stride_;  // from place to place
  std::size_t mapped_;
  std::uint8_t* memory_;
};

/// What this thread is trying. When it then makes a read that faults, standard error says so before the process dies.
/// Points to text that outlives the try.
inline thread_local std::string_view tried;

/// From now on faults are reported with `tried`; then whoever handled them before (a sanitizer) has its turn.
void report_faults();

}  // namespace ixcap::filter
