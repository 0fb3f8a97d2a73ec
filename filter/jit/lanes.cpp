#include <array>
#include <cstring>
#include <vector>

#include <ixcap/filter/jit/lanes.hpp>

namespace ixcap::filter::jit {
namespace {

using namespace Xbyak::util;

constexpr std::uint32_t all_bits = 0xffffffff;
constexpr std::size_t most_compared = 6;  // constants that are compared with one by one

}  // namespace

// The constant in every lane: AVX-512 repeats one itself.
Xbyak::Address Lanes::pooled(std::uint32_t constant) {
  const std::vector<std::uint32_t> lanes(wide_ ? 1 : count(), constant);
  const Xbyak::Label& label = as_.pooled_table(lanes);
  return wide_ ? ptr_b[rip + label] : ptr[rip + label];
}

void Lanes::hold(std::uint32_t constant, int number) {
  held_[constant] = number;
}

void Lanes::load_held() {
  for (const auto& [constant, number] : held_) as_.vmovdqu(Xbyak::Ymm(number), pooled(constant));
}

template <typename Operation>
void Lanes::with(std::uint32_t constant, const Operation& operation) {
  const auto held = held_.find(constant);
  held == held_.end() ? operation(pooled(constant)) : operation(Xbyak::Ymm(held->second));
}

void Lanes::prepare() {
  if (!wide_) return;
  for (int quarter = 1; quarter < 4; ++quarter) {
    as_.mov(eax, std::uint32_t{0xf} << (4 * quarter));
    as_.kmovw(Xbyak::Opmask(1 + quarter), eax);
  }
}

void Lanes::load_quarter(const Vector& row, unsigned quarter, const Xbyak::RegExp& place) {
  if (quarter == 0) {
    as_.vmovdqu(Xbyak::Xmm(row.getIdx()), ptr[place]);
  } else if (wide_) {
    as_.vbroadcasti32x4(Xbyak::Zmm(row.getIdx()) | Xbyak::Opmask(1 + static_cast<int>(quarter)), ptr[place]);
  } else {
    as_.vinserti128(Xbyak::Ymm(row.getIdx()), Xbyak::Ymm(row.getIdx()), ptr[place], 1);
  }
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

void Lanes::answer_to_eax() {
  wide_ ? as_.kmovw(eax, k1) : as_.vmovmskps(eax, Xbyak::Ymm(answer_));
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

bool Lanes::needs_table(std::size_t constants) {
  return constants > most_compared;
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
  const Vector number = vector(scratch);
  const Vector slot = vector(scratch + 1);
  const Vector answer = vector(answer_);
  mask(number, lanes, mask_bits);
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
  const PerfectHash hash(constants);
  const Vector displacement = vector(scratch + 2);
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

}  // namespace ixcap::filter::jit
