#include <cstddef>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/jit/scalar_tests.hpp>

namespace ixcap::filter::jit {
namespace {

using namespace Xbyak::util;

// A constant of one byte: with the offset's, two in a row.
constexpr std::uint64_t longest_beside_offset = 0x7f;

constexpr std::uint64_t full_mask(unsigned width) noexcept {
  return ~std::uint64_t{0} >> (64 - 8 * width);
}

}  // namespace

void ScalarTests::frame_to_registers(bool wire_length) {
  as_.mov(esi, dword[rdi + offsetof(Frame, captured_length)]);
  if (wire_length) as_.mov(r11d, dword[rdi + offsetof(Frame, wire_length)]);
  as_.mov(rdi, qword[rdi + offsetof(Frame, data)]);
}

// The offset of the byte with the header length, if `base` is one that r10 holds in units of four bytes: addresses
// multiply by four for nothing.
std::optional<std::uint32_t> ScalarTests::scaled_header(ValueId base) const noexcept {
  const auto header = graph_.header_length_at(base);
  return header && *header <= longest_immediate ? header : std::nullopt;
}

void ScalarTests::load_base(ValueId base) {
  if (base_ == base) return;
  if (const auto header = scaled_header(base)) {
    as_.movzx(r10d, byte[rdi + *header]);
    as_.and_(r10d, 0xf);
  } else {
    base_ = no_value;  // it may need a base of its own
    evaluate(base);
    as_.mov(r10d, eax);
  }
  base_ = base;
}

Xbyak::Address ScalarTests::at(const Xbyak::AddressFrame& size, ValueId base, std::uint32_t offset) {
  Xbyak::RegExp from_base;
  if (base != no_value) {
    load_base(base);
    from_base = r10 * (scaled_header(base) ? 4 : 1);
  }
  if (offset <= longest_immediate) return size[rdi + from_base + offset];
  as_.mov(ecx, as_.pooled32(offset));
  as_.add(rcx, rdi);
  return size[rcx + from_base];
}

void ScalarTests::load(const Value& value) {
  if (value.size == 1) {
    as_.movzx(eax, at(byte, value.left, value.k));
  } else if (value.size == 2) {
    as_.movzx(eax, at(word, value.left, value.k));
    as_.ror(ax, 8);
  } else {
    as_.mov(eax, at(dword, value.left, value.k));
    as_.bswap(eax);
  }
}

void ScalarTests::evaluate_both(ValueId left, ValueId right) {
  if (graph_.value(right).kind == ValueKind::constant) {
    evaluate(left);
    as_.mov(ecx, as_.pooled32(graph_.value(right).k));
    return;
  }
  evaluate(right);
  as_.push(rax);
  evaluate(left);
  as_.pop(rcx);
}

void ScalarTests::divide(ValueId left, ValueId right, bool modulo) {
  evaluate_both(left, right);
  as_.xor_(edx, edx);
  as_.div(ecx);
  if (modulo) as_.mov(eax, edx);
}

void ScalarTests::shift(const Value& value) {
  const bool left = value.kind == ValueKind::shift_left;
  const Value& count = graph_.value(value.right);
  if (count.kind == ValueKind::constant) {  // below 32, or it would have been folded
    evaluate(value.left);
    left ? as_.shl(eax, static_cast<int>(count.k)) : as_.shr(eax, static_cast<int>(count.k));
    return;
  }
  evaluate_both(value.left, value.right);
  left ? as_.shl(eax, cl) : as_.shr(eax, cl);  // by the count's lowest five bits
  as_.cmp(ecx, 32);
  as_.sbb(ecx, ecx);  // all bits if it is below 32, else none
  as_.and_(eax, ecx);
}

void ScalarTests::operate(ValueKind kind, const Xbyak::Operand& right) {
  switch (kind) {
    case ValueKind::add:
      return as_.add(eax, right);
    case ValueKind::subtract:
      return as_.sub(eax, right);
    case ValueKind::multiply:
      return as_.imul(eax, right);
    case ValueKind::bit_and:
      return as_.and_(eax, right);
    case ValueKind::bit_or:
      return as_.or_(eax, right);
    default:
      return as_.xor_(eax, right);
  }
}

void ScalarTests::evaluate(ValueId id) {
  const Value value = graph_.value(id);
  switch (value.kind) {
    case ValueKind::constant:
      return as_.mov(eax, as_.pooled32(value.k));
    case ValueKind::wire_length:
      return as_.mov(eax, r11d);
    case ValueKind::load:
      return load(value);
    case ValueKind::divide:
    case ValueKind::modulo:
      return divide(value.left, value.right, value.kind == ValueKind::modulo);
    case ValueKind::shift_left:
    case ValueKind::shift_right:
      return shift(value);
    default:
      break;
  }
  const Value& right = graph_.value(value.right);
  if (right.kind == ValueKind::constant) {
    evaluate(value.left);
    operate(value.kind, as_.pooled32(right.k));
  } else {
    evaluate_both(value.left, value.right);
    operate(value.kind, ecx);
  }
}

void ScalarTests::compare_eax(std::uint32_t constant) {
  if (constant <= longest_immediate) {
    as_.cmp(eax, constant);
  } else {
    as_.cmp(eax, as_.pooled32(constant));
  }
}

// Under a mask: the bits are taken out, then compared; no bits are tested for in one operation.
Flag ScalarTests::masked_equals(const Field& field, std::uint64_t constant) {
  const bool narrow = field.mask <= longest_immediate;
  const bool single_bit = constant == field.mask && (constant & (constant - 1)) == 0;
  if (narrow && field.width <= 4 && (constant == 0 || single_bit)) {
    if (field.width == 2) {
      as_.movzx(eax, at(word, field.base, field.offset));
      as_.test(eax, static_cast<std::uint32_t>(field.mask));
    } else {
      as_.test(at(field.width == 1 ? byte : dword, field.base, field.offset), static_cast<std::uint32_t>(field.mask));
    }
    return constant == 0 ? Flag::equal : Flag::not_equal;
  }
  if (field.width == 8) {
    as_.mov(rax, at(qword, field.base, field.offset));
    as_.and_(rax, as_.pooled64(field.mask));
    if (constant != 0) as_.cmp(rax, as_.pooled64(constant));
    return Flag::equal;
  }
  if (field.width == 4) {
    as_.mov(eax, at(dword, field.base, field.offset));
  } else {
    as_.movzx(eax, at(field.width == 1 ? byte : word, field.base, field.offset));
  }
  if (narrow) {
    as_.and_(eax, static_cast<std::uint32_t>(field.mask));
  } else {
    as_.and_(eax, as_.pooled32(static_cast<std::uint32_t>(field.mask)));
  }
  if (constant != 0) compare_eax(static_cast<std::uint32_t>(constant));
  return Flag::equal;
}

Flag ScalarTests::field_equals(const Field& field, std::uint64_t constant) {
  if (field.mask != full_mask(field.width)) return masked_equals(field, constant);
  if (field.width == 8) {
    as_.mov(rax, at(qword, field.base, field.offset));
    as_.cmp(rax, as_.pooled64(constant));
  } else if (field.width == 1 || constant <= longest_beside_offset) {
    const Xbyak::AddressFrame& size = field.width == 1 ? byte : field.width == 2 ? word : dword;
    as_.cmp(at(size, field.base, field.offset), static_cast<std::uint32_t>(constant));
  } else if (field.width == 2 && held_ == constant) {
    as_.cmp(at(word, field.base, field.offset), cx);
  } else if (field.width == 2) {
    as_.movzx(eax, at(word, field.base, field.offset));
    compare_eax(static_cast<std::uint32_t>(constant));
  } else {
    as_.mov(eax, at(dword, field.base, field.offset));
    compare_eax(static_cast<std::uint32_t>(constant));
  }
  return Flag::equal;
}

Flag ScalarTests::field_in(const Field& field, std::span<const std::uint64_t> constants) {
  const PerfectHash hash(constants, PerfectHash::Aim::fewest_steps);
  if (field.width == 4) {
    as_.mov(eax, at(dword, field.base, field.offset));
  } else {
    as_.movzx(eax, at(field.width == 1 ? byte : word, field.base, field.offset));
  }
  if (field.mask != full_mask(field.width)) as_.and_(eax, as_.pooled32(static_cast<std::uint32_t>(field.mask)));
  as_.mov(ecx, eax);
  as_.imul(ecx, as_.pooled32(hash.multiplier));
  as_.shr(ecx, static_cast<int>(hash.shift));
  if (!hash.displacements.empty()) {
    as_.push(r8);
    as_.mov(r8d, eax);
    as_.imul(r8d, as_.pooled32(hash.multiplier_2));
    as_.shr(r8d, static_cast<int>(hash.shift_2));
    as_.lea(rdx, ptr[rip + as_.pooled_table(hash.displacements)]);
    as_.xor_(ecx, dword[rdx + r8 * 4]);
    as_.pop(r8);
  }
  as_.lea(rdx, ptr[rip + as_.pooled_table(hash.entries)]);
  as_.cmp(eax, dword[rdx + rcx * 4]);
  return Flag::equal;
}

Flag ScalarTests::length_covers(ValueId base, std::uint64_t extent) {
  const auto needed = static_cast<std::uint32_t>(as_.bound(extent));
  if (base == no_value) {
    if (needed <= longest_immediate) {
      as_.cmp(esi, needed);
    } else {
      as_.cmp(esi, as_.pooled32(needed));
    }
    return Flag::above_or_equal;
  }
  load_base(base);
  const Xbyak::RegExp place = r10 * (scaled_header(base) ? 4 : 1);
  if (needed <= longest_immediate) {
    as_.lea(rax, ptr[place + needed]);
  } else {
    as_.mov(eax, as_.pooled32(needed));
    as_.lea(rax, ptr[rax + place]);
  }
  as_.cmp(rsi, rax);
  return Flag::above_or_equal;
}

Flag ScalarTests::flags(const Test& test) {
  switch (test.kind) {
    case TestKind::field_equals:
      return field_equals(test.field, test.constant);
    case TestKind::field_in:
      return field_in(test.field, graph_.constants(test.set));
    case TestKind::length_covers:
      return length_covers(test.left, test.constant);
    default:
      break;
  }
  const Value& right = graph_.value(test.right);
  if (right.kind == ValueKind::constant && test.kind != TestKind::any_bit) {
    evaluate(test.left);
    compare_eax(right.k);
  } else if (test.kind == TestKind::any_bit) {
    evaluate_both(test.left, test.right);
    as_.test(eax, ecx);
    return Flag::not_equal;
  } else {
    evaluate_both(test.left, test.right);
    as_.cmp(eax, ecx);
  }
  return test.kind == TestKind::equal     ? Flag::equal
         : test.kind == TestKind::greater ? Flag::above
                                          : Flag::above_or_equal;
}

void ScalarTests::jump(const Test& test, bool wanted, const Xbyak::Label& target) {
  switch (flags(test)) {
    case Flag::equal:
      return wanted ? as_.je(target) : as_.jne(target);
    case Flag::not_equal:
      return wanted ? as_.jne(target) : as_.je(target);
    case Flag::above:
      return wanted ? as_.ja(target) : as_.jbe(target);
    case Flag::above_or_equal:
      return wanted ? as_.jae(target) : as_.jb(target);
  }
}

void ScalarTests::set(Flag flag, bool wanted, const Xbyak::Reg8& target) {
  switch (flag) {
    case Flag::equal:
      return wanted ? as_.sete(target) : as_.setne(target);
    case Flag::not_equal:
      return wanted ? as_.setne(target) : as_.sete(target);
    case Flag::above:
      return wanted ? as_.seta(target) : as_.setbe(target);
    case Flag::above_or_equal:
      return wanted ? as_.setae(target) : as_.setb(target);
  }
}

void ScalarTests::move(Flag flag, bool wanted, const Xbyak::Reg32& target, const Xbyak::Operand& source) {
  switch (flag) {
    case Flag::equal:
      return wanted ? as_.cmove(target, source) : as_.cmovne(target, source);
    case Flag::not_equal:
      return wanted ? as_.cmovne(target, source) : as_.cmove(target, source);
    case Flag::above:
      return wanted ? as_.cmova(target, source) : as_.cmovbe(target, source);
    case Flag::above_or_equal:
      return wanted ? as_.cmovae(target, source) : as_.cmovb(target, source);
  }
}

void ScalarTests::hold_in_ecx(std::uint16_t constant) {
  as_.mov(ecx, constant);
  held_ = constant;
}

bool ScalarTests::may_use_held(const Test& test) noexcept {
  return test.kind == TestKind::field_equals && test.field.width == 2 && test.field.mask == full_mask(2) &&
         test.constant > longest_beside_offset;
}

bool ScalarTests::spoils_ecx(const Test& test) const {
  if (test.kind != TestKind::field_equals || test.field.offset > longest_immediate) return true;
  return test.field.base != no_value && !scaled_header(test.field.base);
}

bool ScalarTests::spoils_edx(ValueId id) const {
  if (id == no_value) return false;
  const Value& value = graph_.value(id);
  if (value.kind == ValueKind::divide || value.kind == ValueKind::modulo) return true;
  return spoils_edx(value.left) || spoils_edx(value.right);
}

bool ScalarTests::spoils_edx(const Test& test) const {
  return test.kind == TestKind::field_in || spoils_edx(test.left) || spoils_edx(test.right) ||
         spoils_edx(test.field.base);
}

}  // namespace ixcap::filter::jit
