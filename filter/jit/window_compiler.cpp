#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <ixcap/filter/describe.hpp>
#include <ixcap/filter/jit/window_compiler.hpp>

namespace ixcap::filter::jit {
namespace {

using namespace Xbyak::util;

constexpr int first_order_vector = 25;
constexpr std::size_t most_orders_kept = 3;
constexpr int passing_order_vector = 5;

/// The group's frames with their bytes, or the beginning of them, where windows may be loaded. Called from native code.
const Frame* copy_group(const Frame* group, LaneScratch* scratch, std::uint64_t lanes) noexcept {
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    scratch->frames[lane] = group[lane];
    if (group[lane].captured_length >= longest_reach) continue;
    std::memset(scratch->bytes[lane].data(), 0, longest_reach);
    if (group[lane].captured_length != 0) {
      std::memcpy(scratch->bytes[lane].data(), group[lane].data, group[lane].captured_length);
    }
    scratch->frames[lane].data = scratch->bytes[lane].data();
  }
  return scratch->frames.data();
}

WindowKind window_kind(SimdLevel level) noexcept {
  switch (level) {
    case SimdLevel::avx2:
      return WindowKind::block;
    case SimdLevel::avx512_8_lanes:
      return WindowKind::picked_32;
    default:
      return WindowKind::picked_64;
  }
}

}  // namespace

WindowCompiler::WindowCompiler(const Graph& graph, SimdLevel level, Order order)
    : graph_(graph), plan_(graph, window_kind(level)), lanes_(as_, level), order_(order) {
  for (const auto& [test, how] : plan_.tests()) {
    if (how.in_lanes) slots_.tests[test] = slots_.used++;
  }
  for (const ValueId base : plan_.assumed_bases()) slots_.assumptions[base] = slots_.used++;
}

Xbyak::Address WindowCompiler::kept(std::size_t index) const {
  return ptr[rsp + kept_at_ + index * lanes_.vector_size()];
}

unsigned WindowCompiler::frame_of(unsigned row, unsigned quarter) const {
  return order_ == Order::natural ? row + 4 * quarter : (row & 1) + 2 * quarter + 4 * (row / 2);
}

/// From the order that whole rows of Frames have when they are transposed (of 8: 0 2 4 6 1 3 5 7).
void WindowCompiler::order_lengths() {
  in_lane_order(lanes_.vector(lengths_vector));
}

void WindowCompiler::in_lane_order(const Lanes::Vector& lanes) {
  const unsigned quarters = lanes_.count() / 4;
  std::vector<std::uint32_t> order;
  for (unsigned lane = 0; lane < lanes_.count(); ++lane) {
    const unsigned frame = frame_of(lane % 4, lane / 4);
    order.push_back(4 * (frame % quarters) + frame / quarters);
  }
  lanes_.load(lanes_.vector(4), ptr[rip + as_.pooled_table(order)]);
  lanes_.permute(lanes, lanes_.vector(4));
}

/// Words of the rows, as lanes in the frames' order; any pair in four operations.
void WindowCompiler::transpose(unsigned first, unsigned second, int first_target, int second_target) {
  const auto vector = [this](int number) { return lanes_.vector(number); };
  lanes_.pick(vector(4), vector(0), vector(1), first, second);
  lanes_.pick(vector(5), vector(2), vector(3), first, second);
  lanes_.pick(vector(first_target), vector(4), vector(5), 0, 2);
  if (second != first) lanes_.pick(vector(second_target), vector(4), vector(5), 1, 3);
}

void WindowCompiler::compile_lengths() {
  as_.mark("addresses and lengths");
  for (unsigned row = 0; row < 4; ++row) {
    lanes_.load(lanes_.vector(static_cast<int>(row)), ptr[rbx + lanes_.vector_size() * row]);
  }
  const unsigned wire = offsetof(Frame, wire_length) / 4;
  if (plan_.uses_wire_length()) transpose(wire, wire, address_vector + 1, 0);
  transpose(0, offsetof(Frame, captured_length) / 4, address_vector, lengths_vector);
  lanes_.smaller(lanes_.vector(lengths_vector), 0x7fffffff);
  if (!plan_.uses_wire_length()) return;
  in_lane_order(lanes_.vector(address_vector + 1));
  lanes_.store(kept(plan_.kept_words().size()), lanes_.vector(address_vector + 1));
}

