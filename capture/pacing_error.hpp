#pragma once

/// How late frames were handed to the card: mean, worst, and the bound that 99 of 100 kept. Constant size.
///
/// Threads: one.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace ixcap::capture {

class PacingError {
 public:
  void add(std::uint64_t late_ns) noexcept {
    ++frames_;
    sum_ns_ += late_ns;
    worst_ns_ = std::max(worst_ns_, late_ns);
    ++buckets_[bucket(late_ns)];
  }

  std::uint64_t frames() const noexcept { return frames_; }
  double mean_ns() const noexcept {
    return frames_ == 0 ? 0 : static_cast<double>(sum_ns_) / static_cast<double>(frames_);
  }
  std::uint64_t worst_ns() const noexcept { return worst_ns_; }

  /// At least 99 % of the frames were not later; at most an eighth more than the exact bound.
  std::uint64_t percentile_99_ns() const noexcept {
    const std::uint64_t wanted = frames_ - frames_ / 100;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= wanted) return std::min(upper_bound(i), worst_ns_);
    }
    return worst_ns_;
  }

 private:
  // Eight buckets for each power of two; the first eight hold one value each.
  static constexpr unsigned sub_bits = 3;
  static constexpr std::size_t bucket_count = (64 - sub_bits + 1) << sub_bits;

  static std::size_t bucket(std::uint64_t value) noexcept {
    if (value < 1u << sub_bits) return value;
    const auto exponent = static_cast<unsigned>(std::bit_width(value)) - 1 - sub_bits;
    return (std::size_t{exponent} << sub_bits) + (value >> exponent);
  }
  static std::uint64_t upper_bound(std::size_t index) noexcept {
    if (index < 2u << sub_bits) return index;
    const std::size_t exponent = (index >> sub_bits) - 1;
    const std::uint64_t mantissa = (index & ((1u << sub_bits) - 1)) + (1u << sub_bits);
    return ((mantissa + 1) << exponent) - 1;  // of the last bucket: all ones
  }

  std::uint64_t frames_ = 0;
  std::uint64_t sum_ns_ = 0;
  std::uint64_t worst_ns_ = 0;
  std::array<std::uint64_t, bucket_count> buckets_{};
};

}  // namespace ixcap::capture
