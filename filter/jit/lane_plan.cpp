#include <algorithm>
#include <cassert>

#include <ixcap/filter/jit/lane_plan.hpp>

namespace ixcap::filter::jit {

LanePlan::LanePlan(const Graph& graph, WindowKind kind)
    : graph_(graph), kind_(kind), nodes_(graph.reachable(graph.roots())) {
  for (const NodeId id : nodes_) {
    const TestId test = graph.node(id).test;
    if (!tests_.contains(test)) tests_.emplace(test, examine(graph.test(test)));
  }
  for (const ValueId base : assumed_bases_) wanted_.push_back({*graph_.header_length_at(base), 1});
  choose_words();
  if (kind == WindowKind::block) {
    choose_blocks();
  } else {
    choose_picked(kind == WindowKind::picked_32 ? 32 : 64);
  }
  for (const Window& window : windows_) reach_ = std::max(reach_, window.offset + window.size);
  if (kind != WindowKind::picked_64) choose_blends();
  assert(reach_ <= longest_reach);  // copies of short frames are no longer
}

std::optional<std::uint32_t> LanePlan::assumed_offset(ValueId base, std::uint32_t offset, unsigned width) const {
  std::uint64_t place = offset;
  if (base != no_value) {
    const auto header = graph_.header_length_at(base);
    if (!header || *header > longest_reach - word_size) return {};
    place += assumed_header_length;
  }
  if (place + std::max(width, word_size) > longest_reach) return {};
  return static_cast<std::uint32_t>(place);
}

void LanePlan::assume(ValueId base, LaneTest& result) {
  if (base == no_value) return;
  if (std::ranges::find(result.assumed_bases, base) == result.assumed_bases.end()) result.assumed_bases.push_back(base);
  if (std::ranges::find(assumed_bases_, base) == assumed_bases_.end()) assumed_bases_.push_back(base);
}

// Whether lanes can compute the value; if so, the loads that it takes.
bool LanePlan::examine(ValueId id, std::vector<Bytes>& loads, LaneTest& result) {
  const Value& value = graph_.value(id);
  switch (value.kind) {
    case ValueKind::constant:
      return true;
    case ValueKind::wire_length:
      return true;
    case ValueKind::load: {
      const auto offset = assumed_offset(value.left, value.k, value.size);
      if (!offset) return false;
      assume(value.left, result);
      loads.push_back({*offset, value.size});
      return true;
    }
    case ValueKind::divide:
    case ValueKind::modulo:
      return false;
    case ValueKind::shift_left:
    case ValueKind::shift_right:
      return graph_.value(value.right).kind == ValueKind::constant && examine(value.left, loads, result);
    default:
      return examine(value.left, loads, result) && examine(value.right, loads, result);
  }
}

unsigned LanePlan::registers_for(ValueId id) const {
  const Value& value = graph_.value(id);
  if (value.kind == ValueKind::load || value.left == no_value) return 1;
  return std::max(registers_for(value.left), registers_for(value.right) + 1);
}

LaneTest LanePlan::examine(const Test& test) {
  LaneTest result;
  if (test.kind == TestKind::field_equals || test.kind == TestKind::field_in) {
    const auto offset = assumed_offset(test.field.base, test.field.offset, test.field.width);
    if (!offset || test.field.width > word_size) return {};
    wanted_.push_back({*offset, test.field.width});
    assume(test.field.base, result);
  } else if (test.kind == TestKind::length_covers) {
    // Lanes compare signed numbers.
    constexpr std::uint64_t longest = 0x7fffffff - assumed_header_length;
    const auto header = graph_.header_length_at(test.left);
    if (test.constant > longest || (test.left != no_value && (!header || *header > longest_reach - word_size)))
      return {};
    assume(test.left, result);
  } else {
    if (std::max(registers_for(test.left), registers_for(test.right) + 1) > value_registers) return {};
    std::vector<Bytes> loads;
    if (!examine(test.left, loads, result) || !examine(test.right, loads, result)) return {};
    wanted_later_.insert(wanted_later_.end(), loads.begin(), loads.end());
    uses_wire_length_ = true;
  }
  result.in_lanes = true;
  return result;
}

void LanePlan::choose_words() {
  std::vector<Bytes> all = wanted_;
  all.insert(all.end(), wanted_later_.begin(), wanted_later_.end());
  std::ranges::sort(all, {}, [](const Bytes& bytes) { return std::pair(bytes.offset, bytes.width); });
  for (const Bytes& bytes : all) {
    const bool has_word = std::ranges::any_of(words_, [&](std::uint32_t word) {
      return word <= bytes.offset && bytes.offset + bytes.width <= word + word_size;
    });
    if (has_word) continue;
    // Odd words and even ones cannot be picked together; most are even.
    const bool may_begin_before = kind_ != WindowKind::block && bytes.width < word_size;
    words_.push_back(may_begin_before ? bytes.offset & ~std::uint32_t{1} : bytes.offset);
  }
  for (const Bytes& bytes : wanted_later_) kept_words_.push_back(word_with(bytes.offset, bytes.width));
  std::ranges::sort(kept_words_);
  kept_words_.erase(std::unique(kept_words_.begin(), kept_words_.end()), kept_words_.end());
}

std::uint32_t LanePlan::word_with(std::uint32_t offset, unsigned width) const {
  return *std::ranges::find_if(
      words_, [&](std::uint32_t word) { return word <= offset && offset + width <= word + word_size; });
}

// Words that are whole words apart share blocks.
void LanePlan::choose_blocks() {
  std::vector<std::uint32_t> left = words_;
  std::ranges::sort(left);
  while (!left.empty()) {
    const std::uint32_t first = left.front();
    std::vector<std::uint32_t> members;
    std::erase_if(left, [&](std::uint32_t word) {
      const bool fits = (word - first) % word_size == 0 && word - first + word_size <= block_size;
      if (fits) members.push_back(word);
      return fits;
    });
    windows_.push_back(block_of(members));
  }
}

// It ends with its last word, not to reach farther than needed.
Window LanePlan::block_of(std::span<const std::uint32_t> words) {
  const std::uint32_t end = words.back() + word_size;
  Window window = {end >= block_size ? end - block_size : words.front() % word_size, block_size, {}};
  for (const std::uint32_t word : words) window.places[(word - window.offset) / word_size] = word;
  return window;
}

// Within a cache line where that is possible: frames begin with one. A word by itself has a block.
void LanePlan::choose_picked(std::uint32_t size) {
  constexpr std::uint32_t line_size = 64;
  std::vector<std::uint32_t> left = words_;
  std::ranges::sort(left);
  while (!left.empty()) {
    const std::uint32_t first = left.front();
    const std::uint32_t parity = first % 2;
    const std::uint32_t line_end = line_size + parity;
    const std::uint32_t limit = first + word_size <= line_end ? std::min(first + size, line_end) : first + size;
    std::vector<std::uint32_t> members;
    std::erase_if(left, [&](std::uint32_t word) {
      const bool fits = word % 2 == parity && word + word_size <= limit && members.size() < window_words;
      if (fits) members.push_back(word);
      return fits;
    });
    if (members.size() == 1 && kind_ == WindowKind::picked_32) {
      windows_.push_back(block_of(members));
      continue;
    }
    Window window = {std::max(members.back() + word_size, size + parity) - size, size, {}};
    std::ranges::copy(members, window.places.begin());
    windows_.push_back(window);
  }
}

// A vector that ends with the word has it in its last lane, one that begins with it in its first. Frames must hold all
// that is loaded, so the reach grows, but not beyond what it is or what common frames have.
void LanePlan::choose_blends() {
  const std::uint32_t most = std::max(reach_, shortest_common_frame);
  for (Window& window : windows_) {
    if (window.words() != 1) continue;
    const std::uint32_t word = window.first_word();
    constexpr std::uint32_t before_4 = 3 * word_size;  // the last of 4 lanes
    constexpr std::uint32_t before_8 = 7 * word_size;
    if (word >= before_8 && word + block_size <= most) {
      window.blended_lanes = 8;
      reach_ = std::max(reach_, word + block_size);
    } else if (word >= before_4 && word + block_size - word_size <= most) {
      window.blended_lanes = 4;
      reach_ = std::max(reach_, word + block_size - word_size);
    }
  }
}

}  // namespace ixcap::filter::jit
