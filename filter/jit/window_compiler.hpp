#pragma once

/// What both ways of compiling for a batch share: windows of bytes from a group of frames to lanes, and the tests on
/// them. Not part of the library's interface.
///
/// Registers: rbx = the group's frames, r8 to r15 = the addresses of the first eight frames' bytes; rax and rcx are
/// free. Vectors: 0 to 3 the rows of a window, 4 and 5 on the way to words, 6 to 9 words, lengths_vector, then those of
/// Lanes. Words are picked in the order that vectors 25 to 27 say; with more windows, vector 5.

#include <cstddef>
#include <cstdint>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/jit/assembler.hpp>
#include <ixcap/filter/jit/batch_compiler.hpp>
#include <ixcap/filter/jit/lane_plan.hpp>
#include <ixcap/filter/jit/lanes.hpp>
#include <ixcap/filter/jit/mask_plan.hpp>

namespace ixcap::filter::jit {

class WindowCompiler {
 public:
  WindowCompiler(const WindowCompiler&) = delete;
  WindowCompiler& operator=(const WindowCompiler&) = delete;

 protected:
  /// Which frame of the group is in which lane: the frames' order, or that from which one unpacking makes 64-bit lanes
  /// in the frames' order (of 8: 0 1 4 5 2 3 6 7).
  enum class Order : std::uint8_t { natural, unpacked };

  static constexpr int first_word_vector = 6;
  static constexpr int address_vector = 6;
  static constexpr int lengths_vector = 10;

  WindowCompiler(const Graph& graph, SimdLevel level, Order order);
  virtual ~WindowCompiler() = default;

  /// Whether anybody asks for the answer.
  virtual bool wants(std::size_t slot) const = 0;

  /// Called before the code of each test that is wanted, and behind it: its answer is where Lanes leaves answers.
  virtual void begin_answer(std::size_t slot) = 0;
  virtual void keep_answer(std::size_t slot) = 0;

  /// Called behind begin_answer() where a large set is going to be searched. May write code that answers no and jumps
  /// to `done` if no lane needs the search; then it answers true.
  virtual bool compile_guard(TestId test, const Xbyak::Label& done) = 0;

  /// Called behind the tests of a word, for more of them.
  virtual void compile_more(std::uint32_t word, const Lanes::Vector& lanes) = 0;

  /// Called behind each load of a frame's bytes, of which compile_windows() makes window_loads(): for what is better
  /// spread out. May spoil rax.
  virtual void compile_between() {}
  std::size_t window_loads() const { return plan_.windows().size() * lanes_.count(); }

  /// To be called in compile_between(): asks for the first bytes of the frames that `next` points at, one in so many
  /// loads, because many at once would hold up the loads behind them; goes on to those behind the group. Spoils rax.
  void compile_prefetch(const Xbyak::Reg64& next);
  void begin_prefetch() noexcept { loads_left_ = window_loads(); }

  /// Addresses (their low halves) and lengths of the group's frames, in an order of their own, from which
  /// order_lengths() brings the lengths to that of lanes. The wire lengths are kept where that is needed.
  void compile_lengths();
  void order_lengths();

  void load_addresses();

  /// Loads what stays in registers from one group to the next.
  void prepare();

  /// What a field_equals test that lanes do compares in its word: mask and constant.
  struct WordComparison {
    std::uint32_t mask;
    std::uint32_t constant;
  };
  WordComparison word_compared(const Test& test) const;

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
  Slots slots_;  // of the tests that lanes do

 private:
  Xbyak::Address kept(std::size_t index) const;
  unsigned frame_of(unsigned row, unsigned quarter) const;
  int order_vector(std::size_t window) const noexcept;
  void load_order(std::size_t window);
  Xbyak::Reg64 address_of_lane(unsigned lane) const;
  void transpose(unsigned first, unsigned second, int first_target, int second_target);
  void compile_window(std::size_t number);
  void load_rows(std::size_t window);
  void load_single(const Window& window);
  void blend_lanes(const Lanes::Vector& target, std::uint32_t word, unsigned first, unsigned end);
  void compile_word(std::uint32_t offset, const Lanes::Vector& lanes);
  void in_lane_order(const Lanes::Vector& lanes);
  void compile_fields(std::uint32_t offset, const Lanes::Vector& lanes);
  void evaluate(ValueId id, int number);
  void evaluate_load(const Value& value, const Lanes::Vector& target);

  const Order order_;
  std::size_t kept_at_ = 0;
  std::size_t loads_left_ = 0;  // of the group that code is being written for
};

}  // namespace ixcap::filter::jit
