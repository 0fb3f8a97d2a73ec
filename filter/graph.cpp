#include <algorithm>
#include <bit>

#include <ixcap/filter/graph.hpp>

namespace ixcap::filter {
namespace {

constexpr std::uint32_t all_bits = std::numeric_limits<std::uint32_t>::max();
constexpr Condition always = {std::nullopt, true};
constexpr Condition never = {std::nullopt, false};

std::uint32_t clamp(std::uint64_t value) noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, all_bits));
}

/// The lowest `count` bytes set.
constexpr std::uint64_t bytes_mask(unsigned count) noexcept {
  return count >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * count)) - 1;
}

/// A big-endian number of `size` bytes as those bytes read from memory in this machine's order.
constexpr std::uint64_t in_memory_order(std::uint32_t value, unsigned size) noexcept {
  return __builtin_bswap32(value) >> (32 - 8 * size);
}

/// The operation on constants. Division by 0 is 0: a test in front of it sees to that it is never asked for.
std::uint32_t compute(ValueKind kind, std::uint32_t left, std::uint32_t right) noexcept {
  switch (kind) {
    case ValueKind::add:
      return left + right;
    case ValueKind::subtract:
      return left - right;
    case ValueKind::multiply:
      return left * right;
    case ValueKind::divide:
      return right == 0 ? 0 : left / right;
    case ValueKind::modulo:
      return right == 0 ? 0 : left % right;
    case ValueKind::bit_and:
      return left & right;
    case ValueKind::bit_or:
      return left | right;
    case ValueKind::bit_xor:
      return left ^ right;
    case ValueKind::shift_left:
      return right < 32 ? left << right : 0;
    default:
      return right < 32 ? left >> right : 0;
  }
}

bool commutes(ValueKind kind) noexcept {
  return kind == ValueKind::add || kind == ValueKind::multiply || kind == ValueKind::bit_and ||
         kind == ValueKind::bit_or || kind == ValueKind::bit_xor;
}

/// Whether the operation with the constant `right` changes nothing.
bool is_identity(ValueKind kind, std::uint32_t right, std::uint32_t most_left) noexcept {
  switch (kind) {
    case ValueKind::multiply:
    case ValueKind::divide:
      return right == 1;
    case ValueKind::modulo:
      return most_left < right;
    case ValueKind::bit_and:
      return (bytes_mask((static_cast<unsigned>(std::bit_width(most_left)) + 7) / 8) & ~std::uint64_t{right}) == 0;
    default:
      return right == 0;
  }
}

/// Whether the operation with the constant `right` gives 0 whatever is on the left. Nobody asks for a quotient by 0.
bool is_zero(ValueKind kind, std::uint32_t right) noexcept {
  const bool shift = kind == ValueKind::shift_left || kind == ValueKind::shift_right;
  const bool sum =
      kind == ValueKind::add || kind == ValueKind::subtract || kind == ValueKind::bit_or || kind == ValueKind::bit_xor;
  return shift ? right >= 32 : !sum && right == 0;
}

/// The largest result for operands up to `left` and `right`; `is_constant`: the right one is that number.
std::uint32_t most_of(ValueKind kind, std::uint32_t left, std::uint32_t right, bool is_constant) noexcept {
  switch (kind) {
    case ValueKind::add:
      return std::uint64_t{left} + right > all_bits ? all_bits : left + right;
    case ValueKind::multiply:
      return std::uint64_t{left} * right > all_bits ? all_bits : left * right;
    case ValueKind::divide:
      return is_constant && right != 0 ? left / right : left;
    case ValueKind::modulo:
      return std::min(left, right - (right == 0 ? 0 : 1));
    case ValueKind::bit_and:
      return std::min(left, right);
    case ValueKind::bit_or:
    case ValueKind::bit_xor:
      return clamp(bytes_mask((static_cast<unsigned>(std::bit_width(left | right)) + 7) / 8));
    case ValueKind::shift_left:
      return is_constant ? clamp(std::uint64_t{left} << right) : all_bits;
    case ValueKind::shift_right:
      return is_constant ? left >> right : left;
    default:
      return all_bits;
  }
}

/// The smallest window of 1, 2, 4 or 8 bytes within the field that holds all of the mask's bits.
void trim(Field& field, std::uint64_t& constant) noexcept {
  const unsigned first = static_cast<unsigned>(std::countr_zero(field.mask)) / 8;
  const unsigned last = (static_cast<unsigned>(std::bit_width(field.mask)) - 1) / 8;
  const unsigned width = std::bit_ceil(last - first + 1);
  const unsigned start = std::min(first, field.width - width);
  field.offset += start;
  field.width = static_cast<std::uint8_t>(width);
  field.mask >>= 8 * start;
  constant >>= 8 * start;
}

}  // namespace

