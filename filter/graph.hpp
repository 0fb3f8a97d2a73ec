#pragma once

/// The intermediate form of filter programs, which both native compilers start from: decision graphs over tests of the
/// frame.
///
/// A program has no side effects and never jumps back, so all it does is to choose, by tests of the frame's bytes and
/// lengths, between accepting and rejecting. A Graph holds that choice for several programs at once:
///
///     Value   a number that depends on the frame alone: a load, the wire length, arithmetic on them
///     Test    a yes/no question about the frame
///     Node    a Test and where to go for yes and for no; the leaves are `accept` and `reject`
///
/// Equal values, tests and nodes exist once, whichever program asks for them: sharing between programs is a matter of
/// construction. The children of a node have smaller numbers than itself, so descending numbers are a topological order
/// from the roots to the leaves, ascending numbers one from the leaves to the roots.
///
/// A load is only evaluated behind tests of the captured length that make it safe. graph_builder.hpp makes graphs,
/// graph_optimizer.hpp improves them.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace ixcap::filter {

using ValueId = std::uint32_t;
using TestId = std::uint32_t;
using NodeId = std::uint32_t;
using ConstantSetId = std::uint32_t;

inline constexpr ValueId no_value = std::numeric_limits<ValueId>::max();

/// The leaves of every graph.
inline constexpr NodeId reject = 0;
inline constexpr NodeId accept = 1;

enum class ValueKind : std::uint8_t {
  constant,     ///< k
  wire_length,  ///< the frame's length on the wire
  load,         ///< `size` big-endian bytes at base + k; no base: at k
  add,          ///< from here on: left operation right, 32 bits, as the instruction of that name does it
  subtract,
  multiply,
  divide,
  modulo,
  bit_and,
  bit_or,
  bit_xor,
  shift_left,
  shift_right,
};

/// 32 bits, unsigned.
struct Value {
  ValueKind kind = ValueKind::constant;
  std::uint8_t size = 0;    ///< of a load: 1, 2 or 4 bytes
  std::uint32_t k = 0;      ///< the constant, or the offset of a load
  ValueId left = no_value;  ///< of a load: its base
  ValueId right = no_value;

  friend auto operator<=>(const Value&, const Value&) = default;
};

/// Bytes of the frame as one number, in the order in which they lie in memory (the first byte is the lowest), under a
/// mask. Never a width of 3, 5, 6 or 7.
struct Field {
  ValueId base = no_value;  ///< no_value: the offset counts from the start of the frame
  std::uint32_t offset = 0;
  std::uint8_t width = 0;  ///< 1, 2, 4 or 8 bytes
  std::uint64_t mask = 0;  ///< not 0, and no bit beyond the width

  std::uint64_t extent() const noexcept { return std::uint64_t{offset} + width; }
  friend auto operator<=>(const Field&, const Field&) = default;
};

enum class TestKind : std::uint8_t {
  field_equals,   ///< field == constant
  field_in,       ///< field is one of a set of constants
  equal,          ///< left == right, values
  greater,        ///< left > right
  at_least,       ///< left >= right
  any_bit,        ///< (left & right) != 0
  length_covers,  ///< captured length >= base + constant; no base: >= constant
};

struct Test {
  TestKind kind = TestKind::field_equals;
  Field field;
  std::uint64_t constant = 0;  ///< of field_equals, in the field's byte order; of length_covers, bytes
  ConstantSetId set = 0;       ///< of field_in
  ValueId left = no_value;     ///< of length_covers: the base
  ValueId right = no_value;

  friend auto operator<=>(const Test&, const Test&) = default;
};

struct Node {
  TestId test = 0;
  NodeId if_true = reject;
  NodeId if_false = reject;

  friend auto operator<=>(const Node&, const Node&) = default;
};

/// An instruction that asked for a test.
struct Origin {
  std::uint16_t program;
  std::uint16_t instruction;

  friend auto operator<=>(const Origin&, const Origin&) = default;
};

/// A condition: a test, its opposite, or one that always holds or never does.
struct Condition {
  std::optional<TestId> test;  ///< none: `holds` is the answer
  bool holds = true;           ///< with a test: whether the condition is the test itself or its opposite
};

class Graph {
 public:
  Graph();

  /// Values; arithmetic on constants is done at once, and so is what a constant makes trivial.
  ValueId constant(std::uint32_t k) { return add(Value{ValueKind::constant, 0, k, no_value, no_value}); }
  ValueId wire_length() { return add(Value{ValueKind::wire_length, 0, 0, no_value, no_value}); }
  ValueId load(std::uint8_t size, ValueId base, std::uint32_t offset);
  ValueId arithmetic(ValueKind kind, ValueId left, ValueId right);

  /// Conditions. `compare` takes equal, greater, at_least or any_bit, and turns comparisons of loads with constants
  /// into field_equals where it can.
  Condition compare(TestKind kind, ValueId left, ValueId right);
  Condition length_covers(ValueId base, std::uint64_t extent);
  Condition field_equals(Field field, std::uint64_t constant);
  Condition field_in(const Field& field, std::vector<std::uint64_t> constants);

  /// The node that goes to `if_true` where the condition holds; one of the two where there is nothing to decide.
  NodeId decide(const Condition& condition, NodeId if_true, NodeId if_false);

  void add_root(NodeId node) { roots_.push_back(node); }
  void set_root(std::size_t program, NodeId node) { roots_[program] = node; }
  void add_origin(TestId test, Origin origin);

  const Value& value(ValueId id) const noexcept { return values_[id]; }
  const Test& test(TestId id) const noexcept { return tests_[id]; }
  const Node& node(NodeId id) const noexcept { return nodes_[id]; }
  std::span<const std::uint64_t> constants(ConstantSetId id) const noexcept { return sets_[id]; }
  std::span<const Origin> origins(TestId id) const noexcept { return origins_[id]; }

  /// Program i starts at roots()[i].
  std::span<const NodeId> roots() const noexcept { return roots_; }
  std::size_t nodes() const noexcept { return nodes_.size(); }
  std::size_t tests() const noexcept { return tests_.size(); }

  /// The largest number that the value can be.
  std::uint32_t most(ValueId id) const noexcept { return most_[id]; }

  /// Operations it takes to compute the value anew, saturating at 255.
  unsigned cost(ValueId id) const noexcept { return costs_[id]; }

  /// The nodes that `from` lead to, themselves included and the leaves not, in ascending order.
  std::vector<NodeId> reachable(std::span<const NodeId> from) const;

  /// For a base that is 4 * (low nibble of a byte of the frame), as the length of an IPv4 header is written: the offset
  /// of that byte.
  std::optional<std::uint32_t> header_length_at(ValueId id) const noexcept;

 private:
  ValueId add(const Value& value);
  TestId add(const Test& test);
  Condition compare_with_constant(TestKind kind, ValueId left, std::uint32_t k);
  std::optional<Field> field_of(ValueId id, std::uint32_t& shift) const;

  std::vector<Value> values_;
  std::vector<std::uint32_t> most_;
  std::vector<std::uint8_t> costs_;
  std::vector<Test> tests_;
  std::vector<std::vector<Origin>> origins_;  // by test
  std::vector<Node> nodes_;
  std::vector<std::vector<std::uint64_t>> sets_;
  std::vector<NodeId> roots_;
  std::map<Value, ValueId> value_ids_;
  std::map<Test, TestId> test_ids_;
  std::map<Node, NodeId> node_ids_;
  std::map<std::vector<std::uint64_t>, ConstantSetId> set_ids_;
};

}  // namespace ixcap::filter
