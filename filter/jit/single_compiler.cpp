#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <vector>

#include <ixcap/filter/jit/mask_plan.hpp>
#include <ixcap/filter/jit/single_compiler.hpp>
#include <ixcap/filter/jit/window_compiler.hpp>

namespace ixcap::filter::jit {
namespace {

using namespace Xbyak::util;

constexpr std::size_t most_nodes = 48;
constexpr std::size_t most_masks = 768;  // on the stack: 24 KiB
constexpr std::uint32_t lanes = 8;
constexpr std::uint32_t vector_size = 32;

constexpr int no_register = -1;
constexpr unsigned most_registers_for_choice = 4;  // test, both masks, result

/// Where a mask is: in both places after it had to leave its register and came back.
struct MaskPlace {
  int reg = no_register;
  bool on_stack = false;

  bool is_made() const noexcept { return reg != no_register || on_stack; }
};

// Registers besides those of WindowCompiler: rsi = the batch's end, rdx = the group's match sets, rcx = the frames to
// ask for next, rdi = where those end, rbp = what lanes cannot decide, a bit a frame. A mask's yes is the top bit of a
// lane; the other bits mean nothing.
class SingleCompiler : private WindowCompiler {
 public:
  SingleCompiler(const Graph& graph, SimdLevel level) : WindowCompiler(graph, level, Order::unpacked) {
    std::uint32_t needed = plan_.reach();
    for (const auto& [id, slot] : slots_.tests) {
      const Test& test = graph.test(id);
      if (test.kind == TestKind::field_in && lanes_.search_spoils(graph.constants(test.set).size())) {
        searches_sets_ = true;
      }
      if (test.kind != TestKind::length_covers) continue;
      needed = std::max(needed, length_of(id));
      if (length_of(id) > shortest_common_frame) continue;
      common_tests_.insert(id);
      common_length_ = std::max(common_length_, length_of(id));
    }
    is_long_ = needed > shortest_common_frame;
    if (!is_long_) common_length_ = needed;
    for (const Window& window : plan_.windows()) {
      most_words_ = std::max(most_words_, static_cast<int>(window.words()));
    }
    common_plan_.emplace(graph, plan_, slots_, common_tests_);
    full_plan_.emplace(graph, plan_, slots_, std::set<TestId>{});
    if (level == SimdLevel::avx512_8_lanes) hold_masks();
    hold_constants();
    masks_ = std::max(common_plan_->uses().size(), full_plan_->uses().size());
    keep_words_at(vector_size * masks_);
    saved_ = vector_size * masks_ + kept_size();
    frame_size_ = saved_ + 8 * saved_words;
  }

  bool fits_stack() const { return masks_ <= most_masks; }

  /// Whether lanes do as much as the first test.
  bool decides_anything() const { return plan_.tests().at(graph_.node(graph_.roots()[0]).test).in_lanes; }

  Code compile() {
    Xbyak::Label next_group, in_place, answered, some_are_short, short_in_place, crossing;
    prologue();
    as_.L(next_group);
    if (window_loads() != 0) {
      as_.cmp(rcx, rdi);
      as_.cmovae(rcx, rbx);  // these will do
    }
    if (is_long_ || plan_.uses_wire_length()) compile_lengths();
    if (common_length_ != 0) jump_if_any_is_short(some_are_short);
    if (is_long_) {
      jump_if_crossing(common_length_ != 0, crossing);
      order_lengths();
    }
    load_addresses();
    as_.L(in_place);
    begin_prefetch();
    const int result = compile_group(*common_plan_);
    as_.L(answered);
    write_answers(result);
    as_.jb(next_group);
    epilogue();

    if (common_length_ != 0) {
      as_.L(some_are_short);
      if (!is_long_) compile_lengths();
      jump_if_crossing(false, crossing);
      order_lengths();
      load_addresses();
      as_.L(short_in_place);
      move(result, compile_group(*full_plan_));
      as_.jmp(answered);
    }
    if (plan_.reach() != 0) {
      as_.L(crossing);
      compile_copies_of_group();
      as_.jmp(common_length_ != 0 ? short_in_place : in_place, Xbyak::CodeGenerator::T_NEAR);
    }
    return as_.finish();
  }

 private:
  enum Saved : unsigned { rdi_place, rsi_place, rdx_place, rcx_place, rbx_place, scratch, old_rsp };
  static constexpr unsigned saved_words = 7;

  static constexpr int lowest_spoiled = 13;  // by tests; also the two above by some of those for membership

  Xbyak::Address on_stack(std::size_t slot) const { return ptr[rsp + vector_size * slot]; }
  Xbyak::Address saved(Saved word) const { return qword[rsp + saved_ + 8 * word]; }
  static Xbyak::Ymm vector(int number) { return Xbyak::Ymm(number); }

