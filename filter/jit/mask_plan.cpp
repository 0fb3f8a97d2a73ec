#include <algorithm>

#include <ixcap/filter/jit/mask_plan.hpp>

namespace ixcap::filter::jit {
namespace {

// Tests that a guard joins at most: it must stay cheaper than what it guards.
constexpr std::size_t most_guarding = 3;

}  // namespace

std::vector<std::size_t> Choice::operands() const {
  std::vector<std::size_t> slots = {test};
  for (const Mask& mask : {if_true, if_false}) {
    if (mask.is_stored() && std::ranges::find(slots, mask.slot) == slots.end()) slots.push_back(mask.slot);
  }
  return slots;
}

MaskPlan::MaskPlan(const Graph& graph, const LanePlan& lanes, const Slots& slots, const std::set<TestId>& settled)
    : graph_(graph), lanes_(lanes), slots_(slots), settled_(settled), masks_(graph.nodes()), next_slot_(slots.used) {
  for (const auto& [test, slot] : slots.tests) test_at_[slot] = test;
  find_answers();
  find_guards();
  const std::optional<Mask> roughly = roughly_undecided();
  undecided_ = roughly ? *roughly : exactly_undecided();
  count_uses();
}

std::optional<Mask> MaskPlan::guard_of(TestId test) const {
  const auto guard = guards_.find(test);
  return guard == guards_.end() ? std::nullopt : std::optional(guard->second);
}

Mask MaskPlan::choice(std::size_t test, const Mask& if_true, const Mask& if_false) {
  if (if_true == if_false) return if_true;
  if (if_true.is_all() && if_false.is_none()) return Mask::at(test);
  if (if_true.is_all() && if_false.is_stored()) {
    if (const auto mask = either_half(test, if_false.slot)) return *mask;
  }
  for (const Choice& made : choices_) {
    if (made.test == test && made.if_true == if_true && made.if_false == if_false) return Mask::at(made.target);
  }
  choices_.push_back({next_slot_, test, if_true, if_false});
  return Mask::at(next_slot_++);
}

Mask MaskPlan::either(const Mask& left, const Mask& right) {
  if (left.is_all() || right.is_none()) return left;
  if (right.is_all() || left.is_none()) return right;
  return choice(left.slot, Mask::all(), right);
}

/// The two tests in one, if they ask for the same number in both halves of a word.
std::optional<Mask> MaskPlan::either_half(std::size_t left, std::size_t right) {
  if (!test_at_.contains(left) || !test_at_.contains(right)) return {};
  const Test* low = &graph_.test(test_at_.at(left));
  const Test* high = &graph_.test(test_at_.at(right));
  const auto is_half = [](const Test& test) {
    return test.kind == TestKind::field_equals && test.field.width == 2 && test.field.mask == 0xffff;
  };
  if (!is_half(*low) || !is_half(*high) || low->constant != high->constant) return {};
  if (low->field.base != high->field.base) return {};
  if (low->field.offset > high->field.offset) std::swap(low, high);
  const auto at = lanes_.assumed_offset(low->field.base, low->field.offset, low->field.width);
  if (low->field.offset + 2 != high->field.offset || lanes_.word_with(*at, 2) != *at) return {};
  const auto constant = static_cast<std::uint16_t>(low->constant);
  for (const EitherHalf& known : either_halves_) {
    if (known.word == *at && known.constant == constant) return Mask::at(known.target);
  }
  either_halves_.push_back({next_slot_, *at, constant});
  return Mask::at(next_slot_++);
}

Mask MaskPlan::answer(NodeId id) const {
  if (id <= accept) return id == accept ? Mask::all() : Mask{};
  return masks_[id];
}

void MaskPlan::find_answers() {
  for (const NodeId id : lanes_.nodes()) {
    const Node& node = graph_.node(id);
    if (!lanes_.tests().at(node.test).in_lanes) continue;
    masks_[id] = settled_.contains(node.test)
                     ? answer(node.if_true)
                     : choice(slots_.tests.at(node.test), answer(node.if_true), answer(node.if_false));
  }
  answer_ = answer(graph_.roots()[0]);
}

/// Where every way to one of the nodes has to pass: the nearest tests above that must hold for it, joined.
std::optional<Mask> MaskPlan::guard(const std::set<NodeId>& nodes) {
  std::set<TestId> tests;
  std::set<NodeId> below = nodes;  // from where the tests above are still to be found
  // Parents have larger numbers, so one pass finds them all.
  for (const NodeId id : lanes_.nodes()) {
    const Node& node = graph_.node(id);
    const bool by_true = below.contains(node.if_true);
    const bool by_false = below.contains(node.if_false);
    if (below.contains(id) || (!by_true && !by_false)) continue;
    const TestKind kind = graph_.test(node.test).kind;
    const bool is_field = kind == TestKind::field_equals || kind == TestKind::field_in;
    if (is_field && !by_false && slots_.tests.contains(node.test)) {
      tests.insert(node.test);
    } else {
      below.insert(id);
    }
  }
  if (below.contains(graph_.roots()[0]) || tests.empty() || tests.size() > most_guarding) return {};
  Mask joined;
  for (const TestId test : tests) joined = either(Mask::at(slots_.tests.at(test)), joined);
  return joined;
}

void MaskPlan::find_guards() {
  for (const auto& [test, slot] : slots_.tests) {
    if (graph_.test(test).kind != TestKind::field_in) continue;
    std::set<NodeId> askers;
    for (const NodeId id : lanes_.nodes()) {
      if (graph_.node(id).test == test) askers.insert(id);
    }
    if (const auto mask = guard(askers)) guards_[test] = *mask;
  }
}

/// Every frame that may have got to a test whose assumption does not hold; nothing if that is not easily said.
std::optional<Mask> MaskPlan::roughly_undecided() {
  for (const auto& [test, how] : lanes_.tests()) {
    if (!how.in_lanes) return {};
  }
  Mask joined;
  for (const auto& [base, slot] : slots_.assumptions) {
    std::set<NodeId> askers;
    for (const NodeId id : lanes_.nodes()) {
      const auto& bases = lanes_.tests().at(graph_.node(id).test).assumed_bases;
      if (std::ranges::find(bases, base) != bases.end()) askers.insert(id);
    }
    const auto mask = guard(askers);
    if (!mask) return {};
    joined = either(choice(slot, Mask{}, *mask), joined);
  }
  return joined;
}

Mask MaskPlan::undecided_at(NodeId id) {
  const Node& node = graph_.node(id);
  const LaneTest& how = lanes_.tests().at(node.test);
  if (!how.in_lanes) return Mask::all();
  const auto below = [this](NodeId child) { return child <= accept ? Mask{} : masks_[child]; };
  Mask mask = below(node.if_true);
  if (!settled_.contains(node.test)) mask = choice(slots_.tests.at(node.test), mask, below(node.if_false));
  for (const ValueId base : how.assumed_bases) mask = choice(slots_.assumptions.at(base), mask, Mask::all());
  return mask;
}

Mask MaskPlan::exactly_undecided() {
  for (const NodeId id : lanes_.nodes()) masks_[id] = undecided_at(id);
  return masks_[graph_.roots()[0]];
}

void MaskPlan::count_uses() {
  uses_.assign(next_slot_, 0);
  const auto use = [this](const Mask& mask) {
    if (mask.is_stored()) ++uses_[mask.slot];
  };
  use(answer_);
  use(undecided_);
  for (const auto& [test, mask] : guards_) use(mask);
  // What only choices that nobody asks for ask for is not asked for.
  for (auto made = choices_.rbegin(); made != choices_.rend(); ++made) {
    if (uses_[made->target] == 0) continue;
    for (const std::size_t slot : made->operands()) ++uses_[slot];
  }
  std::erase_if(choices_, [this](const Choice& made) { return uses_[made.target] == 0; });
  std::erase_if(either_halves_, [this](const EitherHalf& made) { return uses_[made.target] == 0; });
}

}  // namespace ixcap::filter::jit
