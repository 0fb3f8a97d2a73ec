#include <pcap/pcap.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <ixcap/filter/frame_class.hpp>

namespace ixcap::filter {
namespace {

constexpr std::uint32_t all_bits = 0xFFFFFFFF;

/// What is known of a number.
struct Value {
  std::uint32_t known = 0;  // bits that are
  std::uint32_t bits = 0;   // theirs, 0 elsewhere
  std::uint8_t word = 0;    // n: it is the whole word of exclude()'s slot n - 1

  static Value of(std::uint32_t number) { return {all_bits, number, 0}; }
  bool is_number() const { return known == all_bits; }
  std::uint32_t least() const { return bits; }
  std::uint32_t most() const { return bits | ~known; }

  /// What both have in common: the value is the one or the other.
  void join(const Value& other) {
    known &= other.known & ~(bits ^ other.bits);
    bits &= known;
    if (word != other.word) word = 0;
  }
};

struct State {
  Value a = Value::of(0);
  Value x = Value::of(0);
  std::array<Value, scratch_words> scratch = zeros();

  void join(const State& other) {
    a.join(other.a);
    x.join(other.x);
    for (std::size_t i = 0; i < scratch.size(); ++i) scratch[i].join(other.scratch[i]);
  }

 private:
  static std::array<Value, scratch_words> zeros() {
    std::array<Value, scratch_words> zeros;
    zeros.fill(Value::of(0));
    return zeros;
  }
};

Value shifted(const Value& value, std::uint32_t operation, const Value& by) {
  if (!by.is_number()) return {};
  if (by.bits >= 32) return Value::of(0);
  if (operation == BPF_LSH) {
    const std::uint32_t zeros = (std::uint32_t{1} << by.bits) - 1;  // that come in
    return {value.known << by.bits | zeros, value.bits << by.bits, 0};
  }
  return {value.known >> by.bits | ~(all_bits >> by.bits), value.bits >> by.bits, 0};
}

/// A = a operation b. Nullopt: it divides by zero, which rejects the frame.
std::optional<Value> calculated(std::uint32_t operation, const Value& a, const Value& b) {
  const std::uint32_t zeros_a = a.known & ~a.bits;
  const std::uint32_t zeros_b = b.known & ~b.bits;
  switch (operation) {
    case BPF_AND:
      return Value{(a.known & b.known) | zeros_a | zeros_b, a.bits & b.bits, 0};
    case BPF_OR:
      return Value{(a.known & b.known) | a.bits | b.bits, a.bits | b.bits, 0};
    case BPF_XOR:
      return Value{a.known & b.known, (a.bits ^ b.bits) & a.known & b.known, 0};
    case BPF_LSH:
    case BPF_RSH:
      return shifted(a, operation, b);
    case BPF_DIV:
    case BPF_MOD:
      if (b.is_number() && b.bits == 0) return std::nullopt;
      if (!a.is_number() || !b.is_number()) return Value{};
      return Value::of(operation == BPF_DIV ? a.bits / b.bits : a.bits % b.bits);
    default:
      break;
  }
  if (!a.is_number() || (operation != BPF_NEG && !b.is_number())) return Value{};
  switch (operation) {
    case BPF_ADD:
      return Value::of(a.bits + b.bits);
    case BPF_SUB:
      return Value::of(a.bits - b.bits);
    case BPF_MUL:
      return Value::of(a.bits * b.bits);
    default:
      return Value::of(0 - a.bits);  // NEG
  }
}

/// Which ways a condition can go.
struct Ways {
  bool holds = true;
  bool fails = true;
};

Ways decided(std::uint32_t operation, const Value& a, const Value& b) {
  switch (operation) {
    case BPF_JEQ:
      if (((a.bits ^ b.bits) & a.known & b.known) != 0) return {.holds = false};
      if (a.is_number() && b.is_number()) return {.fails = false};
      return {};
    case BPF_JGT:
      return {.holds = a.most() > b.least(), .fails = a.least() <= b.most()};
    case BPF_JGE:
      return {.holds = a.most() >= b.least(), .fails = a.least() < b.most()};
    default:  // JSET
      if ((a.bits & b.bits) != 0) return {.fails = false};
      return {.holds = (a.most() & b.most()) != 0};
  }
}

}  // namespace

void FrameClass::set(std::uint32_t offset, std::uint32_t value, std::uint32_t count, std::uint32_t mask) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t shift = (count - 1 - i) * 8;
    const auto bits = static_cast<std::uint8_t>(mask >> shift);
    known_[offset + i] |= bits;
    value_[offset + i] = static_cast<std::uint8_t>((value_[offset + i] & ~bits) | (value >> shift & bits));
  }
}

void FrameClass::exclude(std::size_t slot, std::uint32_t offset, std::vector<std::uint32_t> values) {
  std::ranges::sort(values);
  excluded_[slot] = {offset, std::move(values)};
}

/// One run of a program over all frames of a class: instruction by instruction, which works since jumps go forward.
class ClassRun {
 public:
  ClassRun(const Program& program, const FrameClass& frames)
      : instructions_(program.instructions()), frames_(frames), before_(instructions_.size()) {
    before_[0] = State{};
    for (number_ = 0; number_ < instructions_.size(); ++number_) {
      if (before_[number_]) step(instructions_[number_], *before_[number_]);
    }
  }

