#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <ixcap/filter/graph_optimizer.hpp>

namespace ixcap::filter {
namespace {

constexpr std::uint64_t unreachable = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t least_set = 4;  // constants that make a test for membership

/// Gives every root its successor: `renewed` says what becomes of each node, in ascending order.
void renew_roots(Graph& graph, const std::vector<NodeId>& renewed) {
  for (std::size_t i = 0; i < graph.roots().size(); ++i) graph.set_root(i, renewed[graph.roots()[i]]);
}

std::vector<NodeId> unchanged_leaves(const Graph& graph) {
  std::vector<NodeId> renewed(graph.nodes(), reject);
  renewed[accept] = accept;
  return renewed;
}

/// Moves up and joins the tests of the captured length that count from one base (no_value: from the start).
class LengthPass {
 public:
  LengthPass(Graph& graph, ValueId base) : graph_(graph), base_(base), order_(graph.reachable(graph.roots())) {}

  void run() {
    find_needs();
    place_checks();
    std::vector<NodeId> renewed = unchanged_leaves(graph_);
    for (const NodeId id : order_) {
      const Node node = graph_.node(id);
      const Condition condition = is_ours(node) ? Condition{} : Condition{node.test, true};
      renewed[id] = graph_.decide(condition, renewed[node.if_true], renewed[node.if_false]);
      if (checks_[id] == 0) continue;
      const Condition covers = graph_.length_covers(base_, checks_[id]);
      for (const Origin origin : origins_below(node)) {
        if (covers.test) graph_.add_origin(*covers.test, origin);
      }
      renewed[id] = graph_.decide(covers, renewed[id], reject);
    }
    renew_roots(graph_, renewed);
  }

 private:
  bool is_ours(const Node& node) const {
    const Test& test = graph_.test(node.test);
    return test.kind == TestKind::length_covers && test.left == base_;
  }

  std::vector<Origin> origins_below(const Node& node) const {
    const auto origins = graph_.origins(node.test);
    return {origins.begin(), origins.end()};
  }

  /// The length without which nothing from a node on is accepted.
  void find_needs() {
    needs_.assign(graph_.nodes(), unreachable);
    needs_[accept] = 0;
    for (const NodeId id : order_) {
      const Node& node = graph_.node(id);
      needs_[id] = is_ours(node) ? std::max(graph_.test(node.test).constant, needs_[node.if_true])
                                 : std::min(needs_[node.if_true], needs_[node.if_false]);
    }
  }

  /// From the roots down: a check where more is needed than is known on every way there. What counts from another base
  /// than the start is only asked where the program asks, because computing the base takes loads too.
  void place_checks() {
    checks_.assign(graph_.nodes(), 0);
    std::vector<std::uint64_t> known(graph_.nodes(), unreachable);
    for (const NodeId root : graph_.roots()) known[root] = 0;
    for (auto id = order_.rbegin(); id != order_.rend(); ++id) {
      const Node& node = graph_.node(*id);
      const bool may_ask = base_ == no_value || is_ours(node);
      if (may_ask && needs_[*id] > known[*id]) checks_[*id] = needs_[*id];
      const std::uint64_t known_after = std::max(known[*id], checks_[*id]);
      known[node.if_true] = std::min(known[node.if_true], known_after);
      if (!is_ours(node)) known[node.if_false] = std::min(known[node.if_false], known_after);
    }
  }

  Graph& graph_;
  const ValueId base_;
  const std::vector<NodeId> order_;
  std::vector<std::uint64_t> needs_;   // by node
  std::vector<std::uint64_t> checks_;  // by node; 0: none
};

std::vector<ValueId> bases_of_lengths(const Graph& graph) {
  std::vector<ValueId> bases;
  for (const NodeId id : graph.reachable(graph.roots())) {
    const Test& test = graph.test(graph.node(id).test);
    if (test.kind == TestKind::length_covers) bases.push_back(test.left);
  }
  std::ranges::sort(bases, std::greater());  // no_value, the start of the frame, first
  bases.erase(std::unique(bases.begin(), bases.end()), bases.end());
  return bases;
}

/// Tests one behind the other that all lead to `shared` by the same answer; the last one's other answer leads to
/// `exit`.
struct Chain {
  bool by_true = false;  ///< which answer leads to `shared`
  NodeId shared = reject;
  NodeId exit = reject;
  std::vector<TestId> tests;
};

class ChainPass {
 public:
  ChainPass(Graph& graph, unsigned widest_field)
      : graph_(graph), widest_(widest_field), order_(graph.reachable(graph.roots())), parents_(graph.nodes()) {
    for (const NodeId root : graph.roots()) parents_[root] += 2;  // a root is nobody's link
    for (const NodeId id : order_) {
      ++parents_[graph.node(id).if_true];
      ++parents_[graph.node(id).if_false];
    }
  }

  void run() {
    std::vector<bool> is_link(graph_.nodes());
    std::vector<std::pair<NodeId, Chain>> chains;
    for (auto id = order_.rbegin(); id != order_.rend(); ++id) {
      if (is_link[*id]) continue;
      chains.emplace_back(*id, longest_from(*id, is_link));
    }
    std::vector<NodeId> renewed = unchanged_leaves(graph_);
    for (auto entry = chains.rbegin(); entry != chains.rend(); ++entry) {
      Chain& chain = entry->second;
      chain.shared = renewed[chain.shared];
      chain.exit = renewed[chain.exit];
      renewed[entry->first] = rebuild(chain);
    }
    renew_roots(graph_, renewed);
  }

