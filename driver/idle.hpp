#pragma once

/// What a polling thread does when it found nothing: spin at first, then give way to others, then sleep.
///
/// The first steps keep the reaction fast while traffic flows; the last keep an idle capture off the processor, and
/// make room where there are more busy threads than processors.
///
/// Threads: one each.

#include <immintrin.h>

#include <chrono>
#include <thread>

namespace ixcap {

class Idle {
 public:
  static constexpr unsigned spins = 64;
  static constexpr unsigned yields = 192;
  static constexpr std::chrono::microseconds nap{50};

  void wait() noexcept {
    if (rounds_ < spins) {
      _mm_pause();
    } else if (rounds_ < spins + yields) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(nap);
    }
    if (rounds_ <= spins + yields) ++rounds_;
  }

  /// There was something to do.
  void reset() noexcept { rounds_ = 0; }

  /// Whether wait() has come to sleeping: nothing has happened for a while.
  bool sleeping() const noexcept { return rounds_ > spins + yields; }

 private:
  unsigned rounds_ = 0;
};

}  // namespace ixcap