  bool may_match() const { return may_match_; }
  const std::set<std::uint32_t>& compared(std::size_t slot) const { return compared_[slot]; }

 private:
  void step(const Instruction& instruction, State state);
  void jump(const Instruction& instruction, const State& state);
  void go_to(std::size_t number, const State& state) {
    if (before_[number])
      before_[number]->join(state);
    else
      before_[number] = state;
  }

  Value loaded(const Instruction& instruction, const State& state) const;
  Value bytes_at(std::uint64_t offset, std::uint32_t count) const;

  std::span<const Instruction> instructions_;
  const FrameClass& frames_;
  std::vector<std::optional<State>> before_;  // nullopt: not reached
  std::size_t number_ = 0;
  bool may_match_ = false;
  std::array<std::set<std::uint32_t>, 2> compared_;
};

Value ClassRun::bytes_at(std::uint64_t offset, std::uint32_t count) const {
  Value value;
  if (count < 4) value.known = all_bits << count * 8;  // loads of less than a word have zeros above
  for (std::uint32_t i = 0; i < count && offset + i < FrameClass::most_bytes; ++i) {
    const std::uint32_t shift = (count - 1 - i) * 8;
    value.known |= std::uint32_t{frames_.known_[offset + i]} << shift;
    value.bits |= std::uint32_t{frames_.value_[offset + i]} << shift;
  }
  for (std::uint8_t slot = 0; count == 4 && slot < frames_.excluded_.size(); ++slot) {
    if (frames_.excluded_[slot].offset == offset) value.word = slot + 1;
  }
  return value;
}

/// A of BPF_LD, X of BPF_LDX. That a load may lie outside the frame, which rejects it, can only be less than is
/// assumed.
Value ClassRun::loaded(const Instruction& instruction, const State& state) const {
  const std::uint32_t size = BPF_SIZE(instruction.code);
  const std::uint32_t count = size == BPF_W ? 4 : size == BPF_H ? 2 : 1;
  switch (BPF_MODE(instruction.code)) {
    case BPF_IMM:
      return Value::of(instruction.k);
    case BPF_MEM:
      return state.scratch[instruction.k];
    case BPF_ABS:
      return bytes_at(instruction.k, count);
    case BPF_IND:
      if (state.x.is_number()) return bytes_at(std::uint64_t{instruction.k} + state.x.bits, count);
      return {count < 4 ? all_bits << count * 8 : 0, 0, 0};
    case BPF_MSH: {
      const Value byte = bytes_at(instruction.k, 1);
      constexpr std::uint32_t header_length = 0x3C;
      return {(byte.known << 2 & header_length) | ~header_length, byte.bits << 2 & header_length, 0};
    }
    default:
      return {};  // BPF_LEN
  }
}

void ClassRun::step(const Instruction& instruction, State state) {
  const std::uint16_t code = instruction.code;
  const Value operand = BPF_SRC(code) == BPF_X ? state.x : Value::of(instruction.k);
  switch (BPF_CLASS(code)) {
    case BPF_LD:
      state.a = loaded(instruction, state);
      break;
    case BPF_LDX:
      state.x = loaded(instruction, state);
      break;
    case BPF_ST:
      state.scratch[instruction.k] = state.a;
      break;
    case BPF_STX:
      state.scratch[instruction.k] = state.x;
      break;
    case BPF_ALU: {
      const std::optional<Value> result = calculated(BPF_OP(code), state.a, operand);
      if (!result) return;
      state.a = *result;
      break;
    }
    case BPF_JMP:
      return jump(instruction, state);
    case BPF_RET:
      may_match_ |= BPF_RVAL(code) == BPF_A ? state.a.most() != 0 : instruction.k != 0;
      return;
    default:
      if (BPF_MISCOP(code) == BPF_TAX)
        state.x = state.a;
      else
        state.a = state.x;
      break;
  }
  go_to(number_ + 1, state);
}

void ClassRun::jump(const Instruction& instruction, const State& state) {
  const std::size_t next = number_ + 1;
  if (BPF_OP(instruction.code) == BPF_JA) return go_to(next + instruction.k, state);
  const bool by_x = BPF_SRC(instruction.code) == BPF_X;
  Ways ways = decided(BPF_OP(instruction.code), state.a, by_x ? state.x : Value::of(instruction.k));
  if (BPF_OP(instruction.code) == BPF_JEQ && !by_x && state.a.word != 0 && ways.holds) {
    const std::size_t slot = state.a.word - 1u;
    compared_[slot].insert(instruction.k);
    if (std::ranges::binary_search(frames_.excluded_[slot].values, instruction.k)) ways = {.holds = false};
  }
  if (ways.holds) go_to(next + instruction.jump_true, state);
  if (ways.fails) go_to(next + instruction.jump_false, state);
}

bool may_match(const Program& program, const FrameClass& frames) {
  return ClassRun(program, frames).may_match();
}

std::array<std::vector<std::uint32_t>, 2> compared(const Program& program, const FrameClass& frames) {
  const ClassRun run(program, frames);
  std::array<std::vector<std::uint32_t>, 2> words;
  for (std::size_t slot = 0; slot < words.size(); ++slot)
    words[slot].assign(run.compared(slot).begin(), run.compared(slot).end());
  return words;
}

}  // namespace ixcap::filter
