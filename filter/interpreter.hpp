#pragma once

/// The interpreter: runs any program anywhere, and says what the right answer is.
///
/// It gives what libpcap's bpf_filter gives, for every program the verifier accepts, with one difference: where
/// bpf_filter leaves something undefined (scratch memory before it is written, a shift by a constant of 32 or more),
/// it gives 0.
///
/// Programs are decoded once, into steps of one size with absolute jump targets; run() only follows them.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

/// One program. Owns its decoded form and keeps nothing of `program`; any number of threads may run it at once.
class Interpreter {
 public:
  explicit Interpreter(const Program& program);

  /// What the program returns for the frame: the bytes to keep of it, 0 = it does not match. A load outside the
  /// captured bytes and a division by X = 0 return 0.
  std::uint32_t run(const Frame& frame) const noexcept;

 private:
  enum class Operation : std::uint8_t;

  // The operand of a step is k + (X & x_mask): one of the two is 0 wherever an instruction takes k or X alone, and an
  // indirect load has both. So instructions that differ only in their source are one operation.
  struct Step {
    Operation operation;
    std::int8_t x_mask;        // 0, or -1 for all bits
    std::uint16_t jump_true;   // absolute
    std::uint16_t jump_false;  // absolute
    std::uint32_t k;
    std::uint32_t equal_to;  // what a load that is followed by jeq #k compares with
  };
  static_assert(sizeof(Step) == 16, "a step is found by a shift");

  // M[], and behind it the frame's length on the wire, so that loading that is loading a word.
  using Scratch = std::array<std::uint32_t, scratch_words + 1>;

  static Step decode(const Instruction& instruction, std::size_t number) noexcept;
  static Operation operation_of(const Instruction& instruction) noexcept;
  static void join(Step& load, const Step& next) noexcept;
  static bool less_frequent(Operation operation, std::uint32_t operand, std::uint32_t& a, std::uint32_t& x,
                            Scratch& scratch) noexcept;

  std::vector<Step> steps_;
  bool uses_scratch_ = false;  // reads scratch memory or the wire length, so both have to be set first
};

/// Runs up to most_filters programs, each over each frame.
class InterpreterEngine final : public Engine {
 public:
  /// `programs`: at most most_filters; program i answers in bit i.
  explicit InterpreterEngine(std::span<const Program> programs);

  void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept override;

 private:
  std::vector<Interpreter> interpreters_;
};

}  // namespace ixcap::filter
