#pragma once

/// The frames that filter_bench runs filters over: four sets, all of the seeded traffic `mix` with imix sizes.
///
///     hot               what fits 1 MiB: few enough that the branch predictor learns every frame by heart
///     l2                16,384 frames cut to 128 bytes, 2 MiB with their descriptions: too many to learn by heart, and
///                       still near the core
///     memory            64 MiB of frames, in the order in which they lie: every frame is a cache miss
///     memory-shuffled   the same in random order: a miss that no prefetcher of the CPU foresees
///
/// No set repeats a frame: one pool of `mix` follows the other, each made from the next seed. Every frame starts on a
/// cache line of its own, as a card writes it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <ixcap/driver/emulator/random.hpp>
#include <ixcap/driver/frame.hpp>

namespace ixcap::bench {

/// Zeroed memory on huge pages where the kernel gives them (madvise). Owns it; moved, never copied.
class HugeMemory {
 public:
  /// Throws Error if there is no memory.
  explicit HugeMemory(std::size_t size);
  HugeMemory(HugeMemory&& other) noexcept;
  HugeMemory(const HugeMemory&) = delete;
  ~HugeMemory();

  std::span<std::uint8_t> bytes() noexcept { return {start_, size_}; }

 private:
  std::uint8_t* mapping_;
  std::size_t mapping_size_;
  std::uint8_t* start_;  // the first huge page boundary in the mapping
  std::size_t size_;
};

/// The order of a set's frames: as they were made, in a random one, or in another random one for every pass, so that no
/// branch predictor learns them by heart (some CPUs remember the branches of 16,384 frames).
enum class Order : std::uint8_t { as_made, shuffled, new_each_pass };

/// What a set consists of, and how often a round of the measurement goes through it.
struct FrameSetShape {
  std::string_view name;
  std::size_t most_bytes;  ///< of frames, each rounded up to whole cache lines
  std::size_t most_frames;
  std::uint32_t cut_length;  ///< bytes captured of a frame at most
  Order order;
  int untimed_passes;  ///< before the timed ones: they fill caches and train the branch predictor
  int timed_passes;
};

/// The four sets in the order above.
std::span<const FrameSetShape> frame_set_shapes();

struct FrameSet {
  FrameSetShape shape;
  HugeMemory memory;  ///< holds the bytes of the frames
  std::vector<Frame> frames;
};

void shuffle(std::vector<Frame>& frames, emulator::Random& random);

FrameSet make_frame_set(const FrameSetShape& shape, std::uint64_t seed);

/// Bytes of this process that lie on huge pages; 0 where the kernel does not tell.
std::size_t bytes_on_huge_pages();

}  // namespace ixcap::bench
