#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include <ixcap/filter/describe.hpp>
#include <ixcap/filter/jit/scalar_compiler.hpp>
#include <ixcap/filter/jit/scalar_tests.hpp>

namespace ixcap::filter::jit {
namespace {

using namespace Xbyak::util;

// Operations that are done for nothing at most, rather than to risk a branch: about what a mispredicted one costs.
constexpr unsigned longest_straight = 48;

// Frames of this length are common (64 bytes with FCS): code for longer ones branches, or half of them would take the
// cold copy.
constexpr std::uint64_t shortest_common_frame = 60;

constexpr unsigned prefetch_ahead = 8;  // frames

/// What straight-line code for one program needs to know before it starts.
struct StraightPlan {
  std::map<NodeId, NodeId> decisive;              // what is left of each node if the lengths are known to suffice
  std::uint64_t length = 0;                       // the captured length that covers all fields, from the start
  std::map<ValueId, std::uint64_t> base_lengths;  // and from bases
};

unsigned cost_of(const Graph& graph, const Test& test) {
  switch (test.kind) {
    case TestKind::field_equals:
      return test.field.mask == 0xff || test.field.mask == 0xffff ? 1 : 3;
    case TestKind::field_in:
      return 6;
    default:
      return 1 + graph.cost(test.left) + graph.cost(test.right);
  }
}

bool divides(const Graph& graph, ValueId id) {
  if (id == no_value) return false;
  const Value& value = graph.value(id);
  if (value.kind == ValueKind::divide || value.kind == ValueKind::modulo) return true;
  return divides(graph, value.left) || divides(graph, value.right);
}

std::optional<StraightPlan> plan_straight(const Graph& graph, NodeId root) {
  StraightPlan plan;
  plan.decisive = {{reject, reject}, {accept, accept}};
  unsigned cost = 0;
  for (const NodeId id : graph.reachable({&root, 1})) {
    const Node& node = graph.node(id);
    const Test& test = graph.test(node.test);
    const NodeId if_true = plan.decisive[node.if_true];
    const bool decides = test.kind != TestKind::length_covers && if_true != plan.decisive[node.if_false];
    plan.decisive[id] = decides ? id : if_true;
    if (test.kind != TestKind::length_covers) {
      // Asked out of turn, a division may be one by 0.
      if (divides(graph, test.left) || divides(graph, test.right) || divides(graph, test.field.base)) return {};
      const bool based = test.field.base != no_value;
      if (based && !graph.header_length_at(test.field.base)) return {};
      cost += cost_of(graph, test) + 1;
    } else if (test.left == no_value) {
      plan.length = std::max(plan.length, test.constant);
    } else {
      if (!graph.header_length_at(test.left)) return {};
      std::uint64_t& length = plan.base_lengths[test.left];
      length = std::max(length, test.constant);
      cost += 5;
    }
    if (cost > longest_straight) return {};
  }
  // Beyond the shortest common frame only if shorter ones are rejected anyway, and then by a branch that is taken well.
  if (plan.length > shortest_common_frame) return {};
  return plan;
}

/// The tests of captured lengths that straight-line code begins with.
std::vector<Test> first_lengths(const StraightPlan& plan) {
  std::vector<Test> tests;
  Test covers;
  covers.kind = TestKind::length_covers;
  covers.constant = plan.length;
  if (plan.length != 0) tests.push_back(covers);
  for (const auto& [base, length] : plan.base_lengths) {
    covers.left = base;
    covers.constant = length;
    tests.push_back(covers);
  }
  return tests;
}

// Registers besides those of ScalarTests: r9 = the match set so far, unless there is one program only. In a loop,
// rbx = the Frame, rbp = the place of its match set, r12 = the end of the Frames.
class ScalarCompiler {
 public:
  ScalarCompiler(const Graph& graph, std::span<const unsigned> bits, ScalarShape shape)
      : graph_(graph), bits_(bits), shape_(shape), tests_(as_, graph), single_(bits.size() == 1 && bits[0] == 0) {}

