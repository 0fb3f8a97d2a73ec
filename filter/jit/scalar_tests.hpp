#pragma once

/// Machine code for the tests of a graph on one frame. Not part of the library's interface.
///
/// Registers, from frame_to_registers() on: rdi = the frame's bytes, esi = captured length, r11d = wire length (where
/// used), r10 = the base that was computed last. eax, ecx and edx are free for every test to spoil.

#include <cstdint>
#include <optional>

#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/jit/assembler.hpp>

namespace ixcap::filter::jit {

/// The processor's flags after a test: which of them say that it holds.
enum class Flag : std::uint8_t { equal, not_equal, above, above_or_equal };

class ScalarTests {
 public:
  ScalarTests(Assembler& assembler, const Graph& graph) : as_(assembler), graph_(graph) {}

  /// From rdi = the Frame.
  void frame_to_registers(bool wire_length);

  /// Jumps to `target` if the test's answer is `wanted`.
  void jump(const Test& test, bool wanted, const Xbyak::Label& target);

  /// Leaves the answer in the flags; the result says how.
  Flag flags(const Test& test);

  /// Sets the byte register if the flag is as asked, clears it otherwise.
  void set(Flag flag, bool wanted, const Xbyak::Reg8& target);

  /// Moves `source` to `target` if the flag is as asked.
  void move(Flag flag, bool wanted, const Xbyak::Reg32& target, const Xbyak::Operand& source);

  /// The base that r10 holds; no_value: none.
  ValueId base_in_register() const noexcept { return base_; }
  void set_base_in_register(ValueId base) noexcept { base_ = base; }

  /// Whether tests like this spoil edx, and whether ecx.
  bool spoils_edx(const Test& test) const;
  bool spoils_ecx(const Test& test) const;

  /// Keeps a constant that two-byte fields are compared with in ecx, which no test may spoil until it is dropped.
  void hold_in_ecx(std::uint16_t constant);
  void drop_constant() noexcept { held_.reset(); }

  /// Whether the test would use the constant if it were held: such that are too long to stand beside an offset.
  static bool may_use_held(const Test& test) noexcept;

 private:
  /// A place in the frame; may spoil rcx.
  Xbyak::Address at(const Xbyak::AddressFrame& size, ValueId base, std::uint32_t offset);
  std::optional<std::uint32_t> scaled_header(ValueId base) const noexcept;
  void load_base(ValueId base);
  void evaluate(ValueId value);  // into eax
  void load(const Value& value);
  void divide(ValueId left, ValueId right, bool modulo);
  void shift(const Value& value);
  void operate(ValueKind kind, const Xbyak::Operand& right);
  void evaluate_both(ValueId left, ValueId right);  // into eax and ecx
  void compare_eax(std::uint32_t constant);
  Flag field_equals(const Field& field, std::uint64_t constant);
  Flag masked_equals(const Field& field, std::uint64_t constant);
  Flag field_in(const Field& field, std::span<const std::uint64_t> constants);
  Flag length_covers(ValueId base, std::uint64_t extent);
  bool spoils_edx(ValueId value) const;

  Assembler& as_;
  const Graph& graph_;
  ValueId base_ = no_value;
  std::optional<std::uint16_t> held_;  // in ecx
};

}  // namespace ixcap::filter::jit