Graph::Graph() : nodes_(2) {}  // the leaves

ValueId Graph::add(const Value& value) {
  const auto [place, is_new] = value_ids_.try_emplace(value, static_cast<ValueId>(values_.size()));
  if (!is_new) return place->second;
  std::uint32_t most = all_bits;
  unsigned cost = 1;
  if (value.kind == ValueKind::constant) {
    most = value.k;
    cost = 0;
  } else if (value.kind == ValueKind::load) {
    most = clamp(bytes_mask(value.size));
    cost = 1 + (value.left == no_value ? 0u : costs_[value.left]);
  } else if (value.kind != ValueKind::wire_length) {
    const bool is_constant = values_[value.right].kind == ValueKind::constant;
    most = most_of(value.kind, most_[value.left], most_[value.right], is_constant);
    cost = 1u + costs_[value.left] + costs_[value.right];
  }
  values_.push_back(value);
  most_.push_back(most);
  costs_.push_back(static_cast<std::uint8_t>(std::min(cost, 255u)));
  return place->second;
}

ValueId Graph::load(std::uint8_t size, ValueId base, std::uint32_t offset) {
  return add(Value{ValueKind::load, size, offset, base, no_value});
}

ValueId Graph::arithmetic(ValueKind kind, ValueId left, ValueId right) {
  if (commutes(kind) && (values_[left].kind == ValueKind::constant || left > right)) std::swap(left, right);
  if (commutes(kind) && values_[left].kind == ValueKind::constant) std::swap(left, right);
  const Value l = values_[left];
  const Value r = values_[right];
  if (r.kind == ValueKind::constant) {
    if (l.kind == ValueKind::constant) return constant(compute(kind, l.k, r.k));
    if (is_identity(kind, r.k, most_[left])) return left;
    if (is_zero(kind, r.k)) return constant(0);
    if (kind == ValueKind::bit_and && l.kind == kind && values_[l.right].kind == ValueKind::constant) {
      return arithmetic(kind, l.left, constant(values_[l.right].k & r.k));
    }
  }
  return add(Value{kind, 0, 0, left, right});
}

std::optional<std::uint32_t> Graph::header_length_at(ValueId id) const noexcept {
  if (id == no_value) return std::nullopt;
  const Value& shift = values_[id];
  if (shift.kind != ValueKind::shift_left || values_[shift.right] != Value{.k = 2}) return std::nullopt;
  const Value& nibble = values_[shift.left];
  if (nibble.kind != ValueKind::bit_and || values_[nibble.right] != Value{.k = 0xf}) return std::nullopt;
  const Value& byte = values_[nibble.left];
  if (byte.kind != ValueKind::load || byte.size != 1 || byte.left != no_value) return std::nullopt;
  return byte.k;
}

TestId Graph::add(const Test& test) {
  const auto [place, is_new] = test_ids_.try_emplace(test, static_cast<TestId>(tests_.size()));
  if (is_new) {
    tests_.push_back(test);
    origins_.emplace_back();
  }
  return place->second;
}

void Graph::add_origin(TestId test, Origin origin) {
  std::vector<Origin>& origins = origins_[test];
  const auto place = std::ranges::lower_bound(origins, origin);
  if (place == origins.end() || *place != origin) origins.insert(place, origin);
}

// The field that a load, the masked bits of one, or one of these shifted right is; `shift` is by how much.
std::optional<Field> Graph::field_of(ValueId id, std::uint32_t& shift) const {
  std::uint32_t mask = all_bits;
  shift = 0;
  const auto right_constant = [this](const Value& value) { return values_[value.right].kind == ValueKind::constant; };
  const Value* value = &values_[id];
  if (value->kind == ValueKind::shift_right && right_constant(*value)) {
    shift = values_[value->right].k;
    mask <<= shift;  // below 32, or it would have been folded
    value = &values_[value->left];
  }
  if (value->kind == ValueKind::bit_and && right_constant(*value)) {
    mask &= values_[value->right].k;
    value = &values_[value->left];
  }
  if (value->kind != ValueKind::load) return std::nullopt;
  Field field;
  field.base = value->left;
  field.offset = value->k;
  field.width = value->size;
  field.mask = in_memory_order(mask & clamp(bytes_mask(value->size)), value->size);
  return field;
}

Condition Graph::field_equals(Field field, std::uint64_t constant) {
  if ((constant & ~field.mask) != 0) return never;
  if (field.mask == 0) return always;
  trim(field, constant);
  Test test;
  test.kind = TestKind::field_equals;
  test.field = field;
  test.constant = constant;
  return {add(test), true};
}