void WindowCompiler::compile_prefetch(const Xbyak::Reg64& next) {
  if (loads_left_ == 0) return;
  const std::size_t every = window_loads() / lanes_.count();
  if (loads_left_-- % every != 0) return;
  const std::size_t frame = lanes_.count() - 1 - loads_left_ / every;
  as_.mov(rax, qword[next + sizeof(Frame) * frame]);
  as_.prefetcht0(ptr[rax]);
  if (frame == lanes_.count() - 1) as_.add(next, static_cast<std::uint32_t>(sizeof(Frame)) * lanes_.count());
}

void WindowCompiler::load_addresses() {
  if (plan_.windows().empty()) return;
  for (unsigned lane = 0; lane < 8; ++lane) {
    as_.mov(Xbyak::Reg64(8 + static_cast<int>(lane)), qword[rbx + sizeof(Frame) * lane]);
  }
}

void WindowCompiler::compile_windows() {
  for (std::size_t window = 0; window < plan_.windows().size(); ++window) compile_window(window);
}

void WindowCompiler::compile_window(std::size_t number) {
  const Window& window = plan_.windows()[number];
  as_.mark(fmt::format("bytes {} to {}", window.offset, window.offset + window.size - 1));
  if (window.words() == 1 && lanes_.count() == 8) {
    load_single(window);
    return compile_word(window.first_word(), lanes_.vector(first_word_vector));
  }
  load_rows(number);
  std::vector<unsigned> used;
  for (unsigned i = 0; i < window.places.size(); ++i) {
    if (window.places[i]) used.push_back(i);
  }
  for (std::size_t i = 0; i < used.size(); i += 2) {
    const unsigned second = i + 1 < used.size() ? used[i + 1] : used[i];
    const int target = first_word_vector + static_cast<int>(i);
    transpose(used[i], second, target, target + 1);
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    compile_word(*window.places[used[i]], lanes_.vector(first_word_vector + static_cast<int>(i)));
  }
}

int WindowCompiler::order_vector(std::size_t window) const noexcept {
  return window < most_orders_kept ? first_order_vector + static_cast<int>(window) : passing_order_vector;
}

/// Which half words of a window that is picked from make up a quarter of a row.
void WindowCompiler::load_order(std::size_t number) {
  const Window& window = plan_.windows()[number];
  if (window.is_block()) return;
  std::vector<std::uint32_t> order;  // two numbers of 16 bits each
  for (unsigned lane = 0; lane < lanes_.count(); ++lane) {
    const std::uint32_t word = window.places[lane % window_words].value_or(window.offset);
    const std::uint32_t first = (word - window.offset) / 2;
    order.push_back(first | (first + 1) << 16);
  }
  as_.vmovdqu32(lanes_.vector(order_vector(number)), ptr[rip + as_.pooled_table(order)]);
}

void WindowCompiler::prepare() {
  lanes_.prepare();
  for (std::size_t i = 0; i < std::min(most_orders_kept, plan_.windows().size()); ++i) load_order(i);
}

void WindowCompiler::load_rows(std::size_t number) {
  const Window& window = plan_.windows()[number];
  if (number >= most_orders_kept) load_order(number);
  for (unsigned row = 0; row < 4; ++row) {
    const Lanes::Vector target = lanes_.vector(static_cast<int>(row));
    for (unsigned quarter = 0; quarter < lanes_.count() / 4; ++quarter) {
      const unsigned frame = frame_of(row, quarter);
      Xbyak::Reg64 address = rax;
      if (frame < 8) {
        address = Xbyak::Reg64(static_cast<int>(8 + frame));
      } else {
        as_.mov(rax, qword[rbx + sizeof(Frame) * frame]);
      }
      if (window.is_block()) {
        lanes_.load_quarter(target, quarter, address + window.offset);
      } else {
        lanes_.pick_quarter(target, quarter, address + window.offset, order_vector(number));
      }
      compile_between();
    }
  }
}

Xbyak::Reg64 WindowCompiler::address_of_lane(unsigned lane) const {
  return Xbyak::Reg64(static_cast<int>(8 + frame_of(lane % 4, lane / 4)));
}

