#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <optional>

#include <ixcap/filter/jit/assembler.hpp>
#include <ixcap/filter/jit/bounds.hpp>

namespace ixcap::filter::jit {
namespace {

constexpr std::size_t first_code_size = 16 * page_size;  // it grows

/// SplitMix64: multipliers for hashes, the same ones every time.
class Multipliers {
 public:
  std::uint32_t operator()() noexcept {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<std::uint32_t>(z ^ (z >> 31)) | 1;
  }

 private:
  std::uint64_t state_ = 0;
};

constexpr std::uint32_t hash(std::uint64_t constant, std::uint32_t multiplier, unsigned shift) noexcept {
  return (static_cast<std::uint32_t>(constant) * multiplier) >> shift;
}

/// Whether all constants get slots of their own; then `slots` says which hold what.
bool all_apart(std::span<const std::uint64_t> constants, std::uint32_t multiplier, unsigned shift,
               std::vector<std::int32_t>& slots) {
  std::ranges::fill(slots, -1);
  for (std::size_t i = 0; i < constants.size(); ++i) {
    std::int32_t& slot = slots[hash(constants[i], multiplier, shift)];
    if (slot >= 0) return false;
    slot = static_cast<std::int32_t>(i);
  }
  return true;
}

}  // namespace

Assembler::Assembler() : CodeGenerator(first_code_size, Xbyak::AutoGrow) {
  setDefaultJmpNEAR(true);
}

Xbyak::Label& Assembler::pooled(std::span<const std::uint8_t> bytes) {
  return pool_[std::string(bytes.begin(), bytes.end())];
}

Xbyak::Address Assembler::pooled32(std::uint32_t value) {
  const auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof value>>(value);
  return ptr[rip + pooled(bytes)];
}

Xbyak::Address Assembler::pooled64(std::uint64_t value) {
  const auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof value>>(value);
  return ptr[rip + pooled(bytes)];
}

Xbyak::Label& Assembler::pooled_table(std::span<const std::uint32_t> entries) {
  std::vector<std::uint8_t> bytes(entries.size_bytes());
  std::memcpy(bytes.data(), entries.data(), bytes.size());
  return pooled(bytes);
}

std::uint64_t Assembler::bound(std::uint64_t length) noexcept {
  return emitted_bounds++ == weakened_bound ? length - 1 : length;
}

Code Assembler::finish() {
  Code code;
  code.size = getSize();
  const auto pad = [this](std::size_t alignment) {
    while (getSize() % alignment != 0) db(0xcc);  // int3: nobody comes by
  };
  pad(page_size);
  const std::size_t code_size = getSize();
  for (auto& [bytes, label] : pool_) {
    pad(std::min(std::bit_floor(bytes.size()), std::size_t{64}));
    L(label);
    for (const char one : bytes) db(static_cast<std::uint8_t>(one));
  }
  ready(PROTECT_RW);  // resolves what is left; the copy below is what runs
  code.memory = std::make_unique<const CodeMemory>(std::span(getCode(), getSize()), code_size);
  code.marks = std::move(marks_);
  return code;
}

PerfectHash::PerfectHash(std::span<const std::uint64_t> constants, Aim aim) {
  Multipliers next;
  const auto count = static_cast<unsigned>(constants.size());
  constexpr unsigned most_single_level = 64;
  constexpr unsigned tries = 64;
  const unsigned least_bits = static_cast<unsigned>(std::bit_width(count - 1));
  std::vector<std::int32_t> slots;
  const auto take = [&] {
    // An empty slot holds some constant: a number that lands there and equals it would be that constant.
    for (const std::int32_t slot : slots) {
      entries.push_back(static_cast<std::uint32_t>(constants[static_cast<std::size_t>(std::max(slot, 0))]));
    }
  };
  if (aim == Aim::fewest_steps && count <= most_single_level) {
    for (unsigned bits = least_bits + 3; bits <= 2 * least_bits + 3; ++bits) {
      slots.assign(std::size_t{1} << bits, -1);
      shift = 32 - bits;
      for (unsigned i = 0; i < tries; ++i) {
        multiplier = next();
        if (!all_apart(constants, multiplier, shift, slots)) continue;
        take();
        return;
      }
    }
  }
  // Two levels, twice as many slots as constants: the fullest buckets choose their displacement first.
  const unsigned bits = least_bits + 1;
  const unsigned bucket_bits = std::max(least_bits, 3u) - 2;
  shift = 32 - bits;
  shift_2 = 32 - bucket_bits;
  std::vector<std::vector<std::uint32_t>> buckets;
  std::vector<std::uint32_t> order(std::size_t{1} << bucket_bits);
  std::iota(order.begin(), order.end(), 0);
  const auto place = [&](const std::vector<std::uint32_t>& bucket, std::uint32_t displacement) {
    for (std::size_t i = 0; i < bucket.size(); ++i) {
      std::int32_t& slot = slots[hash(constants[bucket[i]], multiplier, shift) ^ displacement];
      if (slot >= 0) {
        while (i-- > 0) slots[hash(constants[bucket[i]], multiplier, shift) ^ displacement] = -1;
        return false;
      }
      slot = static_cast<std::int32_t>(bucket[i]);
    }
    return true;
  };
  while (true) {  // a try fails when two constants of one bucket share a hash; soon one does not
    multiplier = next();
    multiplier_2 = next();
    buckets.assign(order.size(), {});
    for (std::uint32_t i = 0; i < count; ++i) buckets[hash(constants[i], multiplier_2, shift_2)].push_back(i);
    std::ranges::sort(order, std::greater(), [&](std::uint32_t bucket) { return buckets[bucket].size(); });
    slots.assign(std::size_t{1} << bits, -1);
    displacements.assign(order.size(), 0);
    const bool done = std::ranges::all_of(order, [&](std::uint32_t bucket) {
      std::uint32_t& displacement = displacements[bucket];
      while (!place(buckets[bucket], displacement)) {
        if (++displacement == slots.size()) return false;
      }
      return true;
    });
    if (!done) continue;
    take();
    return;
  }
}

}  // namespace ixcap::filter::jit
