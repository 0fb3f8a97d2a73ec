#pragma once

/// How the answers of a program's tests combine to what it accepts, as operations on masks. Not part of the library's
/// interface.
///
/// A mask has a yes or no for each frame of a group. Every test that is done has one, by its slot; so has every
/// assumption (yes: it holds) and every choice between two masks. The plan says which choices are to be made, and how
/// often each mask is asked for, before any code is written: what nobody asks for is not computed.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/jit/lane_plan.hpp>

namespace ixcap::filter::jit {

struct Mask {
  enum class Kind : std::uint8_t { none, all, stored } kind = Kind::none;
  std::size_t slot = 0;

  static constexpr Mask all() noexcept { return {Kind::all, 0}; }
  static constexpr Mask at(std::size_t slot) noexcept { return {Kind::stored, slot}; }
  bool is_none() const noexcept { return kind == Kind::none; }
  bool is_all() const noexcept { return kind == Kind::all; }
  bool is_stored() const noexcept { return kind == Kind::stored; }
  friend bool operator==(const Mask&, const Mask&) = default;
};

/// target = test ? if_true : if_false, frame by frame. `test` is a slot.
struct Choice {
  std::size_t target;
  std::size_t test;
  Mask if_true;
  Mask if_false;

  std::vector<std::size_t> operands() const;
};

/// Either half of a word equals the constant: both ports of a packet, usually.
struct EitherHalf {
  std::size_t target;
  std::uint32_t word;  ///< its offset
  std::uint16_t constant;
};

/// The slots of tests and assumptions.
struct Slots {
  std::map<TestId, std::size_t> tests;
  std::map<ValueId, std::size_t> assumptions;
  std::size_t used = 0;
};

class MaskPlan {
 public:
  /// For the graph's only program. `settled`: tests that are known to hold.
  MaskPlan(const Graph& graph, const LanePlan& lanes, const Slots& slots, const std::set<TestId>& settled);

  const Mask& answer() const noexcept { return answer_; }

  /// The frames that lanes cannot decide, and possibly some more.
  const Mask& undecided() const noexcept { return undecided_; }

  /// In an order in which they can be made.
  const std::vector<Choice>& choices() const noexcept { return choices_; }
  const std::vector<EitherHalf>& either_halves() const noexcept { return either_halves_; }

  /// The frames for which a test for membership in a large set is worth its time; other frames do not get there.
  /// Nothing if that is not known.
  std::optional<Mask> guard_of(TestId test) const;

  /// How often each mask is asked for, by slot: by choices, as a guard, as the answer or as undecided.
  const std::vector<std::uint32_t>& uses() const noexcept { return uses_; }

 private:
  Mask choice(std::size_t test, const Mask& if_true, const Mask& if_false);
  Mask either(const Mask& left, const Mask& right);
  std::optional<Mask> either_half(std::size_t left, std::size_t right);
  Mask answer(NodeId id) const;
  void find_answers();
  std::optional<Mask> guard(const std::set<NodeId>& nodes);
  std::optional<Mask> roughly_undecided();
  Mask exactly_undecided();
  Mask undecided_at(NodeId id);
  void find_guards();
  void count_uses();

  const Graph& graph_;
  const LanePlan& lanes_;
  const Slots& slots_;
  const std::set<TestId>& settled_;
  std::map<std::size_t, TestId> test_at_;  // by slot
  std::vector<Mask> masks_;                // by node: the frames it accepts; later: those it cannot decide
  std::vector<Choice> choices_;
  std::vector<EitherHalf> either_halves_;
  std::map<TestId, Mask> guards_;
  std::vector<std::uint32_t> uses_;
  std::size_t next_slot_;
  Mask answer_;
  Mask undecided_;
};

}  // namespace ixcap::filter::jit
