#include <algorithm>
#include <vector>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/jit/batch_compiler.hpp>
#include <ixcap/filter/jit/window_compiler.hpp>

namespace ixcap::filter::jit {
namespace {

using namespace Xbyak::util;

// Tests and nodes have eight bytes each on the stack: one bit a frame.
constexpr std::size_t most_words = 3072;

/// A word with one bit a frame: in memory, or all or none of the bits.
struct Word {
  enum class Kind : std::uint8_t { none, all, stored } kind = Kind::none;
  std::size_t slot = 0;

  bool is_none() const noexcept { return kind == Kind::none; }
  bool is_all() const noexcept { return kind == Kind::all; }
};

// Registers besides those of WindowCompiler: rdi = the frames of the group, rsi = the end of the batch, rdx = the
// frames to ask for next, rbp = bytes of each word that are done.
class BatchCompiler : private WindowCompiler {
 public:
  BatchCompiler(const Graph& graph, SimdLevel level)
      : WindowCompiler(graph, level, Order::natural), answers_(graph.nodes()), undecided_(graph.nodes()) {
    words_ = slots_.used + 2 * plan_.nodes().size() + 1;
    keep_words_at(8 * words_);
    saved_ = 8 * words_ + kept_size();
    frame_size_ = saved_ + 8 * saved_words;
    frame_size_ += (24 - frame_size_ % 16) % 16;  // odd, behind the six registers that are pushed
    for (const auto& [id, slot] : slots_.tests) {
      const Test& test = graph.test(id);
      if (test.kind != TestKind::length_covers) continue;
      const auto length = test.constant + (test.left == no_value ? 0 : assumed_header_length);
      common_length_ = std::max(common_length_, static_cast<std::uint32_t>(length));
      length_slots_.push_back(slot);
    }
    passes_lengths_ = lanes_.count() == 16 && plan_.reach() != 0 && common_length_ != 0 &&
                      common_length_ <= shortest_common_frame && !plan_.uses_wire_length();
  }

  Code compile() {
    if (words_ > most_words) return {};
    prologue();
    if (!slots_.tests.empty()) compile_groups();
    as_.mark("which frames each node accepts");
    for (const NodeId id : plan_.nodes()) combine(id);
    epilogue();
    return as_.finish();
  }

 private:
  enum Saved : unsigned { group, batch_end, next_frames, results, scratch };
  static constexpr unsigned saved_words = 5;

  Xbyak::Address word(std::size_t slot) const { return qword[rsp + 8 * slot]; }
  Xbyak::Address saved(Saved place) const { return qword[rsp + saved_ + 8 * place]; }

  void prologue() {
    as_.endbr64();
    for (const Xbyak::Reg64& reg : {rbx, rbp, r12, r13, r14, r15}) as_.push(reg);
    as_.sub(rsp, static_cast<std::uint32_t>(frame_size_));
    as_.mov(saved(results), rdx);
    as_.mov(saved(scratch), rcx);
    as_.mov(rdx, qword[rcx + offsetof(LaneScratch, prefetch)]);
    as_.shl(rsi, 4);  // 16 bytes a Frame
    as_.add(rsi, rdi);
    as_.xor_(ebp, ebp);
    prepare();
    if (!passes_lengths_) return;
    for (const std::size_t slot : length_slots_)
      as_.mov(word(slot), ~std::uint64_t{0});  // groups without short frames leave it so
  }

  void epilogue() {
    as_.mark("the answers");
    as_.mov(rdx, saved(results));
    for (std::size_t i = 0; i < graph_.roots().size(); ++i) {
      const NodeId root = graph_.roots()[i];
      load(rax, answer(root));
      as_.mov(qword[rdx + 8 * i], rax);
    }
    as_.xor_(eax, eax);
    for (const NodeId root : graph_.roots()) {
      if (root > accept && !undecided_[root].is_none()) {
        load(rcx, undecided_[root]);
        as_.or_(rax, rcx);
      }
    }
    as_.mov(qword[rdx + 8 * graph_.roots().size()], rax);
    as_.add(rsp, static_cast<std::uint32_t>(frame_size_));
    for (const Xbyak::Reg64& reg : {r15, r14, r13, r12, rbp, rbx}) as_.pop(reg);
    as_.vzeroupper();
    as_.ret();
  }

  // --- Tests, for a group of as many frames as there are lanes ---

  bool wants(std::size_t) const override { return true; }
  void begin_answer(std::size_t) override {}
  bool compile_guard(TestId, const Xbyak::Label&) override { return false; }
  void compile_more(std::uint32_t, const Lanes::Vector&) override {}

  void compile_between() override { compile_prefetch(rdx); }
  void keep_answer(std::size_t slot) override { lanes_.store_answer(rsp + rbp + 8 * slot); }