  /// The captured length that the test asks for, under the assumption.
  std::uint32_t length_of(TestId id) const {
    const Test& test = graph_.test(id);
    return static_cast<std::uint32_t>(test.constant + (test.left == no_value ? 0 : assumed_header_length));
  }

  /// AVX-512 has vectors that nothing else needs.
  void hold_masks() {
    constexpr int first = 16;
    constexpr int end = 25;
    std::set<std::uint32_t> masks;
    for (const auto& [id, slot] : slots_.tests) {
      if (graph_.test(id).kind == TestKind::field_equals) masks.insert(word_compared(graph_.test(id)).mask);
    }
    int number = first;
    for (const std::uint32_t mask : masks) {
      if (number == end) return;
      lanes_.hold(mask, number++);
    }
    masks_held_ = true;
  }

  /// The constants that most comparisons use go to the two vectors that masks can do without.
  void hold_constants() {
    const int for_masks = lowest_spoiled - first_word_vector - most_words_;
    holds_constants_ = !searches_sets_ && for_masks >= static_cast<int>(most_registers_for_choice);
    if (!holds_constants_) return;
    std::map<std::uint32_t, unsigned> uses;
    for (const EitherHalf& either : common_plan_->either_halves()) {
      ++uses[either.constant * Lanes::both_halves];
      ++uses[Lanes::both_halves];
    }
    for (const auto& [id, slot] : slots_.tests) {
      if (graph_.test(id).kind != TestKind::field_equals || common_plan_->uses()[slot] == 0) continue;
      const auto [mask, constant] = word_compared(graph_.test(id));
      if (!masks_held_) ++uses[mask];
      ++uses[constant];
    }
    for (int reg = lowest_spoiled + 1; reg < lowest_spoiled + 3 && !uses.empty(); ++reg) {
      const auto most = std::ranges::max_element(uses, {}, [](const auto& entry) { return entry.second; });
      lanes_.hold(most->first, reg);
      uses.erase(most);
    }
  }

  void prologue() {
    as_.endbr64();
    for (const Xbyak::Reg64& reg : {rbx, rbp, r12, r13, r14, r15}) as_.push(reg);
    as_.mov(rax, rsp);
    as_.sub(rsp, static_cast<std::uint32_t>(frame_size_));
    as_.and_(rsp, ~std::uint32_t{63});  // no mask crosses a cache line
    as_.mov(saved(old_rsp), rax);
    as_.mov(saved(scratch), rcx);
    as_.mov(rbx, rdi);
    as_.shl(rsi, 4);  // 16 bytes a Frame
    as_.add(rsi, rdi);
    as_.mov(rdi, qword[rcx + offsetof(LaneScratch, prefetch_end)]);
    as_.mov(rcx, qword[rcx + offsetof(LaneScratch, prefetch)]);
    as_.xor_(ebp, ebp);
    prepare();
  }

  void epilogue() {
    as_.mov(rax, rbp);
    as_.mov(rsp, saved(old_rsp));
    for (const Xbyak::Reg64& reg : {r15, r14, r13, r12, rbp, rbx}) as_.pop(reg);
    as_.vzeroupper();
    as_.ret();
  }

  void jump_if_crossing(bool none_empty, const Xbyak::Label& target) {
    if (plan_.reach() == 0) return;
    lanes_.jump_if_crossing(lanes_.vector(address_vector), page_size - plan_.reach(), lanes_.vector(lengths_vector),
                            plan_.reach(), none_empty, target);
  }

  /// Where lengths are not in lanes yet, the smallest are compared; of the Frames' other words, nothing.
  void jump_if_any_is_short(const Xbyak::Label& target) {
    as_.mark("all captured lengths at once");
    const auto needed = static_cast<std::uint32_t>(as_.bound(common_length_));
    std::array<std::uint32_t, lanes> limits;
    limits.fill(needed);
    const Xbyak::Ymm shortest = vector(is_long_ ? lengths_vector : 0);
    constexpr std::uint32_t lengths_of_row = 0x11 << offsetof(Frame, captured_length) / 4;
    if (!is_long_) {
      as_.vmovdqu(shortest, ptr[rbx]);
      for (unsigned row = 1; row < 4; ++row) as_.vpminud(shortest, shortest, ptr[rbx + vector_size * row]);
    }
    // Lengths from 2^31 on count as short, or as long: both copies of the code are right for them.
    as_.vpsubd(vector(1), shortest, ptr[rip + as_.pooled_table(limits)]);
    as_.vmovmskps(eax, vector(1));
    as_.test(eax, is_long_ ? 0xff : lengths_of_row);
    as_.jnz(target, Xbyak::CodeGenerator::T_NEAR);
  }

