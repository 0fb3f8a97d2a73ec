#include <algorithm>
#include <vector>

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

// Registers besides those of WindowCompiler: rdi = the frames of the group, rsi = the end of the batch, rbp = bytes of
// each word that are done.
class BatchCompiler : private WindowCompiler {
 public:
  BatchCompiler(const Graph& graph, SimdLevel level)
      : WindowCompiler(graph, level, Order::natural), answers_(graph.nodes()), undecided_(graph.nodes()) {
    words_ = slots_.used + 2 * plan_.nodes().size() + 1;
    keep_words_at(8 * words_);
    saved_ = 8 * words_ + kept_size();
    frame_size_ = saved_ + 4 * 8 + 8;  // odd, behind the six registers that are pushed
    frame_size_ += (24 - frame_size_ % 16) % 16;
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
  Xbyak::Address word(std::size_t slot) const { return qword[rsp + 8 * slot]; }
  Xbyak::Address saved(unsigned index) const { return qword[rsp + saved_ + 8 * index]; }

  void prologue() {
    as_.endbr64();
    for (const Xbyak::Reg64& reg : {rbx, rbp, r12, r13, r14, r15}) as_.push(reg);
    as_.sub(rsp, static_cast<std::uint32_t>(frame_size_));
    as_.mov(saved(2), rdx);
    as_.mov(saved(3), rcx);
    as_.shl(rsi, 4);  // 16 bytes a Frame
    as_.add(rsi, rdi);
    as_.xor_(ebp, ebp);
    lanes_.prepare();
  }

  void epilogue() {
    as_.mark("the answers");
    as_.mov(rdx, saved(2));
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

  void keep_answer(std::size_t slot) override {
    lanes_.answer_to_eax();
    const Xbyak::RegExp place = rsp + rbp + 8 * slot;
    lanes_.count() == 16 ? as_.mov(Xbyak::util::word[place], ax) : as_.mov(byte[place], al);
  }

  void compile_groups() {
    Xbyak::Label next_group, in_place, crossing, done;
    as_.L(next_group);
    as_.mov(rbx, rdi);
    as_.mov(rax, saved(3));
    as_.mov(rcx, qword[rax + offsetof(LaneScratch, prefetch)]);
    compile_prefetch(rcx, qword[rax + offsetof(LaneScratch, prefetch_end)]);
    as_.mov(qword[rax + offsetof(LaneScratch, prefetch)], rcx);
    compile_lengths();
    if (plan_.reach() != 0) {
      lanes_.jump_if_crossing(lanes_.vector(address_vector), page_size - plan_.reach(), lanes_.vector(lengths_vector),
                              plan_.reach(), false, crossing);
    }
    as_.L(in_place);
    load_addresses();
    compile_windows();
    compile_length_tests();
    compile_comparisons();
    as_.add(rdi, 16 * lanes_.count());
    as_.add(ebp, lanes_.count() / 8);
    as_.cmp(rdi, rsi);
    as_.jb(next_group);
    as_.jmp(done);
    as_.L(crossing);
    as_.mov(saved(0), rdi);
    as_.mov(saved(1), rsi);
    compile_copies(saved(3));
    as_.mov(rdi, saved(0));
    as_.mov(rsi, saved(1));
    compile_lengths();
    as_.jmp(in_place);
    as_.L(done);
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

  std::vector<Word> answers_;    // by node: the frames it accepts
  std::vector<Word> undecided_;  // by node: the frames it cannot decide
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