  void compile_groups() {
    Xbyak::Label next_group, some_are_short, lengths_known, in_place, crossing, done;
    as_.L(next_group);
    as_.mov(rbx, rdi);
    if (plan_.reach() != 0) {
      as_.mov(rax, saved(scratch));
      as_.cmp(rdx, qword[rax + offsetof(LaneScratch, prefetch_end)]);
      as_.cmovae(rdx, rbx);  // these will do
    }
    if (passes_lengths_) {
      as_.mark("all captured lengths and addresses at once");
      const auto length = static_cast<std::uint32_t>(as_.bound(common_length_));
      lanes_.jump_if_any_is_short(rbx, std::max(length, 1u), page_size - plan_.reach(), some_are_short);
    } else {
      compile_all_lengths(crossing, lengths_known);
    }
    as_.L(in_place);
    load_addresses();
    begin_prefetch();
    compile_windows();
    compile_comparisons();
    as_.add(rdi, 16 * lanes_.count());
    as_.add(ebp, lanes_.count() / 8);
    as_.cmp(rdi, rsi);
    as_.jb(next_group, Xbyak::CodeGenerator::T_NEAR);
    as_.jmp(done, Xbyak::CodeGenerator::T_NEAR);
    if (passes_lengths_) {
      as_.L(some_are_short);
      compile_all_lengths(crossing, lengths_known);
      as_.jmp(in_place, Xbyak::CodeGenerator::T_NEAR);
    }
    as_.L(crossing);
    as_.mov(saved(group), rdi);
    as_.mov(saved(batch_end), rsi);
    as_.mov(saved(next_frames), rdx);
    compile_copies(saved(scratch));
    as_.mov(rdi, saved(group));
    as_.mov(rsi, saved(batch_end));
    as_.mov(rdx, saved(next_frames));
    compile_lengths();
    as_.jmp(lengths_known, Xbyak::CodeGenerator::T_NEAR);
    as_.L(done);
  }

  /// The tests of lengths, for each frame by itself.
  void compile_all_lengths(const Xbyak::Label& crossing, Xbyak::Label& lengths_known) {
    compile_lengths();
    if (plan_.reach() != 0) {
      lanes_.jump_if_crossing(lanes_.vector(address_vector), page_size - plan_.reach(), lanes_.vector(lengths_vector),
                              plan_.reach(), false, crossing);
    }
    as_.L(lengths_known);
    order_lengths();
    compile_length_tests();
  }

  // --- Nodes, for all frames at once ---

  Word answer(NodeId id) const {
    if (id <= accept) return {id == accept ? Word::Kind::all : Word::Kind::none, 0};
    return answers_[id];
  }

  Word undecided(NodeId id) const { return id <= accept ? Word{} : undecided_[id]; }

  void load(const Xbyak::Reg64& target, const Word& source) {
    if (source.is_none()) {
      as_.xor_(target.cvt32(), target.cvt32());
    } else if (source.is_all()) {
      as_.mov(target, ~std::uint64_t{0});
    } else {
      as_.mov(target, word(source.slot));
    }
  }

  /// rax = the test ? if_true : if_false.
  void choose(const Xbyak::Address& test, const Word& if_true, const Word& if_false) {
    if (if_false.is_none()) {
      load(rax, if_true);
      as_.and_(rax, test);
    } else if (if_true.is_all()) {
      load(rax, if_false);
      as_.or_(rax, test);
    } else {
      as_.mov(rcx, test);
      if (if_false.is_all()) {
        as_.mov(rax, rcx);
        as_.not_(rax);
      } else {
        as_.andn(rax, rcx, word(if_false.slot));
      }
      if (if_true.is_none()) return;
      as_.and_(rcx, word(if_true.slot));
      as_.or_(rax, rcx);
    }
  }

  void combine(NodeId id) {
    const Node& node = graph_.node(id);
    const LaneTest& how = plan_.tests().at(node.test);
    if (!how.in_lanes) {
      undecided_[id].kind = Word::Kind::all;
      return;
    }
    const std::size_t test = slots_.tests.at(node.test);
    const Word if_true = answer(node.if_true);
    const Word if_false = answer(node.if_false);
    if (if_true.is_all() && if_false.is_none()) {
      answers_[id] = {Word::Kind::stored, test};
    } else if (!if_true.is_none() || !if_false.is_none()) {
      choose(word(test), if_true, if_false);
      answers_[id] = store();
    }
    const Word true_undecided = undecided(node.if_true);
    const Word false_undecided = undecided(node.if_false);
    if (true_undecided.is_none() && false_undecided.is_none() && how.assumed_bases.empty()) return;
    if (true_undecided.is_all() && false_undecided.is_all()) {
      undecided_[id].kind = Word::Kind::all;
      return;
    }
    choose(word(test), true_undecided, false_undecided);
    for (const ValueId base : how.assumed_bases) {
      as_.mov(rcx, word(slots_.assumptions.at(base)));
      as_.not_(rcx);
      as_.or_(rax, rcx);
    }
    undecided_[id] = store();
  }

  /// Keeps rax.
  Word store() {
    const std::size_t slot = slots_.used + stored_++;
    as_.mov(word(slot), rax);
    return {Word::Kind::stored, slot};
  }

  std::uint32_t common_length_ = 0;        // that all tests of lengths ask for
  bool passes_lengths_ = false;            // groups without shorter frames pass by these tests
  std::vector<std::size_t> length_slots_;  // of these tests
  std::vector<Word> answers_;              // by node: the frames it accepts
  std::vector<Word> undecided_;            // by node: the frames it cannot decide
  std::size_t words_ = 0;
  std::size_t stored_ = 0;
  std::size_t saved_ = 0;  // from rsp, bytes
  std::size_t frame_size_ = 0;
};

}  // namespace

Code compile_batch(const Graph& graph, SimdLevel level) {
  return BatchCompiler(graph, level).compile();
}

}  // namespace ixcap::filter::jit
