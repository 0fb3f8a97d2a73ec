#include <algorithm>
#include <array>
#include <vector>

#include <ixcap/filter/jit/single_compiler.hpp>
#include <ixcap/filter/jit/window_compiler.hpp>

namespace ixcap::filter::jit {
namespace {

using namespace Xbyak::util;

constexpr std::size_t most_nodes = 48;
constexpr std::size_t most_masks = 768;  // on the stack: 24 KiB
constexpr std::uint32_t lanes = 8;
constexpr std::uint32_t vector_size = 32;

/// All bits of a lane or none, for each lane: on the stack, or the same for all lanes.
struct Mask {
  enum class Kind : std::uint8_t { none, all, stored } kind = Kind::none;
  std::size_t slot = 0;

  bool is_none() const noexcept { return kind == Kind::none; }
  bool is_all() const noexcept { return kind == Kind::all; }
  friend bool operator==(const Mask&, const Mask&) = default;
};

// Registers besides those of WindowCompiler: rdi = the group's place in the batch, rsi = the batch's end, rdx = its
// match sets, rbp = the number of the group. Masks are made in vector `result`, with `chosen` to help.
class SingleCompiler : private WindowCompiler {
 public:
  explicit SingleCompiler(const Graph& graph)
      : WindowCompiler(graph, SimdLevel::avx2, Order::loaded),
        answers_(graph.nodes()),
        undecided_(graph.nodes()),
        masks_(slots_used_ + (2 + plan_.assumed_bases().size()) * plan_.nodes().size()) {
    keep_words_at(vector_size * masks_);
    saved_ = vector_size * masks_ + kept_size();
    frame_size_ = saved_ + 6 * 8;
    needed_length_ = plan_.reach();
    for (const auto& [id, slot] : slots_) {
      const Test& test = graph.test(id);
      if (test.kind != TestKind::length_covers) continue;
      const std::uint64_t length = test.constant + (test.left == no_value ? 0 : assumed_header_length);
      needed_length_ = std::max(needed_length_, static_cast<std::uint32_t>(length));
    }
  }

  /// Whether lanes do as much as the first test.
  bool fits_stack() const { return masks_ <= most_masks; }
  bool decides_anything() const { return plan_.tests().at(graph_.node(graph_.roots()[0]).test).in_lanes; }

  Code compile() {
    Xbyak::Label next_group, answered, some_are_short, in_place, crossing;
    prologue();
    as_.L(next_group);
    as_.mov(rbx, rdi);
    as_.mov(rax, saved(3));
    compile_prefetch();
    jump_if_any_is_short(some_are_short);
    compile_group(false);
    as_.L(answered);
    write_answers();
    as_.jb(next_group);
    epilogue();

    as_.L(some_are_short);
    compile_lengths();
    if (plan_.reach() != 0) {
      lanes_.jump_if_crossing(lanes_.vector(address_vector), page_size - plan_.reach(), lanes_.vector(lengths_vector),
                              plan_.reach(), crossing);
    }
    as_.L(in_place);
    compile_group(true);
    as_.jmp(answered);

    as_.L(crossing);
    const std::array volatiles = {rdi, rsi, rdx};
    for (unsigned i = 0; i < volatiles.size(); ++i) as_.mov(saved(i), volatiles[i]);
    compile_copies(saved(3));
    for (unsigned i = 0; i < volatiles.size(); ++i) as_.mov(volatiles[i], saved(i));
    compile_lengths();
    as_.jmp(in_place);
    return as_.finish();
  }

 private:
  static constexpr int result = 11;
  static constexpr int chosen = 15;

  Xbyak::Address mask(std::size_t slot) const { return ptr[rsp + vector_size * slot]; }
  Xbyak::Address saved(unsigned index) const { return qword[rsp + saved_ + 8 * index]; }
  static Xbyak::Ymm vector(int number) { return Xbyak::Ymm(number); }

  /// Assumptions are kept as where they fail.
  void keep_answer(std::size_t slot) override {
    const Xbyak::Ymm answer = vector(Lanes::answer_vector);
    const bool is_assumption =
        std::ranges::any_of(assumption_slots_, [slot](const auto& assumption) { return assumption.second == slot; });
    if (is_assumption) {
      as_.vpcmpeqd(vector(chosen), vector(chosen), vector(chosen));
      as_.vpxor(answer, answer, vector(chosen));
    }
    as_.vmovdqu(mask(slot), answer);
  }