  void compile_copies_of_group() {
    const std::array registers = {rdi, rsi, rdx, rcx, rbx};
    for (unsigned i = 0; i < registers.size(); ++i) as_.mov(saved(static_cast<Saved>(i)), registers[i]);
    compile_copies(saved(scratch));
    compile_lengths();
    order_lengths();
    load_addresses();
    for (unsigned i = 0; i < registers.size(); ++i) as_.mov(registers[i], saved(static_cast<Saved>(i)));
  }

  // --- A group: tests as their words come by, and every choice as soon as it can be made ---

  /// The vector that the answer is in.
  int compile_group(const MaskPlan& plan) {
    masks_of_ = &plan;
    places_.assign(plan.uses().size(), {});
    uses_ = plan.uses();
    pending_ = plan.choices();
    free_.clear();
    registers_ = 0;
    const int behind_words = first_word_vector + most_words_;
    if (!searches_sets_ && !holds_constants_) give_registers(lowest_spoiled + 1, lowest_spoiled + 3);
    give_registers(lengths_vector + 1, lowest_spoiled);
    give_registers(behind_words, lengths_vector);
    compile_length_tests();
    give_registers(lengths_vector, lengths_vector + 1);
    compile_windows();
    compile_comparisons();
    give_registers(0, behind_words);
    make_choices();
    if (!plan.undecided().is_none()) {
      as_.mark("frames for scalar code");
      as_.vmovmskps(eax, vector(in_register(plan.undecided())));
      as_.or_(rbp, rax);
    }
    as_.mark("the match sets");
    return in_register(plan.answer());
  }

  bool wants(std::size_t slot) const override { return masks_of_->uses()[slot] != 0; }

  void begin_answer(std::size_t slot) override {
    places_[slot].reg = take_register();
    lanes_.answer_in(places_[slot].reg);
    being_made_ = slot;
  }

  void keep_answer(std::size_t) override {
    being_made_.reset();
    make_choices();
  }

  void compile_between() override { compile_prefetch(rcx); }

  bool compile_guard(TestId test, const Xbyak::Label& done) override {
    const std::optional<Mask> guard = masks_of_->guard_of(test);
    if (!guard || !guard->is_stored() || !places_[guard->slot].is_made()) return false;
    const Xbyak::Ymm needed = vector(in_register(*guard));
    const Xbyak::Ymm answer = vector(places_[*being_made_].reg);
    as_.vpxor(answer, answer, answer);
    as_.vtestps(needed, needed);
    as_.jz(done, Xbyak::CodeGenerator::T_NEAR);
    return true;
  }

  void compile_more(std::uint32_t word, const Lanes::Vector& word_lanes) override {
    for (const EitherHalf& either : masks_of_->either_halves()) {
      if (either.word != word) continue;
      as_.mark("either half of the word");
      begin_answer(either.target);
      lanes_.either_half_equals(word_lanes, either.constant);
      keep_answer(either.target);
    }
  }

  void give_registers(int first, int end) {
    for (int reg = first; reg < end; ++reg, ++registers_) free_.push_back(reg);
  }

  void make_choices() {
    if (registers_ < most_registers_for_choice) return;
    std::erase_if(pending_, [this](const Choice& choice) {
      const std::vector<std::size_t> operands = choice.operands();
      if (!std::ranges::all_of(operands, [this](std::size_t slot) { return places_[slot].is_made(); })) return false;
      make(choice, operands);
      return true;
    });
  }

  void make(const Choice& choice, const std::vector<std::size_t>& operands) {
    pinned_ = operands;
    const Xbyak::Ymm test = vector(in_register(Mask::at(choice.test), false));
    const auto operand = [this](const Mask& mask) { return vector(in_register(mask, false)); };
    const auto& [target, test_slot, if_true, if_false] = choice;
    const int reg = take_register();
    const Xbyak::Ymm result = vector(reg);
    if (if_false.is_none()) {
      as_.vpand(result, test, operand(if_true));
    } else if (if_true.is_none() && if_false.is_stored()) {
      as_.vpandn(result, test, operand(if_false));
    } else if (if_true.is_all() && if_false.is_stored()) {
      as_.vpor(result, test, operand(if_false));
    } else if (if_false.is_all()) {
      as_.vpcmpeqd(result, result, result);
      if_true.is_none() ? as_.vpandn(result, test, result) : as_.vblendvps(result, result, operand(if_true), test);
    } else {
      as_.vblendvps(result, operand(if_false), operand(if_true), test);
    }
    pinned_.clear();
    for (const std::size_t slot : operands) drop_use(slot);
    places_[target].reg = reg;
  }