/// The window's only word, of 8 frames. Moving bytes between the halves of a vector is dear, blending is not.
void WindowCompiler::load_single(const Window& window) {
  const std::uint32_t word = window.first_word();
  const Xbyak::Ymm target(first_word_vector);
  if (window.blended_lanes == 8) return blend_lanes(target, word, 0, 8);
  for (unsigned half = 0; half < 2; ++half) {
    const unsigned first = 4 * half;
    const Xbyak::Xmm row(half == 0 ? first_word_vector : 0);
    if (window.blended_lanes == 4) {
      blend_lanes(row, word, first, first + 4);
      continue;
    }
    const auto place = (word - window.offset) / word_size;
    const auto both = static_cast<std::uint8_t>(place | place << 2 | place << 4 | place << 6);
    for (unsigned pair = 0; pair < 2; ++pair) {
      const Xbyak::Xmm first_row(static_cast<int>(1 + pair));
      as_.vmovdqu(first_row, ptr[address_of_lane(first + 2 * pair) + window.offset]);
      compile_between();
      as_.vshufps(first_row, first_row, ptr[address_of_lane(first + 2 * pair + 1) + window.offset], both);
      compile_between();
    }
    constexpr std::uint8_t one_of_each = 0b10'00'10'00;
    as_.vshufps(row, Xbyak::Xmm(1), Xbyak::Xmm(2), one_of_each);
  }
  as_.vinserti128(target, target, Xbyak::Xmm(0), 1);
}

/// Lanes from `first` to before `end`: each from a vector that has the word in that lane, or in that of the half.
void WindowCompiler::blend_lanes(const Lanes::Vector& target, std::uint32_t word, unsigned first, unsigned end) {
  as_.vmovd(Xbyak::Xmm(target.getIdx()), dword[address_of_lane(first) + word]);
  compile_between();
  for (unsigned lane = first + 1; lane < end; ++lane) {
    const Xbyak::Address from = ptr[address_of_lane(lane) + (word - word_size * (lane - first))];
    const auto chosen = static_cast<std::uint8_t>(1u << (lane - first));
    if (lane - first < 4) {
      const Xbyak::Xmm half(target.getIdx());
      as_.vpblendd(half, half, from, chosen);
    } else {
      const Xbyak::Ymm whole(target.getIdx());
      as_.vpblendd(whole, whole, from, chosen);
    }
    compile_between();
  }
}

/// All that is asked about a word.
void WindowCompiler::compile_word(std::uint32_t offset, const Lanes::Vector& lanes) {
  const auto& kept_words = plan_.kept_words();
  const auto place = std::ranges::find(kept_words, offset);
  if (place != kept_words.end()) lanes_.store(kept(static_cast<std::size_t>(place - kept_words.begin())), lanes);
  compile_fields(offset, lanes);
  for (const auto& [base, slot] : slots_.assumptions) {
    const std::uint32_t at = *graph_.header_length_at(base);
    if (plan_.word_with(at, 1) != offset || !wants(slot)) continue;
    as_.mark(fmt::format("4*([{}]&0xf) = {}, as assumed", at, assumed_header_length));
    const unsigned shift = 8 * (at - offset);
    begin_answer(slot);
    lanes_.masked_equals(lanes, 0xfu << shift, (assumed_header_length / 4) << shift);
    keep_answer(slot);
  }
  compile_more(offset, lanes);
}

WindowCompiler::WordComparison WindowCompiler::word_compared(const Test& test) const {
  const std::uint32_t at = *plan_.assumed_offset(test.field.base, test.field.offset, test.field.width);
  const unsigned shift = 8 * (at - plan_.word_with(at, test.field.width));
  return {static_cast<std::uint32_t>(test.field.mask << shift), static_cast<std::uint32_t>(test.constant << shift)};
}