  Code compile() {
    as_.endbr64();
    uses_wire_length_ = uses_wire_length();
    const bool looks_at_frames = !graph_.reachable(graph_.roots()).empty();
    if (shape_ == ScalarShape::loop) begin_loop();
    if (looks_at_frames) tests_.frame_to_registers(uses_wire_length_);
    if (!single_) as_.xor_(r9d, r9d);
    for (std::size_t i = 0; i < bits_.size(); ++i) compile_root(i);
    if (!single_) {
      as_.mov(rax, r9);
      leave();
    }
    return as_.finish();
  }

  /// Whether the registers suffice.
  bool fits(const StraightPlan& plan, NodeId root) {
    uses_wire_length_ = uses_wire_length();
    Straight straight = prepare(plan, root);
    straight.dry = true;
    const NodeId first = plan.decisive.at(root);
    return first <= accept || evaluate(straight, first).has_value();
  }

 private:
  /// Straight-line code on its way: the registers that are free, and those that hold the answer of a node.
  struct Straight {
    const StraightPlan& plan;
    bool dry = false;
    std::vector<int> free;
    std::map<NodeId, int> answers;         // of nodes that are asked for again
    std::map<NodeId, std::uint32_t> uses;  // that are left
  };

  bool uses_wire_length() const {
    const auto reads = [this](const auto& self, ValueId id) -> bool {
      if (id == no_value) return false;
      const Value& value = graph_.value(id);
      return value.kind == ValueKind::wire_length || self(self, value.left) || self(self, value.right);
    };
    return std::ranges::any_of(graph_.reachable(graph_.roots()), [&](NodeId id) {
      const Test& test = graph_.test(graph_.node(id).test);
      return reads(reads, test.left) || reads(reads, test.right) || reads(reads, test.field.base);
    });
  }

  void begin_loop() {
    for (const Xbyak::Reg64& reg : {rbx, rbp, r12}) as_.push(reg);
    as_.mov(rbx, rdi);
    as_.mov(rbp, rdx);
    as_.shl(rsi, 4);  // 16 bytes a Frame
    as_.lea(r12, ptr[rdi + rsi]);
    as_.L(next_frame_);
    as_.mark("asks for the bytes of a frame ahead");
    as_.lea(rax, ptr[rbx + sizeof(Frame) * prefetch_ahead]);
    as_.cmp(rax, r12);
    as_.cmovae(rax, rbx);
    as_.mov(rax, ptr[rax]);
    as_.prefetcht0(ptr[rax]);
    as_.mark("the frame's bytes and captured length");
    as_.mov(rdi, rbx);
  }

  /// The match set is in rax: returns it, or stores it and goes on with the next frame.
  void leave() {
    if (shape_ == ScalarShape::one_frame) return as_.ret();
    if (std::exchange(has_left_, true)) return as_.jmp(frame_done_, Xbyak::CodeGenerator::T_NEAR);
    as_.L(frame_done_);
    as_.mark("stores the match set, and goes on with the next frame");
    as_.mov(ptr[rbp], rax);
    as_.add(rbp, sizeof(std::uint64_t));
    as_.add(rbx, sizeof(Frame));
    as_.cmp(rbx, r12);
    as_.jb(next_frame_, Xbyak::CodeGenerator::T_NEAR);
    for (const Xbyak::Reg64& reg : {r12, rbp, rbx}) as_.pop(reg);
    as_.ret();
  }

  /// Goes on with the next root, or leaves, after this one's answer.
  void answer(std::size_t root, bool accepted, const Xbyak::Label& next) {
    if (single_) {
      accepted ? as_.mov(eax, 1) : as_.xor_(eax, eax);
      return leave();
    }
    if (accepted) as_.bts(r9, static_cast<std::uint8_t>(bits_[root]));
    as_.jmp(next);
  }

  void compile_root(std::size_t index) {
    const NodeId root = graph_.roots()[index];
    Xbyak::Label next;
    if (!single_) as_.mark(fmt::format("filter {}", bits_[index]));
    tests_.set_base_in_register(no_value);
    if (root <= accept) {
      answer(index, root == accept, next);
    } else if (const auto plan = plan_straight(graph_, root); plan && fits(*plan, root)) {
      compile_straight(*plan, index, next);
    } else {
      compile_branches(root, index, next);
    }
    as_.L(next);
  }

  // --- With a branch for every node ---