  void prologue() {
    as_.endbr64();
    for (const Xbyak::Reg64& reg : {rbx, rbp, r12, r13, r14, r15}) as_.push(reg);
    as_.mov(rax, rsp);
    as_.sub(rsp, static_cast<std::uint32_t>(frame_size_));
    as_.and_(rsp, ~std::uint32_t{63});  // no mask crosses a cache line
    as_.mov(saved(5), rax);
    as_.mov(saved(3), rcx);
    as_.mov(saved(4), 0);  // what lanes cannot decide
    as_.shl(rsi, 4);       // 16 bytes a Frame
    as_.add(rsi, rdi);
    as_.xor_(ebp, ebp);
  }

  void epilogue() {
    as_.mov(rax, saved(4));
    as_.mov(rsp, saved(5));
    for (const Xbyak::Reg64& reg : {r15, r14, r13, r12, rbp, rbx}) as_.pop(reg);
    as_.vzeroupper();
    as_.ret();
  }

  /// Compares the smallest captured lengths; the other words of the Frames are compared with what nothing is below.
  void jump_if_any_is_short(const Xbyak::Label& target) {
    as_.mark("all captured lengths at once");
    for (unsigned row = 0; row < 4; ++row) as_.vmovdqu(vector(static_cast<int>(row)), ptr[rbx + vector_size * row]);
    as_.vpminud(vector(0), vector(0), vector(1));
    as_.vpminud(vector(2), vector(2), vector(3));
    as_.vpminud(vector(0), vector(0), vector(2));
    constexpr std::uint32_t lowest = 0x80000000;  // of signed numbers
    const auto needed = static_cast<std::uint32_t>(as_.bound(needed_length_));
    const std::array limits = {lowest, lowest, needed, lowest, lowest, lowest, needed, lowest};
    as_.vmovdqu(vector(1), ptr[rip + as_.pooled_table(limits)]);
    as_.vpcmpgtd(vector(1), vector(1), vector(0));
    as_.vptest(vector(1), vector(1));
    as_.jnz(target);
    if (!plan_.uses_wire_length()) return;
    compile_lengths();  // leaves the wire lengths where comparisons look for them
  }

  // --- Nodes, for a group: first what is to be chosen, then the code for it ---

  /// target = the test ? if_true : if_false, at least one of which is not the same for all lanes.
  struct Choice {
    std::size_t target;
    std::size_t test;
    Mask if_true;
    Mask if_false;
  };

  void compile_group(bool test_lengths) {
    load_addresses();
    compile_windows();
    if (test_lengths) compile_length_tests();
    compile_comparisons();
    choices_.clear();
    next_slot_ = slots_used_;
    for (const NodeId id : plan_.nodes()) answers_[id] = answer_of(id, test_lengths);
    for (const NodeId id : plan_.nodes()) undecided_[id] = undecided_of(id, test_lengths);
    const NodeId root = graph_.roots()[0];
    uses_.assign(next_slot_ + 1, 0);
    for (const Choice& choice : choices_) {
      ++uses_[choice.if_true.slot];
      ++uses_[choice.if_false.slot];
    }
    ++uses_[answers_[root].slot];
    ++uses_[undecided_[root].slot];
    in_result_ = {};
    is_kept_ = true;
    for (const Choice& choice : choices_) compile_choice(choice);
    if (!undecided_[root].is_none()) {
      load(undecided_[root]);
      as_.vmovmskps(eax, vector(result));
      as_.mov(byte[rsp + rbp + saved_ + 4 * 8], al);
    }
    load(answers_[root]);
  }

  Mask answer(NodeId id) const {
    if (id <= accept) return {id == accept ? Mask::Kind::all : Mask::Kind::none, 0};
    return answers_[id];
  }

  Mask undecided(NodeId id) const { return id <= accept ? Mask{} : undecided_[id]; }

  bool is_settled(const Node& node, bool test_lengths) const {
    return !test_lengths && graph_.test(node.test).kind == TestKind::length_covers;
  }

  Mask choice(std::size_t test, const Mask& if_true, const Mask& if_false) {
    if (if_true == if_false) return if_true;
    if (if_true.is_all() && if_false.is_none()) return {Mask::Kind::stored, test};
    choices_.push_back({next_slot_, test, if_true, if_false});
    return {Mask::Kind::stored, next_slot_++};
  }

  Mask answer_of(NodeId id, bool test_lengths) {
    const Node& node = graph_.node(id);
    if (!plan_.tests().at(node.test).in_lanes) return {};
    if (is_settled(node, test_lengths)) return answer(node.if_true);
    return choice(slots_.at(node.test), answer(node.if_true), answer(node.if_false));
  }