void WindowCompiler::compile_fields(std::uint32_t offset, const Lanes::Vector& lanes) {
  struct FieldTest {
    TestId id;
    std::size_t slot;
    unsigned shift;
    std::uint32_t mask;  // of the word
  };
  std::vector<FieldTest> tests;
  for (const auto& [id, slot] : slots_.tests) {
    const Test& test = graph_.test(id);
    if ((test.kind != TestKind::field_equals && test.kind != TestKind::field_in) || !wants(slot)) continue;
    const std::uint32_t at = *plan_.assumed_offset(test.field.base, test.field.offset, test.field.width);
    if (plan_.word_with(at, test.field.width) != offset) continue;
    const unsigned shift = 8 * (at - offset);
    tests.push_back({id, slot, shift, static_cast<std::uint32_t>(test.field.mask << shift)});
  }
  std::ranges::stable_sort(tests, {}, &FieldTest::mask);  // a mask is applied once for all that share it
  std::uint32_t applied = 0;
  for (const auto& [id, slot, shift, mask] : tests) {
    const Test& test = graph_.test(id);
    as_.mark(describe_with_origins(graph_, id));
    begin_answer(slot);
    if (test.kind == TestKind::field_in) {
      const auto constants = graph_.constants(test.set);
      Xbyak::Label done;
      const bool guarded = lanes_.searches_memory(constants.size()) && compile_guard(id, done);
      lanes_.masked_in(lanes, mask, constants, shift);
      if (guarded) as_.L(done);
      applied = 0;
    } else {
      lanes_.masked_equals(lanes, mask, word_compared(test).constant, mask == applied);
      applied = mask;
    }
    keep_answer(slot);
  }
}

void WindowCompiler::compile_length_tests() {
  for (const auto& [id, slot] : slots_.tests) {
    const Test& test = graph_.test(id);
    if (test.kind != TestKind::length_covers || !wants(slot)) continue;
    as_.mark(describe_with_origins(graph_, id));
    begin_answer(slot);
    const std::uint64_t needed = as_.bound(test.constant) + (test.left == no_value ? 0 : assumed_header_length);
    lanes_.greater_signed(lanes_.vector(lengths_vector), static_cast<std::uint32_t>(needed - 1));
    keep_answer(slot);
  }
}

void WindowCompiler::compile_comparisons() {
  for (const auto& [id, slot] : slots_.tests) {
    const Test& test = graph_.test(id);
    if (test.left == no_value || test.right == no_value || !wants(slot)) continue;
    as_.mark(describe_with_origins(graph_, id));
    begin_answer(slot);
    evaluate(test.left, 0);
    evaluate(test.right, 1);
    lanes_.compare(test.kind, lanes_.vector(0), lanes_.vector(1));
    keep_answer(slot);
  }
}

void WindowCompiler::evaluate(ValueId id, int number) {
  const Value& value = graph_.value(id);
  const Lanes::Vector target = lanes_.vector(number);
  switch (value.kind) {
    case ValueKind::constant:
      return lanes_.broadcast(target, value.k);
    case ValueKind::wire_length:
      return lanes_.load(target, kept(plan_.kept_words().size()));
    case ValueKind::load:
      return evaluate_load(value, target);
    case ValueKind::shift_left:
    case ValueKind::shift_right:
      evaluate(value.left, number);
      return lanes_.shift(value.kind, target, graph_.value(value.right).k);
    default:
      evaluate(value.left, number);
      evaluate(value.right, number + 1);
      return lanes_.operate(value.kind, target, target, lanes_.vector(number + 1));
  }
}

void WindowCompiler::evaluate_load(const Value& value, const Lanes::Vector& target) {
  const std::uint32_t at = *plan_.assumed_offset(value.left, value.k, value.size);
  const std::uint32_t word_offset = plan_.word_with(at, value.size);
  const auto place = std::ranges::find(plan_.kept_words(), word_offset);
  lanes_.load(target, kept(static_cast<std::size_t>(place - plan_.kept_words().begin())));
  lanes_.swap_bytes(target);
  const unsigned behind = 8 * (word_size - (at - word_offset) - value.size);
  if (behind != 0) lanes_.shift(ValueKind::shift_right, target, behind);
  if (at != word_offset) lanes_.mask(target, target, value.size == 1 ? 0xff : value.size == 2 ? 0xffff : 0xffffffff);
}

void WindowCompiler::compile_copies(const Xbyak::Address& scratch) {
  as_.mark("copies of short frames at the end of a page");
  as_.mov(rdi, rbx);
  as_.mov(rsi, scratch);
  as_.mov(edx, lanes_.count());
  as_.call(as_.pooled64(reinterpret_cast<std::uint64_t>(&copy_group)));
  as_.mov(rbx, rax);
  prepare();
}

}  // namespace ixcap::filter::jit
