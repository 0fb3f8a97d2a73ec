#include <endian.h>
#include <pcap/pcap.h>

#include <array>
#include <cstring>

#include <ixcap/filter/interpreter.hpp>

namespace ixcap::filter {

enum class Interpreter::Operation : std::uint8_t {
  // A = bytes of the frame, at the operand
  load_word,
  load_half,
  load_byte,
  // the same, then compare A with equal_to
  load_word_jump_equal,
  load_half_jump_equal,
  load_byte_jump_equal,
  // X = 4 * (low nibble of the byte at the operand), the length of an IPv4 header
  load_header_length,
  // A = operand, X = operand, X = A
  set_a,
  set_x,
  a_to_x,
  // A and X from and to M[operand]
  scratch_to_a,
  scratch_to_x,
  a_to_scratch,
  x_to_scratch,
  // A compared with the operand
  jump_equal,
  jump_greater,
  jump_greater_or_equal,
  jump_any_bit,
  return_operand,
  return_a,
  // A = A operation operand
  add,
  subtract,
  multiply,
  divide,
  modulo,
  bit_and,
  bit_or,
  bit_xor,
  shift_left,
  shift_right,
  negate,
};

namespace {

// The frame's length on the wire is kept behind the program's scratch words, so that loading it is loading a word.
constexpr std::uint32_t wire_length_word = scratch_words;

std::uint32_t from_big_endian(std::uint32_t value) noexcept {
  return be32toh(value);
}
std::uint32_t from_big_endian(std::uint16_t value) noexcept {
  return be16toh(value);
}
std::uint32_t from_big_endian(std::uint8_t value) noexcept {
  return value;
}

// False if any of the bytes lies outside what was captured. `offset` has 64 bits, so that X + k does not wrap.
template <typename Value>
bool load(const Frame& frame, std::uint64_t offset, std::uint32_t& target) noexcept {
  if (offset + sizeof(Value) > frame.captured_length) return false;
  Value value;
  std::memcpy(&value, frame.data + offset, sizeof value);
  target = from_big_endian(value);
  return true;
}

}  // namespace

// Operations that few programs spend their time in. False for a division by zero.
[[gnu::always_inline]] inline bool Interpreter::less_frequent(Operation operation, std::uint32_t operand,
                                                              std::uint32_t& a, std::uint32_t& x,
                                                              Scratch& scratch) noexcept {
  switch (operation) {
    case Operation::set_x:
      x = operand;
      break;
    case Operation::a_to_x:
      x = a;
      break;
    case Operation::scratch_to_a:
      a = scratch[operand];
      break;
    case Operation::scratch_to_x:
      x = scratch[operand];
      break;
    case Operation::a_to_scratch:
      scratch[operand] = a;
      break;
    case Operation::x_to_scratch:
      scratch[operand] = x;
      break;
    case Operation::add:
      a += operand;
      break;
    case Operation::subtract:
      a -= operand;
      break;
    case Operation::multiply:
      a *= operand;
      break;
    case Operation::divide:
      if (operand == 0) return false;
      a /= operand;
      break;
    case Operation::modulo:
      if (operand == 0) return false;
      a %= operand;
      break;
    case Operation::bit_or:
      a |= operand;
      break;
    case Operation::bit_xor:
      a ^= operand;
      break;
    case Operation::shift_left:
      a = operand < 32 ? a << operand : 0;
      break;
    case Operation::shift_right:
      a = operand < 32 ? a >> operand : 0;
      break;
    default:
      a = 0 - a;
      break;
  }
  return true;
}

std::uint32_t Interpreter::run(const Frame& lent) const noexcept {
  const Frame frame = lent;  // its own copy, which stays in registers
  std::uint32_t a = 0;
  std::uint32_t x = 0;
  Scratch scratch;
  if (uses_scratch_) {
    scratch.fill(0);
    scratch[wire_length_word] = frame.wire_length;
  }
  const Step* const steps = steps_.data();
  for (const Step* step = steps;;) {
    const std::uint64_t operand = std::uint64_t{step->k} + (x & static_cast<std::uint32_t>(step->x_mask));
    const auto word = static_cast<std::uint32_t>(operand);
    switch (step->operation) {
      case Operation::load_word:
        if (!load<std::uint32_t>(frame, operand, a)) return 0;
        break;
      case Operation::load_half:
        if (!load<std::uint16_t>(frame, operand, a)) return 0;
        break;
      case Operation::load_byte:
        if (!load<std::uint8_t>(frame, operand, a)) return 0;
        break;
      case Operation::load_word_jump_equal:
        if (!load<std::uint32_t>(frame, operand, a)) return 0;
        step = steps + (a == step->equal_to ? step->jump_true : step->jump_false);
        continue;
      case Operation::load_half_jump_equal:
        if (!load<std::uint16_t>(frame, operand, a)) return 0;
        step = steps + (a == step->equal_to ? step->jump_true : step->jump_false);
        continue;
      case Operation::load_byte_jump_equal:
        if (!load<std::uint8_t>(frame, operand, a)) return 0;
        step = steps + (a == step->equal_to ? step->jump_true : step->jump_false);
        continue;
      case Operation::load_header_length:
        if (!load<std::uint8_t>(frame, operand, x)) return 0;
        x = (x & 0xf) * 4;
        break;
      case Operation::set_a:
        a = word;
        break;
      case Operation::bit_and:
        a &= word;
        break;
      case Operation::jump_equal:
        step = steps + (a == word ? step->jump_true : step->jump_false);
        continue;
      case Operation::jump_greater:
        step = steps + (a > word ? step->jump_true : step->jump_false);
        continue;
      case Operation::jump_greater_or_equal:
        step = steps + (a >= word ? step->jump_true : step->jump_false);
        continue;
      case Operation::jump_any_bit:
        step = steps + ((a & word) != 0 ? step->jump_true : step->jump_false);
        continue;
      case Operation::return_operand:
        return word;
      case Operation::return_a:
        return a;
      default:
        if (!less_frequent(step->operation, word, a, x, scratch)) return 0;
        break;
    }
    ++step;
  }
}

Interpreter::Operation Interpreter::operation_of(const Instruction& instruction) noexcept {
  using enum Operation;
  const std::uint16_t code = instruction.code;
  switch (BPF_CLASS(code)) {
    case BPF_LD:
      if (BPF_MODE(code) == BPF_IMM) return set_a;
      if (BPF_MODE(code) == BPF_MEM || BPF_MODE(code) == BPF_LEN) return scratch_to_a;
      return BPF_SIZE(code) == BPF_W ? load_word : BPF_SIZE(code) == BPF_H ? load_half : load_byte;
    case BPF_LDX:
      if (BPF_MODE(code) == BPF_IMM) return set_x;
      return BPF_MODE(code) == BPF_MSH ? load_header_length : scratch_to_x;
    case BPF_ST:
      return a_to_scratch;
    case BPF_STX:
      return x_to_scratch;
    case BPF_ALU: {
      // By the operation's number, BPF_ADD = 0 to BPF_XOR = 0xa0.
      constexpr std::array operations = {add,        subtract,    multiply, divide, bit_or, bit_and,
                                         shift_left, shift_right, negate,   modulo, bit_xor};
      return operations[BPF_OP(code) >> 4];
    }
    case BPF_JMP: {
      // BPF_JA = 0 (both targets are the same), BPF_JEQ = 0x10 to BPF_JSET = 0x40.
      constexpr std::array operations = {jump_equal, jump_equal, jump_greater, jump_greater_or_equal, jump_any_bit};
      return operations[BPF_OP(code) >> 4];
    }
    case BPF_RET:
      return BPF_RVAL(code) == BPF_A ? return_a : return_operand;
    default:
      return BPF_MISCOP(code) == BPF_TAX ? a_to_x : set_a;
  }
}

Interpreter::Step Interpreter::decode(const Instruction& instruction, std::size_t number) noexcept {
  const std::uint16_t code = instruction.code;
  const int kind = BPF_CLASS(code);
  const bool is_jump_always = code == (BPF_JMP | BPF_JA);
  const bool is_length = (kind == BPF_LD || kind == BPF_LDX) && BPF_MODE(code) == BPF_LEN;
  const bool x_alone = ((kind == BPF_ALU || kind == BPF_JMP) && BPF_SRC(code) == BPF_X) || code == (BPF_MISC | BPF_TXA);
  const bool x_and_k = kind == BPF_LD && BPF_MODE(code) == BPF_IND;
  const auto target = [number](std::uint32_t jump) { return static_cast<std::uint16_t>(number + 1 + jump); };
  return {
      .operation = operation_of(instruction),
      .x_mask = static_cast<std::int8_t>(x_alone || x_and_k ? -1 : 0),
      .jump_true = target(is_jump_always ? instruction.k : instruction.jump_true),
      .jump_false = target(is_jump_always ? instruction.k : instruction.jump_false),
      .k = is_length ? wire_length_word : (x_alone ? 0 : instruction.k),
      .equal_to = 0,
  };
}

// Joins a load and the jeq #k behind it, the commonest pair there is, into one step. The jump keeps its own step too,
// for those that jump to it.
void Interpreter::join(Step& load, const Step& next) noexcept {
  if (next.operation != Operation::jump_equal || next.x_mask != 0) return;
  if (load.operation == Operation::load_word) {
    load.operation = Operation::load_word_jump_equal;
  } else if (load.operation == Operation::load_half) {
    load.operation = Operation::load_half_jump_equal;
  } else if (load.operation == Operation::load_byte) {
    load.operation = Operation::load_byte_jump_equal;
  } else {
    return;
  }
  load.jump_true = next.jump_true;
  load.jump_false = next.jump_false;
  load.equal_to = next.k;
}

Interpreter::Interpreter(const Program& program) {
  steps_.reserve(program.instructions().size());
  for (const Instruction& instruction : program.instructions()) {
    steps_.push_back(decode(instruction, steps_.size()));
    const Operation operation = steps_.back().operation;
    if (operation == Operation::scratch_to_a || operation == Operation::scratch_to_x) uses_scratch_ = true;
  }
  for (std::size_t number = 0; number + 1 < steps_.size(); ++number) join(steps_[number], steps_[number + 1]);
}

InterpreterEngine::InterpreterEngine(std::span<const Program> programs)
    : interpreters_(programs.begin(), programs.end()) {}

// Frames ahead whose first line is asked for.
constexpr std::size_t prefetch_ahead = 4;

void InterpreterEngine::match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept {
  for (std::size_t f = 0; f < frames.size(); ++f) {
    if (f + prefetch_ahead < frames.size()) __builtin_prefetch(frames[f + prefetch_ahead].data);
    std::uint64_t matched = 0;
    std::uint64_t bit = 1;
    for (const Interpreter& interpreter : interpreters_) {
      if (interpreter.run(frames[f]) != 0) matched |= bit;
      bit <<= 1;
    }
    match_sets[f] = matched;
  }
}

}  // namespace ixcap::filter
