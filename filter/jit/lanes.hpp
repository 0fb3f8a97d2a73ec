#pragma once

/// The vector operations that batch code consists of, for 8 lanes of AVX2 or 16 of AVX-512. Not part of the library's
/// interface.
///
/// Comparisons leave their answer as the top bit of each lane of a vector (AVX2; the other bits mean nothing), or in
/// k1, a bit a lane (AVX-512). They spoil vector 13 and k5; tests for membership also vectors 14 and 15, and rax;
/// jump_if_crossing() vectors 5 and 13. k2 to k4 choose the 16-byte quarters of a row (prepare()).

#include <cstdint>
#include <map>
#include <span>

#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/jit/assembler.hpp>

namespace ixcap::filter::jit {

enum class SimdLevel : std::uint8_t { avx2, avx512 };

class Lanes {
 public:
  using Vector = Xbyak::Xmm;  // of the level's width

  Lanes(Assembler& assembler, SimdLevel level) : as_(assembler), wide_(level == SimdLevel::avx512) {}

  unsigned count() const noexcept { return wide_ ? 16 : 8; }
  unsigned vector_size() const noexcept { return 4 * count(); }
  Vector vector(int number) const { return {wide_ ? Xbyak::Operand::ZMM : Xbyak::Operand::YMM, number}; }

  /// A halfword times this is in both halves of a word.
  static constexpr std::uint32_t both_halves = 0x10001;

  /// The vector that answers go to from now on; none of those that comparisons spoil.
  void answer_in(int number) { answer_ = number; }

  /// Loads constants to vectors of their own, where comparisons with fields find them from now on (AVX2). Nothing else
  /// may spoil these vectors.
  void hold(std::uint32_t constant, int number);
  void load_held();

  /// Sets k2 to k4.
  void prepare();

  /// The 16 bytes at `place` to the row's quarter, from 0; quarter 0 first, it clears the others.
  void load_quarter(const Vector& row, unsigned quarter, const Xbyak::RegExp& place);

  /// From the low and from the high row: in each quarter the words `first` and `second` of `low`, then of `high`.
  void pick(const Vector& target, const Vector& low, const Vector& high, unsigned first, unsigned second) {
    as_.vshufps(target, low, high, static_cast<std::uint8_t>(first | second << 2 | first << 4 | second << 6));
  }

  void load(const Vector& target, const Xbyak::Address& place);
  void store(const Xbyak::Address& place, const Vector& source);
  void broadcast(const Vector& target, std::uint32_t constant);
  void smaller(const Vector& target, std::uint32_t constant);  // target = the smaller of both, unsigned
  void swap_bytes(const Vector& target);
  void mask(const Vector& target, const Vector& source, std::uint32_t constant);

  /// target = left operation right; shifts by constants only.
  void operate(ValueKind kind, const Vector& target, const Vector& left, const Vector& right);
  void shift(ValueKind kind, const Vector& target, unsigned count);

  /// The last comparison's answer as one bit a lane, lane 0 lowest.
  void answer_to_eax();

  /// Whether so many constants are looked up in a table, in memory.
  static bool needs_table(std::size_t constants);

  /// Comparisons with constants, and of two vectors.
  /// `is_masked`: the last comparison was of the same lanes under the same mask, so that is done.
  void masked_equals(const Vector& lanes, std::uint32_t mask, std::uint32_t constant, bool is_masked = false);
  void masked_in(const Vector& lanes, std::uint32_t mask, std::span<const std::uint64_t> constants, unsigned shift);
  void either_half_equals(const Vector& lanes, std::uint16_t constant);  // AVX2 only
  void greater_signed(const Vector& lanes, std::uint32_t constant);
  void compare(TestKind kind, const Vector& left, const Vector& right);

  /// Jumps if any lane has a length below `reach`, and either an address of which the low 12 bits are above
  /// `last_offset`, or nothing at its address: length 0, unless there are none such (`none_empty`).
  void jump_if_crossing(const Vector& addresses, std::uint32_t last_offset, const Vector& lengths, std::uint32_t reach,
                        bool none_empty, const Xbyak::Label& target);

 private:
  static constexpr int scratch = 13;  // to 15

  Xbyak::Address pooled(std::uint32_t constant);

  /// operation(what holds the constant)
  template <typename Operation>
  void with(std::uint32_t constant, const Operation& operation);
  void invert(const Vector& mask);

  Assembler& as_;
  const bool wide_;
  int answer_ = 12;
  std::map<std::uint32_t, int> held_;  // vectors, by constant
};

}  // namespace ixcap::filter::jit