  void drop_use(std::size_t slot) {
    if (--uses_[slot] != 0 || places_[slot].reg == no_register) return;
    free_.push_back(places_[slot].reg);
    places_[slot].reg = no_register;
  }

  /// The vector that the mask is in, or comes to be in. `last`: it is not pinned, and this was one use of it.
  int in_register(const Mask& mask, bool last = true) {
    if (!mask.is_stored()) {
      const int reg = take_register();
      mask.is_all() ? as_.vpcmpeqd(vector(reg), vector(reg), vector(reg))
                    : as_.vpxor(vector(reg), vector(reg), vector(reg));
      free_.push_back(reg);
      return reg;
    }
    if (places_[mask.slot].reg == no_register) {
      const int reg = take_register();
      as_.vmovdqu(vector(reg), on_stack(mask.slot));
      places_[mask.slot].reg = reg;
    }
    const int reg = places_[mask.slot].reg;
    if (last) drop_use(mask.slot);
    return reg;
  }

  int take_register() {
    if (free_.empty()) spill();
    const int reg = free_.back();
    free_.pop_back();
    return reg;
  }

  /// Frees the register of the mask that is not needed for the longest time.
  void spill() {
    std::size_t victim = places_.size();
    std::size_t farthest = 0;
    for (std::size_t slot = 0; slot < places_.size(); ++slot) {
      const bool is_pinned = std::ranges::find(pinned_, slot) != pinned_.end() || slot == being_made_;
      if (places_[slot].reg == no_register || is_pinned) continue;
      if (victim != places_.size() && next_use(slot) <= farthest) continue;
      victim = slot;
      farthest = next_use(slot);
    }
    MaskPlace& place = places_[victim];
    if (!place.on_stack) as_.vmovdqu(on_stack(victim), vector(place.reg));
    place.on_stack = true;
    free_.push_back(place.reg);
    place.reg = no_register;
  }

  std::size_t next_use(std::size_t slot) const {
    const auto use = std::ranges::find_if(pending_, [slot](const Choice& choice) {
      const auto operands = choice.operands();
      return std::ranges::find(operands, slot) != operands.end();
    });
    return static_cast<std::size_t>(use - pending_.begin());
  }

  void move(int target, int source) {
    if (target != source) as_.vmovdqa(vector(target), vector(source));
  }

  /// One 64-bit match set for each lane; goes on to the next group, and leaves in the flags whether there is one.
  void write_answers(int answer) {
    const Xbyak::Ymm ones = vector(0), zero = vector(1), first = vector(2), second = vector(3);
    as_.vpsrld(ones, vector(answer), 31);
    as_.vpxor(zero, zero, zero);
    as_.vpunpckldq(first, ones, zero);
    as_.vpunpckhdq(second, ones, zero);
    as_.vmovdqu(ptr[rdx], first);
    as_.vmovdqu(ptr[rdx + vector_size], second);
    as_.add(rdx, 8 * lanes);
    as_.ror(rbp, lanes);
    as_.add(rbx, 16 * lanes);
    as_.cmp(rbx, rsi);
  }

  std::set<TestId> common_tests_;    // of lengths, that hold for groups of common frames
  std::uint32_t common_length_ = 0;  // which is what these have
  bool is_long_ = false;             // windows or tests ask for more than common frames have
  bool searches_sets_ = false;
  bool holds_constants_ = false;
  bool masks_held_ = false;
  int most_words_ = 0;  // of a window
  std::optional<MaskPlan> common_plan_;
  std::optional<MaskPlan> full_plan_;
  std::size_t masks_ = 0;
  std::size_t saved_ = 0;  // from rsp, bytes
  std::size_t frame_size_ = 0;

  // Of the group that code is being written for:
  const MaskPlan* masks_of_ = nullptr;
  std::vector<MaskPlace> places_;    // by slot
  std::vector<std::uint32_t> uses_;  // by slot, that are left
  std::vector<Choice> pending_;
  std::vector<std::size_t> pinned_;        // masks that may not leave their registers
  std::optional<std::size_t> being_made_;  // neither may this
  std::vector<int> free_;                  // registers
  unsigned registers_ = 0;                 // for masks, in all
};

}  // namespace

std::optional<Code> compile_single(const Graph& graph, SimdLevel level) {
  if (graph.roots().size() != 1 || graph.roots()[0] <= accept) return {};
  if (graph.reachable(graph.roots()).size() > most_nodes) return {};
  SingleCompiler compiler(graph, level);
  if (!compiler.fits_stack() || !compiler.decides_anything()) return {};
  return compiler.compile();
}

}  // namespace ixcap::filter::jit
