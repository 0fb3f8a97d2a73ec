#pragma once

/// A packet filter program in the instruction set of the BSD packet filter (BPF), the one libpcap compiles
/// expressions to.
///
/// A Program is always a verified one: the only way to make it is Program::verify, and it never changes afterwards. So
/// an engine that takes a Program may rely on the rules in <ixcap/filter/verifier.hpp> and check none of them again.
///
/// Ownership: a Program owns its instructions. Threads: reading it from several threads is safe.

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace ixcap::filter {

/// One instruction, laid out like libpcap's `struct bpf_insn` (asserted in program.cpp).
struct Instruction {
  std::uint16_t code;       ///< class, size, mode and operation, as <pcap/bpf.h> names them
  std::uint8_t jump_true;   ///< instructions to skip if the condition holds
  std::uint8_t jump_false;  ///< instructions to skip if it does not
  std::uint32_t k;          ///< the operand: constant, offset into the frame, scratch index or, for BPF_JA, the jump

  friend bool operator==(const Instruction&, const Instruction&) = default;
};

/// The longest program there is, in instructions.
inline constexpr std::size_t longest_program = 4096;

/// 32-bit words of scratch memory, M[0] to M[15].
inline constexpr std::size_t scratch_words = 16;

class Program {
 public:
  /// Throws Error, naming the instruction and what is wrong with it, if the verifier refuses them.
  static Program verify(std::vector<Instruction> instructions);

  /// One instruction: returns `value` for every frame, so 0 matches none and anything else matches all.
  static Program returning(std::uint32_t value);

  /// Copied, never moved: what a move leaves behind would be a program without instructions, which is no program.
  Program(const Program&) = default;
  Program& operator=(const Program&) = default;

  /// At least one, at most longest_program.
  std::span<const Instruction> instructions() const noexcept { return instructions_; }

 private:
  explicit Program(std::vector<Instruction> instructions) noexcept : instructions_(std::move(instructions)) {}

  std::vector<Instruction> instructions_;
};

}  // namespace ixcap::filter