  void compile_branches(NodeId root, std::size_t index, const Xbyak::Label& next) {
    std::map<NodeId, Xbyak::Label> labels;
    std::map<NodeId, ValueId> bases;  // in r10 on every way to the node
    bases[root] = no_value;
    const std::vector<NodeId> order = graph_.reachable({&root, 1});
    for (auto id = order.rbegin(); id != order.rend(); ++id) {
      const Node& node = graph_.node(*id);
      const NodeId follower = id + 1 == order.rend() ? reject : *(id + 1);
      as_.L(labels[*id]);
      as_.mark(describe_with_origins(graph_, node.test));
      tests_.set_base_in_register(bases[*id]);
      const bool true_follows = node.if_true == follower || (follower == reject && node.if_false == accept);
      const NodeId jumps_to = true_follows ? node.if_false : node.if_true;
      const NodeId falls_to = true_follows ? node.if_true : node.if_false;
      tests_.jump(graph_.test(node.test), !true_follows, labels[jumps_to]);
      for (const NodeId child : {jumps_to, falls_to}) {
        const auto [place, is_first] = bases.try_emplace(child, tests_.base_in_register());
        if (!is_first && place->second != tests_.base_in_register()) place->second = no_value;
      }
      if (falls_to != follower || follower == reject) as_.jmp(labels[falls_to]);
    }
    for (const NodeId leaf : {accept, reject}) {
      if (!labels.contains(leaf)) continue;
      as_.L(labels[leaf]);
      as_.mark(leaf == accept ? "accept" : "reject");
      answer(index, leaf == accept, next);
    }
  }

  // --- Without ---

  Straight prepare(const StraightPlan& plan, NodeId root) const {
    Straight straight{.plan = plan, .free = {Xbyak::Operand::R8}, .answers = {}, .uses = {}};
    if (single_) {  // nobody behind needs the captured length, nor is there a match set to keep
      straight.free.push_back(Xbyak::Operand::ESI);
      straight.free.push_back(Xbyak::Operand::R9D);
    }
    if (!uses_wire_length_) straight.free.push_back(Xbyak::Operand::R11D);
    bool edx_is_spoiled = false;
    straight.uses[plan.decisive.at(root)] = 1;
    for (auto entry = plan.decisive.rbegin(); entry != plan.decisive.rend(); ++entry) {
      const NodeId id = entry->first;
      if (id <= accept || straight.uses[id] == 0) continue;
      const Node& node = graph_.node(id);
      edx_is_spoiled = edx_is_spoiled || tests_.spoils_edx(graph_.test(node.test));
      ++straight.uses[plan.decisive.at(node.if_true)];
      ++straight.uses[plan.decisive.at(node.if_false)];
    }
    if (!edx_is_spoiled) straight.free.push_back(Xbyak::Operand::EDX);
    return straight;
  }

  void compile_straight(const StraightPlan& plan, std::size_t index, const Xbyak::Label& next) {
    const NodeId root = graph_.roots()[index];
    Xbyak::Label cold;
    const std::vector<Test> lengths = first_lengths(plan);
    for (const Test& covers : lengths) {
      as_.mark(fmt::format("{}, or the cold copy", describe(graph_, covers)));
      tests_.jump(covers, false, cold);
    }
    Straight straight = prepare(plan, root);
    hold_constant(straight);
    const NodeId first = plan.decisive.at(root);
    if (first <= accept) {
      answer(index, first == accept, next);
    } else {
      const int result = *evaluate(straight, first);
      as_.mark("the answer");
      as_.movzx(eax, low_byte(result));
      if (single_) {
        leave();
      } else {
        if (bits_[index] != 0) as_.shl(rax, static_cast<int>(bits_[index]));
        as_.or_(r9, rax);
        as_.jmp(next);
      }
    }
    tests_.drop_constant();
    as_.L(cold);
    tests_.set_base_in_register(no_value);
    if (!lengths.empty()) compile_branches(root, index, next);
  }

