#include "tests/bench/frame_sets.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <utility>

#include <ixcap/driver/emulator/frame_pool.hpp>
#include <ixcap/driver/emulator/mix_traffic.hpp>
#include <ixcap/driver/emulator/random.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::bench {
namespace {

constexpr std::size_t mebibyte = 1024 * 1024;
constexpr std::size_t huge_page = 2 * mebibyte;
constexpr std::size_t any_number = std::numeric_limits<std::size_t>::max();

// 16,384 frames of at most 128 bytes and their descriptions of 16 bytes are 2 MiB at most, with imix 1.7 MiB.
constexpr std::array shapes{
    FrameSetShape{"hot", 1 * mebibyte, any_number, longest_frame, Order::as_made, 16, 16},
    FrameSetShape{"l2", 2 * mebibyte, 16384, 128, Order::new_each_pass, 1, 4},
    FrameSetShape{"memory", 64 * mebibyte, any_number, longest_frame, Order::as_made, 0, 1},
    FrameSetShape{"memory-shuffled", 64 * mebibyte, any_number, longest_frame, Order::shuffled, 0, 1},
};

/// Copies the next frame to `room`, and cuts `room` to what is left. False when it does not fit.
bool add_frame(const emulator::WireFrame& frame, std::uint32_t cut_length, std::span<std::uint8_t>& room,
               std::vector<Frame>& frames) {
  const std::uint32_t length = std::min(frame.captured_length, cut_length);
  const std::size_t footprint = emulator::FramePool::footprint(length);
  if (footprint > room.size()) return false;
  std::memcpy(room.data(), frame.bytes, length);
  frames.push_back({room.data(), length, frame.wire_length});
  room = room.subspan(footprint);
  return true;
}

}  // namespace

HugeMemory::HugeMemory(std::size_t size) : mapping_size_(size + huge_page), size_(size) {
  void* const mapping =
      ::mmap(nullptr, mapping_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw Error::from_errno("cannot get memory for frames", "", errno, "free some memory");
  mapping_ = static_cast<std::uint8_t*>(mapping);
  const std::size_t past_boundary = reinterpret_cast<std::uintptr_t>(mapping_) % huge_page;
  start_ = mapping_ + (past_boundary == 0 ? 0 : huge_page - past_boundary);
  // A kernel without huge pages refuses, and small ones do as well: bytes_on_huge_pages() says which it was.
  static_cast<void>(::madvise(start_, size_, MADV_HUGEPAGE));
}

HugeMemory::HugeMemory(HugeMemory&& other) noexcept
    : mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_size_(other.mapping_size_),
      start_(other.start_),
      size_(other.size_) {}

HugeMemory::~HugeMemory() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_size_);
}

void shuffle(std::vector<Frame>& frames, emulator::Random& random) {
  for (std::size_t left = frames.size(); left > 1; --left) {
    std::swap(frames[left - 1], frames[random.below(static_cast<std::uint32_t>(left))]);
  }
}

std::span<const FrameSetShape> frame_set_shapes() {
  return shapes;
}

FrameSet make_frame_set(const FrameSetShape& shape, std::uint64_t seed) {
  FrameSet set{shape, HugeMemory(shape.most_bytes), {}};
  std::span<std::uint8_t> room = set.memory.bytes();
  bool fits = true;
  for (std::uint64_t pool_seed = seed; fits; ++pool_seed) {
    emulator::MixTraffic mix({.seed = pool_seed});
    for (std::size_t i = 0; i < mix.period() && fits; ++i) {
      fits = set.frames.size() < shape.most_frames && add_frame(*mix.next(), shape.cut_length, room, set.frames);
    }
  }
  emulator::Random random(seed);
  if (shape.order != Order::as_made) shuffle(set.frames, random);
  return set;
}

std::size_t bytes_on_huge_pages() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string line; std::getline(rollup, line);) {
    constexpr std::string_view key = "AnonHugePages:";
    if (line.starts_with(key)) return std::stoull(line.substr(key.size())) * 1024;
  }
  return 0;
}

}  // namespace ixcap::bench
