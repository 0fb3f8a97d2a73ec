#pragma once

/// The vector operations that batch code consists of, for 8 lanes of AVX2, which AVX-512 helps along, or 16 of AVX-512.
/// Not part of the library's interface.
///
/// Comparisons leave their answer as the top bit of each lane of a vector (8 lanes; the other bits mean nothing), or in
/// k1, a bit a lane (16 lanes). They spoil vector 13 and k5; tests for membership also rax, with AVX-512 vectors 28 to
/// 31, and mostly 14 and 15 (search_spoils()); jump_if_crossing() vectors 5 and 13. k2 to k4 choose the 16-byte
/// quarters of a row (prepare()).

#include <cstdint>
#include <map>
#include <span>

#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/jit/assembler.hpp>

namespace ixcap::filter::jit {

enum class SimdLevel : std::uint8_t {
  avx2,
  avx512_8_lanes,  ///< AVX2, and of AVX-512 what picks words and searches in vectors
  avx512,
};

class Lanes {
 public:
  using Vector = Xbyak::Xmm;  // of the level's width

  Lanes(Assembler& assembler, SimdLevel level)
      : as_(assembler), wide_(level == SimdLevel::avx512), has_avx512_(level != SimdLevel::avx2) {}

  unsigned count() const noexcept { return wide_ ? 16 : 8; }
  unsigned vector_size() const noexcept { return 4 * count(); }
  Vector vector(int number) const { return {wide_ ? Xbyak::Operand::ZMM : Xbyak::Operand::YMM, number}; }

  /// A halfword times this is in both halves of a word.
  static constexpr std::uint32_t both_halves = 0x10001;

  /// The vector that answers go to from now on; none of those that comparisons spoil.
  void answer_in(int number) { answer_ = number; }

  /// Constants that prepare() is to load to vectors of their own, where comparisons with fields find them (8 lanes); a
  /// number from 16 on is for masks. Nothing else may spoil these vectors.
  void hold(std::uint32_t constant, int number);

  /// Sets k2 to k4, and loads what is held.
  void prepare();

  /// 16 bytes at `place` to the row's quarter, from 0; quarter 0 first, it spoils the others.
  void load_quarter(const Vector& row, unsigned quarter, const Xbyak::RegExp& place);

  /// The same with bytes that are picked from as many as a vector has: eight half words, by their numbers in each
  /// quarter of the vector `order` (AVX-512).
  void pick_quarter(const Vector& row, unsigned quarter, const Xbyak::RegExp& place, int order);

  /// From the low and from the high row: in each quarter the words `first` and `second` of `low`, then of `high`.
  void pick(const Vector& target, const Vector& low, const Vector& high, unsigned first, unsigned second) {
    as_.vshufps(target, low, high, static_cast<std::uint8_t>(first | second << 2 | first << 4 | second << 6));
  }

  /// Lane i becomes what lane order[i] was.
  void permute(const Vector& lanes, const Vector& order);

  void load(const Vector& target, const Xbyak::Address& place);
  void store(const Xbyak::Address& place, const Vector& source);
  void broadcast(const Vector& target, std::uint32_t constant);
  void smaller(const Vector& target, std::uint32_t constant);  // target = the smaller of both, unsigned
  void swap_bytes(const Vector& target);
  void mask(const Vector& target, const Vector& source, std::uint32_t constant);

  /// target = left operation right; shifts by constants only.
  void operate(ValueKind kind, const Vector& target, const Vector& left, const Vector& right);
  void shift(ValueKind kind, const Vector& target, unsigned count);

  /// Stores the last comparison's answer as one bit a lane, lane 0 lowest. May spoil eax.
  void store_answer(const Xbyak::RegExp& place);

  /// Whether so many constants are looked up in memory, which takes longer than a mispredicted branch.
  bool searches_memory(std::size_t constants) const noexcept;

  /// Whether a test for membership among so many spoils vectors 14 and 15.
  bool search_spoils(std::size_t constants) const noexcept { return wide_ || !fits_vectors(constants); }

  /// Comparisons with constants, and of two vectors.
  /// `is_masked`: the last comparison was of the same lanes under the same mask, so that is done.
  void masked_equals(const Vector& lanes, std::uint32_t mask, std::uint32_t constant, bool is_masked = false);
  void masked_in(const Vector& lanes, std::uint32_t mask, std::span<const std::uint64_t> constants, unsigned shift);
  void either_half_equals(const Vector& lanes, std::uint16_t constant);  // AVX2 only
  void greater_signed(const Vector& lanes, std::uint32_t constant);
  void compare(TestKind kind, const Vector& left, const Vector& right);

  /// Jumps if any of the group's Frames, which lie at `frames` one behind the other, is shorter than `length`, or has
  /// bytes at an address of which the low 12 bits are above `last_offset`. Spoils vectors 0 to 5 and 13, rax, rcx.
  void jump_if_any_is_short(const Xbyak::Reg64& frames, std::uint32_t length, std::uint32_t last_offset,
                            const Xbyak::Label& target);  // AVX-512 only

  /// Jumps if any lane has a length below `reach`, and either an address of which the low 12 bits are above
  /// `last_offset`, or nothing at its address: length 0, unless there are none such (`none_empty`).
  void jump_if_crossing(const Vector& addresses, std::uint32_t last_offset, const Vector& lengths, std::uint32_t reach,
                        bool none_empty, const Xbyak::Label& target);

 private:
  static constexpr int scratch = 13;  // to 15

  Xbyak::Address pooled(std::uint32_t constant);
  bool fits_vectors(std::size_t constants) const noexcept;
  void look_up_in_memory(const Vector& number, std::span<const std::uint64_t> constants);
  void look_up_in_vectors(const Vector& number, std::span<const std::uint64_t> constants);

  /// operation(what holds the constant)
  template <typename Operation>
  void with(std::uint32_t constant, const Operation& operation);
  void invert(const Vector& mask);

  Assembler& as_;
  const bool wide_;
  const bool has_avx512_;
  int answer_ = 12;
  std::map<std::uint32_t, int> held_;        // vectors, by constant
  std::map<std::uint32_t, int> held_masks_;  // the same
};

}  // namespace ixcap::filter::jit
