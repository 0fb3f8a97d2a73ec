#pragma once

/// What both ways of compiling for a batch share: windows of bytes from a group of frames to lanes, and the tests on
/// them. Not part of the library's interface.
///
/// Registers: rbx = the group's frames, r8 to r15 = the addresses of the first eight frames' bytes; rax and rcx are
/// free. Vectors: 0 to 3 the rows of a window, 4 and 5 on the way to words, 6 to 9 words, lengths_vector, then those of
/// Lanes.

#include <cstddef>
#include <cstdint>
#include <map>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/jit/assembler.hpp>
#include <ixcap/filter/jit/batch_compiler.hpp>
#include <ixcap/filter/jit/lane_plan.hpp>
#include <ixcap/filter/jit/lanes.hpp>

namespace ixcap::filter::jit {

class WindowCompiler {
 public:
  WindowCompiler(const WindowCompiler&) = delete;
  WindowCompiler& operator=(const WindowCompiler&) = delete;

 protected:
  /// Which frame of the group is in which lane: the frames' order, or that in which their Frames are loaded fastest (of
  /// 8: 0 2 4 6 1 3 5 7).
  enum class Order : std::uint8_t { natural, loaded };

  static constexpr int address_vector = 6;
  static constexpr int lengths_vector = 10;

  WindowCompiler(const Graph& graph, SimdLevel level, Order order);
  virtual ~WindowCompiler() = default;

  /// Called behind the code of each test: its answer is where Lanes leaves answers.
  virtual void keep_answer(std::size_t slot) = 0;

  /// Asks for the first bytes of a group of frames, from rax = the LaneScratch; spoils r8.
  void compile_prefetch();

  /// Addresses (their low halves) and lengths of the group's frames; the wire lengths are kept where that is needed.
  void compile_lengths();

  void load_addresses();

  /// Tests of fields, and assumptions.
  void compile_windows();
  void compile_length_tests();
  void compile_comparisons();

  /// Copies of the group's frames, for lanes to look at in their stead: afterwards rbx points at them. Spoils every
  /// register but rbx, rbp and r12 to r15. `scratch`: the LaneScratch.
  void compile_copies(const Xbyak::Address& scratch);

  /// Space on the stack that words need which are looked at after their window, from `offset` on.
  std::size_t kept_size() const { return (plan_.kept_words().size() + 1) * lanes_.vector_size(); }
  void keep_words_at(std::size_t offset) { kept_at_ = offset; }

  Assembler as_;
  const Graph& graph_;
  const LanePlan plan_;
  Lanes lanes_;
  std::map<TestId, std::size_t> slots_;  // of the tests that lanes do
  std::map<ValueId, std::size_t> assumption_slots_;
  std::size_t slots_used_ = 0;

 private:
  Xbyak::Address kept(std::size_t index) const;
  unsigned frame_of(unsigned row, unsigned quarter) const;
  void transpose(unsigned first, unsigned second, int first_target, int second_target);
  void compile_window(const Window& window);
  void compile_word(std::uint32_t offset, const Lanes::Vector& lanes);
  void compile_fields(std::uint32_t offset, const Lanes::Vector& lanes);
  void evaluate(ValueId id, int number);
  void evaluate_load(const Value& value, const Lanes::Vector& target);

  const Order order_;
  std::size_t kept_at_ = 0;
};

}  // namespace ixcap::filter::jit
