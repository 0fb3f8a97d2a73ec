#pragma once

/// Counts by filter: packets and bytes that matched each of up to 64 filters.
///
/// One writer, a receive loop; readers at any time. Each number is a count of its own: what a batch that is being
/// counted adds may be seen in one of them before it is in the other.

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/engine.hpp>

namespace ixcap::capture {

class FilterCounters {
 public:
  struct Count {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;  ///< on the wire, as Record::wire_length
  };

  /// `match_sets`: one a frame, bit i for filter i. Answers how many frames matched anything.
  std::size_t add(std::span<const Frame> frames, std::span<const std::uint64_t> match_sets) noexcept {
    std::size_t matched = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      matched += match_sets[i] != 0 ? 1 : 0;
      for (std::uint64_t bits = match_sets[i]; bits != 0; bits &= bits - 1) {
        const auto bit = static_cast<std::size_t>(std::countr_zero(bits));
        // One writer, so no read-modify-write is needed; relaxed: see above.
        packets_[bit].store(packets_[bit].load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        bytes_[bit].store(bytes_[bit].load(std::memory_order_relaxed) + frames[i].wire_length,
                          std::memory_order_relaxed);
      }
    }
    return matched;
  }

  /// `bit` < filter::most_filters.
  Count count(unsigned bit) const noexcept {
    return {packets_[bit].load(std::memory_order_relaxed), bytes_[bit].load(std::memory_order_relaxed)};
  }

 private:
  alignas(64) std::array<std::atomic<std::uint64_t>, filter::most_filters> packets_{};
  std::array<std::atomic<std::uint64_t>, filter::most_filters> bytes_{};
};

}  // namespace ixcap::capture