  /// The constant that most tests compare with, if there are several and nothing else needs its register.
  void hold_constant(const Straight& straight) {
    std::map<std::uint64_t, unsigned> tests_of;
    for (const auto& [id, uses] : straight.uses) {
      if (id <= accept || uses == 0) continue;
      const Test& test = graph_.test(graph_.node(id).test);
      if (tests_.spoils_ecx(test)) return;
      if (ScalarTests::may_use_held(test)) ++tests_of[test.constant];
    }
    const auto most = std::ranges::max_element(tests_of, {}, [](const auto& entry) { return entry.second; });
    if (most == tests_of.end() || most->second < 2) return;
    as_.mark("a constant for several tests");
    tests_.hold_in_ecx(static_cast<std::uint16_t>(most->first));
  }

  static Xbyak::Reg8 low_byte(int number) { return Xbyak::Reg8(number, number >= 4 && number < 8); }

  /// The register with the node's answer in its lowest byte, which is the caller's to spoil; none if all are in use.
  std::optional<int> evaluate(Straight& straight, NodeId id) {
    if (const auto known = straight.answers.find(id); known != straight.answers.end())
      return take(straight, known->first);
    const Node& node = graph_.node(id);
    std::array<NodeId, 2> children = {straight.plan.decisive.at(node.if_true),
                                      straight.plan.decisive.at(node.if_false)};
    std::array<std::optional<int>, 2> registers;
    for (const std::size_t child : {children[0] > children[1] ? 0u : 1u, children[0] > children[1] ? 1u : 0u}) {
      if (children[child] <= accept) continue;
      registers[child] = evaluate(straight, children[child]);
      if (!registers[child]) return {};
    }
    std::optional<int> result = registers[1] ? registers[1] : registers[0];
    if (!result) result = take_free(straight);
    if (!result) return {};
    if (!straight.dry) emit_choice(node, children, registers, *result);
    if (registers[0] && registers[1]) straight.free.push_back(*registers[0]);
    if (straight.uses[id] <= 1) return result;
    straight.answers[id] = *result;
    return take(straight, id);
  }

  static std::optional<int> take_free(Straight& straight) {
    if (straight.free.empty()) return {};
    const int number = straight.free.front();
    straight.free.erase(straight.free.begin());
    return number;
  }

  /// The answer of a node that several ask for: a copy, except for the last.
  std::optional<int> take(Straight& straight, NodeId id) {
    const int number = straight.answers[id];
    if (--straight.uses[id] == 0) {
      straight.answers.erase(id);
      return number;
    }
    const std::optional<int> copy = take_free(straight);
    if (copy && !straight.dry) as_.mov(Xbyak::Reg32(*copy), Xbyak::Reg32(number));
    return copy;
  }

  void emit_choice(const Node& node, const std::array<NodeId, 2>& children,
                   const std::array<std::optional<int>, 2>& registers, int result) {
    as_.mark(describe_with_origins(graph_, node.test));
    const Flag flag = tests_.flags(graph_.test(node.test));
    const Xbyak::Reg32 target(result);
    if (registers[0] && registers[1]) {
      tests_.move(flag, true, target, Xbyak::Reg32(*registers[0]));
    } else if (registers[0]) {
      tests_.move(flag, false, target, as_.pooled32(children[1] == accept ? 1 : 0));
    } else if (registers[1]) {
      tests_.move(flag, true, target, as_.pooled32(children[0] == accept ? 1 : 0));
    } else {
      tests_.set(flag, children[0] == accept, low_byte(result));
    }
  }

  Assembler as_;
  const Graph& graph_;
  const std::span<const unsigned> bits_;
  const ScalarShape shape_;
  ScalarTests tests_;
  const bool single_;  // one program, in bit 0: its answer is the result
  bool uses_wire_length_ = false;
  bool has_left_ = false;
  Xbyak::Label next_frame_;  // of a loop
  Xbyak::Label frame_done_;
};

}  // namespace

Code compile_scalar(const Graph& graph, std::span<const unsigned> bits, ScalarShape shape) {
  return ScalarCompiler(graph, bits, shape).compile();
}

std::optional<std::vector<Test>> straight_lengths(const Graph& graph, NodeId root) {
  std::vector<unsigned> bits(graph.roots().size());
  std::iota(bits.begin(), bits.end(), 0u);
  const auto plan = plan_straight(graph, root);
  if (!plan || !ScalarCompiler(graph, bits, ScalarShape::one_frame).fits(*plan, root)) return {};
  return first_lengths(*plan);
}

}  // namespace ixcap::filter::jit