 private:
  Chain longest_from(NodeId head, std::vector<bool>& is_link) const {
    const std::vector<NodeId> by_true = links(head, true);
    const std::vector<NodeId> by_false = links(head, false);
    const bool choose_true = by_true.size() > by_false.size();
    const std::vector<NodeId>& members = choose_true ? by_true : by_false;
    const Node& last = graph_.node(members.back());
    Chain chain;
    chain.by_true = choose_true;
    chain.shared = choose_true ? last.if_true : last.if_false;
    chain.exit = choose_true ? last.if_false : last.if_true;
    for (const NodeId member : members) {
      chain.tests.push_back(graph_.node(member).test);
      is_link[member] = true;
    }
    return chain;
  }

  /// The chain's nodes, from its head on: only the first may be one that others lead to.
  std::vector<NodeId> links(NodeId head, bool by_true) const {
    std::vector<NodeId> members = {head};
    const auto shared = [&](NodeId id) { return by_true ? graph_.node(id).if_true : graph_.node(id).if_false; };
    const auto next = [&](NodeId id) { return by_true ? graph_.node(id).if_false : graph_.node(id).if_true; };
    if (!may_move(head)) return members;
    for (NodeId id = next(head); id > accept && parents_[id] == 1 && may_move(id); id = next(id)) {
      if (shared(id) != shared(head)) break;
      members.push_back(id);
    }
    return members;
  }

  /// Fields may be looked at in any order. Lengths must be known first, and a division must follow its test for 0.
  bool may_move(NodeId id) const { return graph_.test(graph_.node(id).test).kind == TestKind::field_equals; }

  NodeId rebuild(const Chain& chain) {
    std::vector<Condition> conditions;
    if (chain.tests.size() == 1) {
      conditions.push_back({chain.tests[0], true});
    } else {
      conditions = chain.by_true ? memberships(chain.tests) : joined(chain.tests);
    }
    NodeId node = chain.exit;
    for (auto condition = conditions.rbegin(); condition != conditions.rend(); ++condition) {
      node =
          chain.by_true ? graph_.decide(*condition, chain.shared, node) : graph_.decide(*condition, node, chain.shared);
    }
    return node;
  }

  void inherit(const Condition& condition, const std::vector<TestId>& tests) {
    if (!condition.test) return;
    for (const TestId test : tests) {
      const std::vector<Origin> origins(graph_.origins(test).begin(), graph_.origins(test).end());
      for (const Origin origin : origins) graph_.add_origin(*condition.test, origin);
    }
  }

  /// Any of the tests holds: constants for the same field together, in the order in which the fields are asked.
  std::vector<Condition> memberships(const std::vector<TestId>& tests) {
    struct Group {
      Field field;
      std::vector<TestId> tests;
    };
    std::vector<Group> groups;
    for (const TestId test : tests) {
      const Field& field = graph_.test(test).field;
      auto group = std::ranges::find(groups, field, &Group::field);
      if (group == groups.end()) group = groups.insert(groups.end(), {field, {}});
      group->tests.push_back(test);
    }
    std::vector<Condition> conditions;
    for (const Group& group : groups) {
      if (group.tests.size() < least_set) {
        for (const TestId test : group.tests) conditions.push_back({test, true});
        continue;
      }
      std::vector<std::uint64_t> constants;
      for (const TestId test : group.tests) constants.push_back(graph_.test(test).constant);
      conditions.push_back(graph_.field_in(group.field, std::move(constants)));
      inherit(conditions.back(), group.tests);
    }
    return conditions;
  }

  struct Part {
    Field field;
    std::uint64_t constant;
    std::vector<TestId> tests;
  };

  /// Both in one window, or nothing if it would be too wide, or reach beyond the bytes that both have together.
  std::optional<Part> joined(const Part& left, const Part& right) const {
    if (left.field.base != right.field.base) return std::nullopt;
    const std::uint64_t end = std::max(left.field.extent(), right.field.extent());
    const std::uint64_t start = std::min(left.field.offset, right.field.offset);
    const std::uint64_t width = std::bit_ceil(end - start);
    if (width > widest_ || width > end) return std::nullopt;
    Part both;
    both.field.base = left.field.base;
    both.field.offset = static_cast<std::uint32_t>(end - width);
    both.field.width = static_cast<std::uint8_t>(width);
    both.constant = 0;
    for (const Part* part : {&left, &right}) {
      const unsigned shift = 8 * (part->field.offset - both.field.offset);
      const std::uint64_t shared = both.field.mask & (part->field.mask << shift);
      if (((both.constant ^ (part->constant << shift)) & shared) != 0) return std::nullopt;  // both never hold
      both.field.mask |= part->field.mask << shift;
      both.constant |= part->constant << shift;
    }
    both.tests = left.tests;
    both.tests.insert(both.tests.end(), right.tests.begin(), right.tests.end());
    return both;
  }

  /// All of the tests hold: each joins the first that it fits with.
  std::vector<Condition> joined(const std::vector<TestId>& tests) {
    std::vector<Part> parts;
    for (const TestId id : tests) {
      const Test& test = graph_.test(id);
      const Part part = {test.field, test.constant, {id}};
      bool done = false;
      for (Part& other : parts) {
        std::optional<Part> both = joined(other, part);
        if (!both) continue;
        other = std::move(*both);
        done = true;
        break;
      }
      if (!done) parts.push_back(part);
    }
    std::vector<Condition> conditions;
    for (const Part& part : parts) {
      conditions.push_back(graph_.field_equals(part.field, part.constant));
      inherit(conditions.back(), part.tests);
    }
    return conditions;
  }

  Graph& graph_;
  const unsigned widest_;
  const std::vector<NodeId> order_;
  std::vector<std::uint32_t> parents_;  // by node
};

}  // namespace

void optimize(Graph& graph, unsigned widest_field) {
  for (const ValueId base : bases_of_lengths(graph)) LengthPass(graph, base).run();
  ChainPass(graph, widest_field).run();
}

}  // namespace ixcap::filter