Condition Graph::field_in(const Field& field, std::vector<std::uint64_t> constants) {
  std::ranges::sort(constants);
  constants.erase(std::unique(constants.begin(), constants.end()), constants.end());
  const auto [place, is_new] = set_ids_.try_emplace(constants, static_cast<ConstantSetId>(sets_.size()));
  if (is_new) sets_.push_back(std::move(constants));
  Test test;
  test.kind = TestKind::field_in;
  test.field = field;
  test.set = place->second;
  return {add(test), true};
}

Condition Graph::length_covers(ValueId base, std::uint64_t extent) {
  if (extent > all_bits) return never;
  if (base == no_value && extent == 0) return always;
  Test test;
  test.kind = TestKind::length_covers;
  test.left = base;
  test.constant = extent;
  return {add(test), true};
}

Condition Graph::compare_with_constant(TestKind kind, ValueId left, std::uint32_t k) {
  const std::uint32_t most = most_[left];
  if (kind == TestKind::greater && k >= most) return never;
  if (kind == TestKind::at_least && k > most) return never;
  if (kind == TestKind::at_least && k == 0) return always;
  if (kind == TestKind::any_bit && k == 0) return never;
  std::uint32_t shift = 0;
  if (std::optional<Field> field = field_of(left, shift)) {
    const auto moved = [&](std::uint32_t bits) {
      return in_memory_order(clamp(std::uint64_t{bits} << shift), field->width);
    };
    if (kind == TestKind::equal) {
      if (k > most) return never;
      return field_equals(*field, moved(k));
    }
    // x >= 2^n asks for any bit from n up; x > k is x >= k + 1.
    const std::uint32_t least = kind == TestKind::greater ? k + 1 : k;
    std::optional<std::uint32_t> bits;
    if (kind == TestKind::any_bit) bits = k;
    if (kind != TestKind::any_bit && std::has_single_bit(least)) bits = ~(least - 1);
    if (bits) {
      field->mask &= in_memory_order(*bits << shift, field->width);
      Condition none = field_equals(*field, 0);
      none.holds = !none.holds;
      return none;
    }
  }
  Test test;
  test.kind = kind;
  test.left = left;
  test.right = constant(k);
  return {add(test), true};
}

Condition Graph::compare(TestKind kind, ValueId left, ValueId right) {
  const Value l = values_[left];
  const Value r = values_[right];
  if (l.kind == ValueKind::constant && r.kind == ValueKind::constant) {
    switch (kind) {
      case TestKind::equal:
        return l.k == r.k ? always : never;
      case TestKind::greater:
        return l.k > r.k ? always : never;
      case TestKind::at_least:
        return l.k >= r.k ? always : never;
      default:
        return (l.k & r.k) != 0 ? always : never;
    }
  }
  if (r.kind == ValueKind::constant) return compare_with_constant(kind, left, r.k);
  const bool symmetric = kind == TestKind::equal || kind == TestKind::any_bit;
  if (l.kind == ValueKind::constant && symmetric) return compare_with_constant(kind, right, l.k);
  if (left == right && kind != TestKind::any_bit) return kind == TestKind::greater ? never : always;
  Test test;
  test.kind = kind;
  test.left = symmetric ? std::min(left, right) : left;
  test.right = symmetric ? std::max(left, right) : right;
  return {add(test), true};
}

NodeId Graph::decide(const Condition& condition, NodeId if_true, NodeId if_false) {
  if (!condition.holds) std::swap(if_true, if_false);
  if (!condition.test) return if_true;
  // A child that asks the same again knows the answer.
  if (if_true > accept && nodes_[if_true].test == *condition.test) if_true = nodes_[if_true].if_true;
  if (if_false > accept && nodes_[if_false].test == *condition.test) if_false = nodes_[if_false].if_false;
  if (if_true == if_false) return if_true;
  const Node node = {*condition.test, if_true, if_false};
  const auto [place, is_new] = node_ids_.try_emplace(node, static_cast<NodeId>(nodes_.size()));
  if (is_new) nodes_.push_back(node);
  return place->second;
}

std::vector<NodeId> Graph::reachable(std::span<const NodeId> from) const {
  std::vector<bool> reached(nodes_.size());
  for (const NodeId root : from) reached[root] = true;
  std::vector<NodeId> found;
  for (auto id = static_cast<NodeId>(nodes_.size()); id-- > accept + 1;) {
    if (!reached[id]) continue;
    found.push_back(id);
    reached[nodes_[id].if_true] = true;
    reached[nodes_[id].if_false] = true;
  }
  std::ranges::reverse(found);
  return found;
}

}  // namespace ixcap::filter
