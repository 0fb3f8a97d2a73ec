#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/jit/lane_plan.hpp>
#include <ixcap/filter/jit/lanes.hpp>

namespace ixcap::filter::jit {
namespace {

using namespace Xbyak::util;

constexpr std::uint32_t all_bits = 0xffffffff;
constexpr std::size_t most_compared = 6;     // constants that are compared with one by one
constexpr std::size_t most_in_vectors = 32;  // constants that are looked up in vectors (AVX-512)
constexpr std::uint32_t lanes_wide = 16;     // of AVX-512

}  // namespace

// The constant in every lane: AVX-512 repeats one itself.
Xbyak::Address Lanes::pooled(std::uint32_t constant) {
  const std::vector<std::uint32_t> lanes(wide_ ? 1 : count(), constant);
  const Xbyak::Label& label = as_.pooled_table(lanes);
  return wide_ ? ptr_b[rip + label] : ptr[rip + label];
}

void Lanes::hold(std::uint32_t constant, int number) {
  (number < 16 ? held_ : held_masks_)[constant] = number;
}

template <typename Operation>
void Lanes::with(std::uint32_t constant, const Operation& operation) {
  const auto held = held_.find(constant);
  held == held_.end() ? operation(pooled(constant)) : operation(Xbyak::Ymm(held->second));
}

void Lanes::prepare() {
  for (unsigned quarter = 1; has_avx512_ && quarter < count() / 4; ++quarter) {
    as_.mov(eax, std::uint32_t{0xff} << (8 * quarter));
    as_.kmovd(Xbyak::Opmask(1 + static_cast<int>(quarter)), eax);
  }
  for (const auto& [constant, number] : held_) as_.vmovdqu(Xbyak::Ymm(number), pooled(constant));
  for (const auto& [constant, number] : held_masks_) as_.vmovdqu32(Xbyak::Ymm(number), pooled(constant));
}

void Lanes::load_quarter(const Vector& row, unsigned quarter, const Xbyak::RegExp& place) {
  if (quarter == 0) return as_.vmovdqu(Xbyak::Xmm(row.getIdx()), ptr[place]);
  as_.vinserti128(Xbyak::Ymm(row.getIdx()), Xbyak::Ymm(row.getIdx()), ptr[place], 1);
}

void Lanes::pick_quarter(const Vector& row, unsigned quarter, const Xbyak::RegExp& place, int order) {
  Vector target = row;
  if (quarter != 0) target.setOpmaskIdx(1 + static_cast<int>(quarter));
  as_.vpermw(target, vector(order), ptr[place]);
}

void Lanes::permute(const Vector& lanes, const Vector& order) {
  if (wide_) return as_.vpermd(Xbyak::Zmm(lanes.getIdx()), Xbyak::Zmm(order.getIdx()), Xbyak::Zmm(lanes.getIdx()));
  as_.vpermd(Xbyak::Ymm(lanes.getIdx()), Xbyak::Ymm(order.getIdx()), Xbyak::Ymm(lanes.getIdx()));
}

void Lanes::load(const Vector& target, const Xbyak::Address& place) {
  wide_ ? as_.vmovdqu32(target, place) : as_.vmovdqu(target, place);
}

void Lanes::store(const Xbyak::Address& place, const Vector& source) {
  wide_ ? as_.vmovdqu32(place, source) : as_.vmovdqu(place, source);
}

void Lanes::broadcast(const Vector& target, std::uint32_t constant) {
  as_.vpbroadcastd(target, as_.pooled32(constant));
}

void Lanes::smaller(const Vector& target, std::uint32_t constant) {
  as_.vpminud(target, target, pooled(constant));
}

void Lanes::swap_bytes(const Vector& target) {
  std::vector<std::uint8_t> order(vector_size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint8_t>((i % 16) ^ 3);
  as_.vpshufb(target, target, ptr[rip + as_.pooled(order)]);
}

void Lanes::mask(const Vector& target, const Vector& source, std::uint32_t constant) {
  if (wide_) return as_.vpandd(target, source, pooled(constant));
  const auto held = held_masks_.find(constant);
  if (held != held_masks_.end()) return as_.vpandd(target, source, Xbyak::Ymm(held->second));
  with(constant, [&](const Xbyak::Operand& op) { as_.vpand(target, source, op); });
}

void Lanes::operate(ValueKind kind, const Vector& target, const Vector& left, const Vector& right) {
  switch (kind) {
    case ValueKind::add:
      return as_.vpaddd(target, left, right);
    case ValueKind::subtract:
      return as_.vpsubd(target, left, right);
    case ValueKind::multiply:
      return as_.vpmulld(target, left, right);
    case ValueKind::bit_and:
      return wide_ ? as_.vpandd(target, left, right) : as_.vpand(target, left, right);
    case ValueKind::bit_or:
      return wide_ ? as_.vpord(target, left, right) : as_.vpor(target, left, right);
    default:
      return wide_ ? as_.vpxord(target, left, right) : as_.vpxor(target, left, right);
  }
}

void Lanes::shift(ValueKind kind, const Vector& target, unsigned distance) {
  const auto bits = static_cast<std::uint8_t>(distance);
  kind == ValueKind::shift_left ? as_.vpslld(target, target, bits) : as_.vpsrld(target, target, bits);
}

void Lanes::store_answer(const Xbyak::RegExp& place) {
  if (wide_) return as_.kmovw(word[place], k1);
  as_.vmovmskps(eax, Xbyak::Ymm(answer_));
  as_.mov(byte[place], al);
}

void Lanes::invert(const Vector& mask) {
  as_.vpxor(mask, mask, pooled(all_bits));
}

void Lanes::masked_equals(const Vector& lanes, std::uint32_t mask_bits, std::uint32_t constant, bool is_masked) {
  const Vector answer = vector(answer_);
  // The top bit of a lane is that of its upper half and of its last byte, too.
  const bool is_half = !wide_ && mask_bits == 0xffff0000;
  const bool is_byte = !wide_ && mask_bits == 0xff000000;
  if (is_half) return with(constant, [&](const Xbyak::Operand& op) { as_.vpcmpeqw(answer, lanes, op); });
  if (is_byte) return with(constant, [&](const Xbyak::Operand& op) { as_.vpcmpeqb(answer, lanes, op); });
  const Vector masked = mask_bits == all_bits ? lanes : vector(scratch);
  if (wide_ && constant == 0) return as_.vptestnmd(k1, lanes, pooled(mask_bits));
  // What has no bits to be looked for may have left no masked lanes behind.
  if (mask_bits != all_bits && (wide_ || !is_masked)) mask(masked, lanes, mask_bits);
  if (wide_) return as_.vpcmpeqd(k1, masked, pooled(constant));
  with(constant, [&](const Xbyak::Operand& op) { as_.vpcmpeqd(answer, masked, op); });
}

bool Lanes::fits_vectors(std::size_t constants) const noexcept {
  return has_avx512_ && constants > most_compared && constants <= most_in_vectors;
}

bool Lanes::searches_memory(std::size_t constants) const noexcept {
  return constants > most_compared && !fits_vectors(constants);
}

void Lanes::either_half_equals(const Vector& lanes, std::uint16_t constant) {
  const Vector answer = vector(answer_);
  with(constant * both_halves, [&](const Xbyak::Operand& op) { as_.vpcmpeqw(answer, lanes, op); });
  // 0, or -1 for each half that is equal
  with(both_halves, [&](const Xbyak::Operand& op) { as_.vpmaddwd(answer, answer, op); });
}

// Few constants one by one, many through their perfect hash.
void Lanes::masked_in(const Vector& lanes, std::uint32_t mask_bits, std::span<const std::uint64_t> constants,
                      unsigned distance) {
  const Vector number = mask_bits == all_bits ? lanes : vector(scratch);
  const Vector slot = vector(scratch + 1);
  const Vector answer = vector(answer_);
  if (mask_bits != all_bits) mask(number, lanes, mask_bits);
  if (distance != 0) shift(ValueKind::shift_right, number, distance);
  if (constants.size() <= most_compared && wide_) {
    as_.kxorw(k1, k1, k1);
    for (const std::uint64_t constant : constants) {
      as_.vpcmpeqd(k5, number, pooled(static_cast<std::uint32_t>(constant)));
      as_.korw(k1, k1, k5);
    }
    return;
  }
  if (constants.size() <= most_compared) {
    as_.vpcmpeqd(answer, number, pooled(static_cast<std::uint32_t>(constants[0])));
    for (const std::uint64_t constant : constants.subspan(1)) {
      as_.vpcmpeqd(slot, number, pooled(static_cast<std::uint32_t>(constant)));
      as_.vpor(answer, answer, slot);
    }
    return;
  }
  fits_vectors(constants.size()) ? look_up_in_vectors(number, constants) : look_up_in_memory(number, constants);
}

void Lanes::look_up_in_memory(const Vector& number, std::span<const std::uint64_t> constants) {
  const Vector slot = vector(scratch + 1);
  const Vector displacement = vector(scratch + 2);
  const PerfectHash hash(constants, PerfectHash::Aim::fewest_steps);
  const auto look_up = [this](const Vector& target, const Vector& index, std::span<const std::uint32_t> table) {
    as_.lea(rax, ptr[rip + as_.pooled_table(table)]);
    if (wide_) {
      as_.kxnorw(k1, k1, k1);
      as_.vpgatherdd(Xbyak::Zmm(target.getIdx()) | k1, ptr[rax + Xbyak::Zmm(index.getIdx()) * 4]);
    } else {
      const Xbyak::Ymm all = Xbyak::Ymm(answer_);
      as_.vpcmpeqd(all, all, all);
      as_.vpgatherdd(Xbyak::Ymm(target.getIdx()), ptr[rax + Xbyak::Ymm(index.getIdx()) * 4], all);
    }
  };
  if (!hash.displacements.empty()) {
    as_.vpmulld(slot, number, pooled(hash.multiplier_2));
    shift(ValueKind::shift_right, slot, hash.shift_2);
    look_up(displacement, slot, hash.displacements);
  }
  as_.vpmulld(slot, number, pooled(hash.multiplier));
  shift(ValueKind::shift_right, slot, hash.shift);
  if (!hash.displacements.empty()) operate(ValueKind::bit_xor, slot, slot, displacement);
  look_up(displacement, slot, hash.entries);
  compare(TestKind::equal, number, displacement);
}

// A table of up to 64 entries fits four vectors of 16, from which a permutation takes an entry for every lane.
void Lanes::look_up_in_vectors(const Vector& number, std::span<const std::uint64_t> constants) {
  PerfectHash hash(constants, PerfectHash::Aim::smallest_table);
  const std::size_t parts = std::max<std::size_t>(hash.entries.size() / lanes_wide, 1);
  hash.displacements.resize(lanes_wide);
  hash.entries.resize(parts * lanes_wide);
  const Vector slot = vector(wide_ ? scratch + 1 : answer_);
  const Xbyak::Zmm found(28), index(slot.getIdx()), low(29), high(30), in_high(31);
  const auto part = [&](std::size_t number_of_part) {
    return ptr[rip + as_.pooled_table(std::span(hash.entries).subspan(number_of_part * lanes_wide, lanes_wide))];
  };
  as_.vpmulld(slot, number, pooled(hash.multiplier_2));
  shift(ValueKind::shift_right, slot, hash.shift_2);
  as_.vpermd(found, index, ptr[rip + as_.pooled_table(hash.displacements)]);
  as_.vpmulld(slot, number, pooled(hash.multiplier));
  shift(ValueKind::shift_right, slot, hash.shift);
  as_.vpxord(index, index, found);
  if (parts == 1) {
    as_.vpermd(index, index, part(0));
  } else {
    as_.vmovdqu32(low, part(0));
    if (parts == 4) {
      as_.vmovdqu32(high, part(2));
      as_.vptestmd(k5, index, ptr_b[rip + as_.pooled_table(std::array<std::uint32_t, 1>{2 * lanes_wide})]);
      as_.vmovdqa32(in_high, index);
      as_.vpermi2d(in_high, high, part(3));
    }
    as_.vpermi2d(index, low, part(1));
    if (parts == 4) as_.vmovdqa32(index | k5, in_high);
  }
  compare(TestKind::equal, number, slot);
}

void Lanes::greater_signed(const Vector& lanes, std::uint32_t constant) {
  if (wide_) {
    as_.vpcmpgtd(k1, lanes, pooled(constant));
    return;
  }
  as_.vpcmpgtd(vector(answer_), lanes, pooled(constant));
}

void Lanes::compare(TestKind kind, const Vector& left, const Vector& right) {
  if (wide_) {
    constexpr std::uint8_t not_less = 5;
    constexpr std::uint8_t greater = 6;
    if (kind == TestKind::any_bit) {
      as_.vptestmd(k1, left, right);
    } else if (kind == TestKind::equal) {
      as_.vpcmpeqd(k1, left, right);
    } else {
      as_.vpcmpud(k1, left, right, kind == TestKind::greater ? greater : not_less);
    }
    return;
  }
  // AVX2 compares signed numbers only; the larger of two unsigned ones says the same.
  const Vector answer = vector(answer_);
  switch (kind) {
    case TestKind::any_bit:
      as_.vpxor(Xbyak::Ymm(scratch), Xbyak::Ymm(scratch), Xbyak::Ymm(scratch));
      as_.vpand(answer, left, right);
      as_.vpcmpeqd(answer, answer, vector(scratch));
      return invert(answer);
    case TestKind::equal:
      return as_.vpcmpeqd(answer, left, right);
    case TestKind::greater:
      as_.vpmaxud(answer, left, right);
      as_.vpcmpeqd(answer, answer, right);
      return invert(answer);
    default:
      as_.vpmaxud(answer, left, right);
      return as_.vpcmpeqd(answer, answer, left);
  }
}

void Lanes::jump_if_crossing(const Vector& addresses, std::uint32_t last_offset, const Vector& lengths,
                             std::uint32_t reach, bool none_empty, const Xbyak::Label& target) {
  const Vector in_page = vector(scratch);
  const Vector limit = vector(5);
  mask(in_page, addresses, page_size - 1);
  if (wide_) {
    as_.vpcmpgtd(k1, in_page, pooled(last_offset));
    as_.vptestnmd(k5, lengths, lengths);
    as_.korw(k1, k1, k5);
    broadcast(limit, reach);
    as_.vpcmpgtd(k1 | k1, limit, lengths);
    as_.kortestw(k1, k1);
  } else {
    as_.vpcmpgtd(in_page, in_page, pooled(last_offset));
    if (!none_empty) {
      as_.vpxor(limit, limit, limit);
      as_.vpcmpeqd(limit, limit, lengths);
      as_.vpor(in_page, in_page, limit);
    }
    as_.vpsubd(limit, lengths, pooled(reach));
    as_.vtestps(in_page, limit);
  }
  as_.jnz(target, Xbyak::CodeGenerator::T_NEAR);
}

void Lanes::jump_if_any_is_short(const Xbyak::Reg64& frames, std::uint32_t length, std::uint32_t last_offset,
                                 const Xbyak::Label& target) {
  // Four Frames a vector, four words a Frame.
  constexpr std::uint32_t first_words = 0x1111;
  constexpr std::uint32_t length_words = first_words << offsetof(Frame, captured_length) / word_size;
  const Xbyak::Zmm shortest(4), highest(5), in_page(scratch);
  const std::array<std::uint32_t, 4> low_bits = {page_size - 1, 0, 0, 0};
  for (unsigned row = 0; row < 4; ++row) {
    as_.vmovdqu32(Xbyak::Zmm(static_cast<int>(row)), ptr[frames + vector_size() * row]);
  }
  as_.vpminud(shortest, Xbyak::Zmm(0), Xbyak::Zmm(1));
  for (int row = 2; row < 4; ++row) as_.vpminud(shortest, shortest, Xbyak::Zmm(row));
  as_.vbroadcasti32x4(in_page, ptr[rip + as_.pooled_table(low_bits)]);
  as_.vpandd(highest, in_page, Xbyak::Zmm(0));
  for (int row = 1; row < 4; ++row) {
    as_.vpandd(Xbyak::Zmm(row), in_page, Xbyak::Zmm(row));
    as_.vpmaxud(highest, highest, Xbyak::Zmm(row));
  }
  constexpr std::uint8_t less = 1;
  constexpr std::uint8_t greater = 6;
  as_.vpcmpud(k1, shortest, pooled(length), less);
  as_.vpcmpud(k5, highest, pooled(last_offset), greater);
  as_.kmovw(eax, k1);
  as_.and_(eax, length_words);
  as_.kmovw(ecx, k5);
  as_.or_(eax, ecx);
  as_.jnz(target, Xbyak::CodeGenerator::T_NEAR);
}

}  // namespace ixcap::filter::jit
