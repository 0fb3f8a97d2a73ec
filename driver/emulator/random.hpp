#pragma once

/// A small random number generator that gives the same numbers on every machine, which the distributions of <random>
/// do not: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).

#include <cstdint>

namespace ixcap::emulator {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  /// A number from 0 to `bound` - 1.
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(((next() >> 32) * bound) >> 32); }

  bool coin() { return below(2) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace ixcap::emulator
