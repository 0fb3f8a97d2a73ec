#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include <ixcap/filter/describe.hpp>
#include <ixcap/filter/explain.hpp>
#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/graph_builder.hpp>
#include <ixcap/filter/graph_optimizer.hpp>
#include <ixcap/filter/jit/batch_compiler.hpp>
#include <ixcap/filter/jit/lane_plan.hpp>
#include <ixcap/filter/jit/scalar_compiler.hpp>
#include <ixcap/filter/jit/single_compiler.hpp>

namespace ixcap::filter {
namespace {

// As the engines optimise: a register's width, a lane's width.
constexpr unsigned widest_scalar_field = 8;
constexpr unsigned widest_batch_field = 4;

// Longer texts stand out of their column.
constexpr std::size_t widest_column = 48;

/// Programs as one graph: program i at root i.
struct Form {
  Graph graph;
  std::vector<bool> interpreted;  // programs that a graph cannot hold; their roots reject
};

Form form_of(std::span<const Program> programs, unsigned widest_field) {
  Form form;
  for (const Program& program : programs) {
    form.interpreted.push_back(!add_program(form.graph, program));
    if (form.interpreted.back()) form.graph.add_root(reject);
  }
  optimize(form.graph, widest_field);
  return form;
}

/// The nodes of all programs, numbered from 1 in the order in which they are listed: parents first, and what follows
/// where a test holds before what follows where it fails.
class Nodes {
 public:
  explicit Nodes(const Graph& graph) : graph_(graph) {
    std::set<NodeId> seen = {reject, accept};
    for (std::size_t i = graph.roots().size(); i-- > 0;) visit(graph.roots()[i], seen);
    std::ranges::reverse(order_);
    for (const NodeId id : order_) numbers_.emplace(id, numbers_.size() + 1);
  }

  bool none() const noexcept { return order_.empty(); }

  std::string name(NodeId id) const {
    if (id <= accept) return id == accept ? "accept" : "reject";
    return fmt::format("node {}", numbers_.at(id));
  }

  /// One a line, in columns.
  std::string list() const {
    struct Row {
      std::string test;
      std::string origins;
    };
    std::vector<Row> rows;
    std::size_t test_width = 0;
    std::size_t origins_width = 0;
    const auto widen = [](std::size_t& width, const std::string& text) {
      if (text.size() <= widest_column) width = std::max(width, text.size());
    };
    for (const NodeId id : order_) {
      const TestId test = graph_.node(id).test;
      const std::string text = describe(graph_, graph_.test(test));
      rows.push_back({text, describe_with_origins(graph_, test).substr(text.size())});
      widen(test_width, rows.back().test);
      widen(origins_width, rows.back().origins);
    }
    const std::size_t number_width = fmt::formatted_size("{}", order_.size());
    std::string lines;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Node& node = graph_.node(order_[i]);
      lines += fmt::format("  node {:>{}}: {:<{}} {:<{}}  ? {} : {}\n", i + 1, number_width, rows[i].test, test_width,
                           rows[i].origins, origins_width, name(node.if_true), name(node.if_false));
    }
    return lines;
  }

 private:
  /// Children first.
  void visit(NodeId id, std::set<NodeId>& seen) {
    if (!seen.insert(id).second) return;
    visit(graph_.node(id).if_false, seen);
    visit(graph_.node(id).if_true, seen);
    order_.push_back(id);
  }