  Mask undecided_of(NodeId id, bool test_lengths) {
    const Node& node = graph_.node(id);
    const LaneTest& how = plan_.tests().at(node.test);
    constexpr Mask all = {Mask::Kind::all, 0};
    if (!how.in_lanes) return all;
    Mask mask = undecided(node.if_true);
    const Mask if_false = undecided(node.if_false);
    for (const ValueId base : how.assumed_bases) {
      // What is undecided further down for the same reason adds nothing.
      const Mask failed = {Mask::Kind::stored, assumption_slots_.at(base)};
      const auto adds_nothing = [&](const Mask& other) { return other.is_none() || other == failed; };
      if (how.assumed_bases.size() == 1 && adds_nothing(mask) && adds_nothing(if_false)) return failed;
    }
    if (!is_settled(node, test_lengths)) mask = choice(slots_.at(node.test), mask, if_false);
    for (const ValueId base : how.assumed_bases) {
      const std::size_t failed = assumption_slots_.at(base);
      mask = choice(failed, all, mask);
    }
    return mask;
  }

  /// To the vector `result`, which forgets what is not asked for again.
  void load(const Mask& source) {
    if (in_result_ == source && source.kind == Mask::Kind::stored) {
      --uses_[source.slot];
      return;
    }
    keep_result();
    if (source.is_none()) {
      as_.vpxor(vector(result), vector(result), vector(result));
    } else if (source.is_all()) {
      as_.vpcmpeqd(vector(result), vector(result), vector(result));
    } else {
      as_.vmovdqu(vector(result), mask(source.slot));
      --uses_[source.slot];
      is_kept_ = true;
    }
    in_result_ = source;
  }

  /// What `result` holds goes to its place if it is not there and somebody still asks for it.
  void keep_result() {
    if (is_kept_ || in_result_.kind != Mask::Kind::stored || uses_[in_result_.slot] == 0) return;
    as_.vmovdqu(mask(in_result_.slot), vector(result));
    is_kept_ = true;
  }

  Xbyak::Address operand(const Mask& source) {
    if (in_result_ == source) keep_result();
    --uses_[source.slot];
    return mask(source.slot);
  }

  void compile_choice(const Choice& choice) {
    const auto& [target, test, if_true, if_false] = choice;
    if (if_false.is_none()) {
      load(if_true);
      keep_result();
      as_.vpand(vector(result), vector(result), mask(test));
    } else if (if_true.is_all()) {
      load(if_false);
      keep_result();
      as_.vpor(vector(result), vector(result), mask(test));
    } else {
      as_.vmovdqu(vector(chosen), mask(test));
      if (if_true.is_none()) {
        load(if_false);
        keep_result();
        as_.vpandn(vector(result), vector(chosen), vector(result));
      } else {
        const Xbyak::Address place = operand(if_true);
        load(if_false);
        keep_result();
        as_.vpblendvb(vector(result), vector(result), place, vector(chosen));
      }
    }
    in_result_ = {Mask::Kind::stored, target};
    is_kept_ = false;
  }

  /// One 64-bit match set for each lane; goes on to the next group, and leaves in the flags whether there is one.
  void write_answers() {
    as_.mark("the match sets");
    as_.vpsrld(vector(0), vector(result), 31);
    as_.vpxor(vector(1), vector(1), vector(1));
    as_.vpunpckldq(vector(2), vector(0), vector(1));  // frames 0 2, 1 3
    as_.vpunpckhdq(vector(3), vector(0), vector(1));  // frames 4 6, 5 7
    constexpr std::uint8_t in_order = 0b11'01'10'00;
    as_.vpermq(vector(2), vector(2), in_order);
    as_.vpermq(vector(3), vector(3), in_order);
    as_.vmovdqu(ptr[rdx], vector(2));
    as_.vmovdqu(ptr[rdx + vector_size], vector(3));
    as_.add(rdx, 8 * lanes);
    as_.add(ebp, 1);
    as_.add(rdi, 16 * lanes);
    as_.cmp(rdi, rsi);
  }

  std::vector<Mask> answers_;    // by node: the frames it accepts
  std::vector<Mask> undecided_;  // by node: the frames it cannot decide
  const std::size_t masks_;
  std::size_t next_slot_ = 0;
  std::size_t saved_ = 0;  // from rsp, bytes
  std::size_t frame_size_ = 0;
  std::uint32_t needed_length_ = 0;
  std::vector<Choice> choices_;
  std::vector<std::uint32_t> uses_;  // of each slot, that are left
  Mask in_result_;
  bool is_kept_ = true;  // in_result_ is in its slot, too
};

}  // namespace

std::optional<Code> compile_single(const Graph& graph) {
  if (graph.roots().size() != 1 || graph.roots()[0] <= accept) return {};
  if (graph.reachable(graph.roots()).size() > most_nodes) return {};
  SingleCompiler compiler(graph);
  if (!compiler.fits_stack() || !compiler.decides_anything()) return {};
  return compiler.compile();
}

}  // namespace ixcap::filter::jit