  const Graph& graph_;
  std::vector<NodeId> order_;
  std::map<NodeId, std::size_t> numbers_;
};

/// How the scalar compiler goes about the program.
std::string scalar_manner(const Graph& graph, NodeId root) {
  if (root <= accept) return "";
  const auto lengths = jit::straight_lengths(graph, root);
  if (!lengths) return "; with branches";
  if (lengths->empty()) return "; without branches";
  std::vector<std::string> texts;
  for (const Test& test : *lengths) texts.push_back(describe(graph, test));
  return fmt::format("; without branches if {}", fmt::join(texts, " and "));
}

std::string explain_scalar(const Form& form, const Nodes& nodes) {
  std::string text = fmt::format("scalar, one frame at a time: fields of up to {} bytes\n", widest_scalar_field);
  for (std::size_t i = 0; i < form.interpreted.size(); ++i) {
    const NodeId root = form.graph.roots()[i];
    text += fmt::format("  program {}: {}\n", i,
                        form.interpreted[i] ? "too complicated for a graph, left to the interpreter"
                                            : nodes.name(root) + scalar_manner(form.graph, root));
  }
  return text + nodes.list();
}

std::string list_windows(std::string_view level, const jit::LanePlan& plan) {
  std::string text;
  for (const jit::Window& window : plan.windows()) {
    std::vector<std::uint32_t> words;
    for (const auto& word : window.places) {
      if (word) words.push_back(*word);
    }
    text += fmt::format("  window of {}: bytes {} to {}, of which the words at {}\n", level, window.offset,
                        window.offset + window.size - 1, fmt::join(words, ", "));
  }
  if (plan.reach() != 0) text += fmt::format("  reach of {}: the first {} bytes of a frame\n", level, plan.reach());
  return text;
}

std::string list_lane_tests(const Graph& graph, const jit::LanePlan& plan) {
  std::string text;
  const auto in_lanes = std::ranges::count_if(plan.tests(), [](const auto& test) { return test.second.in_lanes; });
  text += fmt::format("  tests in lanes: {} of {}\n", in_lanes, plan.tests().size());
  for (const ValueId base : plan.assumed_bases()) {
    const auto assuming = std::ranges::count_if(plan.tests(), [&](const auto& test) {
      return std::ranges::find(test.second.assumed_bases, base) != test.second.assumed_bases.end();
    });
    text += fmt::format("  assumed: 4*([{}]&0xf) = {}, by {}; where it is not, scalar code decides\n",
                        *graph.header_length_at(base), jit::assumed_header_length,
                        assuming == 1 ? "1 test" : fmt::format("{} tests", assuming));
  }
  for (const auto& [test, how] : plan.tests()) {
    if (!how.in_lanes) text += fmt::format("  left to scalar code: {}\n", describe(graph, graph.test(test)));
  }
  return text;
}

std::string explain_batch(const Form& form, const Nodes& nodes, const std::string& scalar_nodes) {
  std::string text =
      fmt::format("\navx2 and avx512, 8 or 16 frames at a time: fields of up to {} bytes\n", widest_batch_field);
  if (!jit::compile_batch(form.graph, jit::SimdLevel::avx2).memory) {
    return text + "  too many tests and nodes: scalar code does it\n";
  }
  const std::string list = nodes.list();
  if (list == scalar_nodes) {
    text += "  the same nodes\n";
  } else {
    for (std::size_t i = 0; i < form.interpreted.size(); ++i) {
      if (!form.interpreted[i]) text += fmt::format("  program {}: {}\n", i, nodes.name(form.graph.roots()[i]));
    }
    text += list;
  }
  const jit::LanePlan blocks(form.graph, jit::WindowKind::block);
  const bool alone = jit::compile_single(form.graph, jit::SimdLevel::avx512_8_lanes).has_value();
  const jit::LanePlan picked(form.graph, alone ? jit::WindowKind::picked_32 : jit::WindowKind::picked_64);
  return text + list_windows("avx2", blocks) + list_windows("avx512", picked) + list_lane_tests(form.graph, blocks);
}

}  // namespace

std::string explain(std::span<const Program> programs) {
  const Form scalar = form_of(programs, widest_scalar_field);
  const Nodes scalar_nodes(scalar.graph);
  std::string text = explain_scalar(scalar, scalar_nodes);
  if (scalar_nodes.none()) return text;
  const Form batch = form_of(programs, widest_batch_field);
  return text + explain_batch(batch, Nodes(batch.graph), scalar_nodes.list());
}

}  // namespace ixcap::filter
