// Random programs: every kind of them finds another mistake of an engine that translates programs.

#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <utility>

#include <ixcap/filter/expression.hpp>

#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

using Instructions = std::vector<Instruction>;

constexpr int any_code(std::uint32_t choice) {
  constexpr std::array codes = {
      BPF_LD | BPF_W | BPF_ABS,
      BPF_LD | BPF_H | BPF_ABS,
      BPF_LD | BPF_B | BPF_ABS,
      BPF_LD | BPF_W | BPF_IND,
      BPF_LD | BPF_H | BPF_IND,
      BPF_LD | BPF_B | BPF_IND,
      BPF_LD | BPF_W | BPF_LEN,
      BPF_LD | BPF_IMM,
      BPF_LD | BPF_MEM,
      BPF_LDX | BPF_IMM,
      BPF_LDX | BPF_MEM,
      BPF_LDX | BPF_W | BPF_LEN,
      BPF_LDX | BPF_B | BPF_MSH,
      BPF_ST,
      BPF_STX,
      BPF_ALU | BPF_NEG,
      BPF_ALU | BPF_ADD | BPF_K,
      BPF_ALU | BPF_ADD | BPF_X,
      BPF_ALU | BPF_SUB | BPF_K,
      BPF_ALU | BPF_SUB | BPF_X,
      BPF_ALU | BPF_MUL | BPF_K,
      BPF_ALU | BPF_MUL | BPF_X,
      BPF_ALU | BPF_DIV | BPF_K,
      BPF_ALU | BPF_DIV | BPF_X,
      BPF_ALU | BPF_MOD | BPF_K,
      BPF_ALU | BPF_MOD | BPF_X,
      BPF_ALU | BPF_AND | BPF_K,
      BPF_ALU | BPF_AND | BPF_X,
      BPF_ALU | BPF_OR | BPF_K,
      BPF_ALU | BPF_OR | BPF_X,
      BPF_ALU | BPF_XOR | BPF_K,
      BPF_ALU | BPF_XOR | BPF_X,
      BPF_ALU | BPF_LSH | BPF_K,
      BPF_ALU | BPF_LSH | BPF_X,
      BPF_ALU | BPF_RSH | BPF_K,
      BPF_ALU | BPF_RSH | BPF_X,
      BPF_JMP | BPF_JA,
      BPF_JMP | BPF_JEQ | BPF_K,
      BPF_JMP | BPF_JEQ | BPF_X,
      BPF_JMP | BPF_JGT | BPF_K,
      BPF_JMP | BPF_JGT | BPF_X,
      BPF_JMP | BPF_JGE | BPF_K,
      BPF_JMP | BPF_JGE | BPF_X,
      BPF_JMP | BPF_JSET | BPF_K,
      BPF_JMP | BPF_JSET | BPF_X,
      BPF_RET | BPF_K,
      BPF_RET | BPF_A,
      BPF_MISC | BPF_TAX,
      BPF_MISC | BPF_TXA,
  };
  return codes[choice % codes.size()];
}

std::uint32_t random_constant(Random& random) {
  constexpr std::array edges = {0U, 1U, 31U, 32U, 33U, 0xffU, 0xffffU, 0x10000U, 0x7fffffffU, 0x80000000U, 0xffffffffU};
  switch (random() % 7) {
    case 0:
      return random();
    case 1:
      return std::uint32_t{1} << (random() % 32);
    case 2:
      return 0 - random() % 128;
    case 3:
      return edges[random() % edges.size()];
    default:
      return random() % 100;
  }
}

constexpr bool loads(int code) {
  return BPF_CLASS(code) == BPF_LD || BPF_CLASS(code) == BPF_LDX;
}

// Brings operand and jumps to where the verifier takes them; `beyond`: the instructions that follow, at least 1 for a
// jump.
Instruction legal(Random& random, Instruction instruction, std::size_t beyond) {
  const int code = instruction.code;
  if (BPF_CLASS(code) == BPF_JMP) {
    const auto bound = static_cast<std::uint32_t>(beyond);
    if (code == (BPF_JMP | BPF_JA)) instruction.k %= bound;
    instruction.jump_true = static_cast<std::uint8_t>(std::min<std::uint32_t>(instruction.jump_true, bound - 1));
    instruction.jump_false = static_cast<std::uint8_t>(std::min<std::uint32_t>(instruction.jump_false, bound - 1));
  }
  const bool stores = code == BPF_ST || code == BPF_STX;
  if (stores || (loads(code) && BPF_MODE(code) == BPF_MEM)) instruction.k %= scratch_words;
  if (loads(code) && BPF_MODE(code) == BPF_ABS && instruction.k >= 0xfffff000) instruction.k = random() % 100;
  const bool divides = code == (BPF_ALU | BPF_DIV | BPF_K) || code == (BPF_ALU | BPF_MOD | BPF_K);
  if (divides && instruction.k == 0) instruction.k = 1;
  return instruction;
}

// Any opcode, anything as its operand, a jump anywhere ahead. `beyond`: the instructions that follow, at least 1.
Instruction any_instruction(Random& random, std::size_t beyond) {
  int code = any_code(random());
  if (BPF_CLASS(code) == BPF_RET && random() % 4 != 0) code = BPF_LDX | BPF_IMM;
  Instruction instruction = {static_cast<std::uint16_t>(code), 0, 0, random_constant(random)};
  if (BPF_CLASS(code) == BPF_JMP) {
    const auto reach = static_cast<std::uint32_t>(std::min<std::size_t>(beyond, 256));
    instruction.jump_true = static_cast<std::uint8_t>(random() % reach);
    instruction.jump_false = static_cast<std::uint8_t>(random() % reach);
  }
  return legal(random, instruction, beyond);
}

Instructions any_program(Random& random) {
  Instructions instructions(1 + random() % 40);
  for (std::size_t number = 0; number + 1 < instructions.size(); ++number) {
    instructions[number] = any_instruction(random, instructions.size() - number - 1);
  }
  const bool returns_a = random() % 4 != 0;
  instructions.back() = {static_cast<std::uint16_t>(BPF_RET | (returns_a ? BPF_A : BPF_K)), 0, 0, random()};
  return instructions;
}

// Puts programs together from pieces that make sense, so that most frames get to their end.
class Writer {
 public:
  explicit Writer(Random& random) : random_(random) {}

  std::size_t size() const { return code_.size(); }

  void piece() {
    switch (random_() % 11) {
      case 0:
      case 1:
        return add(BPF_LD | one_of({BPF_W, BPF_H, BPF_B}) | BPF_ABS, random_() % 24);
      case 2:
        return load_behind_a_header();
      case 3:
        return load_around_the_wrap();
      case 4:
        return calculate_with_x();
      case 5:
        return use_scratch();
      case 6:
        return branch();
      case 7:
        return add(one_of({BPF_MISC | BPF_TAX, BPF_MISC | BPF_TXA, BPF_ALU | BPF_NEG, BPF_LD | BPF_W | BPF_LEN,
                           BPF_LDX | BPF_W | BPF_LEN}));
      case 8:
        return leap();
      default:
        return add(BPF_ALU | operation() | BPF_K, random_constant(random_));
    }
  }

  // One value compared with `count` constants, as "host a or host b or ..." does; all that are equal go to one place.
  void chain(std::size_t count) {
    const int size = one_of({BPF_W, BPF_H, BPF_B});
    const std::uint32_t offset = one_of({0, 12, 14, 16, 23, 26, 30, 36});
    const std::uint32_t first = size == BPF_W ? 0x0a000000 : one_of({0, 0, 80, 0x0800});
    const std::uint32_t step = one_of({0, 1, 1, 2, 0x10000});
    const bool far = count > 200 || random_() % 8 == 0;
    const bool mixed = random_() % 4 == 0;
    const bool reloads = random_() % 4 == 0;
    add(BPF_LD | size | BPF_ABS, offset);
    std::vector<std::size_t> to_equal;
    for (std::size_t i = 0; i < count; ++i) {
      if (reloads && random_() % 4 == 0) add(BPF_LD | size | BPF_ABS, offset);
      const std::uint32_t k = first + (random_() % 3 == 0 ? random_() % 300 : static_cast<std::uint32_t>(i) * step);
      const int comparison = mixed && random_() % 4 == 0 ? one_of({BPF_JGT, BPF_JGE, BPF_JSET}) : BPF_JEQ;
      add(BPF_JMP | comparison | BPF_K, k, 0, far ? 1 : 0);
      if (far) add(BPF_JMP | BPF_JA);
      to_equal.push_back(size_before());
    }
    if (random_() % 2 == 0) add(BPF_LD | BPF_IMM, random_constant(random_));
    if (random_() % 4 == 0) {
      add(BPF_RET | BPF_K, random_() % 2);
    } else {
      add(BPF_JMP | BPF_JA, 1);
    }
    for (const std::size_t number : to_equal) {
      const std::size_t distance = code_.size() - number - 1;
      if (far) code_[number].k = static_cast<std::uint32_t>(distance);
      if (!far) code_[number].jump_true = static_cast<std::uint8_t>(std::min<std::size_t>(distance, 255));
    }
    add(one_of({BPF_LD | BPF_IMM, BPF_LDX | BPF_IMM}), random_constant(random_));
  }

  // Ends the program so that its result depends on A, and mostly also on X and on a word of scratch memory.
  Instructions finish() {
    if (random_() % 2 == 0) add(BPF_ALU | one_of({BPF_ADD, BPF_XOR, BPF_SUB}) | BPF_X);
    if (random_() % 4 == 0) {
      add(BPF_LDX | BPF_MEM, random_() % scratch_words);
      add(BPF_ALU | BPF_ADD | BPF_X);
    }
    add(BPF_RET | BPF_A);
    for (std::size_t number = 0; number + 1 < code_.size(); ++number) {
      code_[number] = legal(random_, code_[number], code_.size() - number - 1);
    }
    return std::move(code_);
  }

 private:
  int one_of(std::initializer_list<int> values) { return values.begin()[random_() % values.size()]; }
  int operation() {
    return one_of({BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH});
  }
  std::size_t size_before() const { return code_.size() - 1; }

  void add(int code, std::uint32_t k = 0, int jump_true = 0, int jump_false = 0) {
    code_.push_back({static_cast<std::uint16_t>(code), static_cast<std::uint8_t>(jump_true),
                     static_cast<std::uint8_t>(jump_false), k});
  }

  void load_behind_a_header() {
    add(BPF_LDX | BPF_B | BPF_MSH, random_() % 24);
    const std::uint32_t k = random_() % 4 == 0 ? 0 - random_() % 32 : random_() % 30;
    add(BPF_LD | one_of({BPF_W, BPF_H, BPF_B}) | BPF_IND, k);
  }

  // X + k just below, at and beyond 2^32, and the offsets that it would wrap to.
  void load_around_the_wrap() {
    const std::uint32_t x = one_of({0, 0, 1}) == 0 ? random_() % 20 : 0 - random_() % 20;
    if (random_() % 2 == 0) {
      add(BPF_LDX | BPF_IMM, x);
    } else {
      add(BPF_LD | BPF_IMM, x + 3);
      add(BPF_ALU | BPF_SUB | BPF_K, 3);
      add(BPF_MISC | BPF_TAX);
    }
    // A load that rejects ends the program for every frame, so most of them are skipped.
    if (random_() % 4 != 0) add(BPF_JMP | BPF_JGT | BPF_K, random_constant(random_), random_() % 2 == 0 ? 0 : 1, 1);
    add(BPF_LD | one_of({BPF_W, BPF_H, BPF_B}) | BPF_IND, random_() % 3 == 0 ? random_() % 40 - x : random_() % 20);
  }

  void calculate_with_x() {
    switch (random_() % 4) {
      case 0:
        add(BPF_LDX | BPF_IMM, random_constant(random_));
        break;
      case 1:
        add(BPF_LDX | BPF_B | BPF_MSH, random_() % 24);
        break;
      case 2:
        add(BPF_MISC | BPF_TAX);
        add(BPF_LD | BPF_H | BPF_ABS, random_() % 24);
        break;
      default:
        break;
    }
    add(BPF_ALU | operation() | BPF_X);
  }

  void use_scratch() {
    const std::uint32_t word = random_() % scratch_words;
    add(one_of({BPF_ST, BPF_STX}), word);
    if (random_() % 2 == 0) piece();
    add(one_of({BPF_LD | BPF_MEM, BPF_LDX | BPF_MEM}), random_() % 4 == 0 ? random_() % scratch_words : word);
  }

  // Two branches that meet again, each having set A, X, scratch memory or nothing.
  void branch() {
    const int comparison = one_of({BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET}) | one_of({BPF_K, BPF_K, BPF_X});
    const std::size_t jump = code_.size();
    add(BPF_JMP | comparison, random_constant(random_));
    one_side();
    const std::size_t over = code_.size();
    add(BPF_JMP | BPF_JA);
    const bool swapped = random_() % 2 == 0;
    const auto distance = static_cast<std::uint8_t>(code_.size() - jump - 1);
    (swapped ? code_[jump].jump_true : code_[jump].jump_false) = distance;
    one_side();
    code_[over].k = static_cast<std::uint32_t>(code_.size() - over - 1);
  }

  void one_side() {
    for (std::uint32_t count = random_() % 3; count > 0; --count) {
      switch (random_() % 5) {
        case 0:
          add(BPF_LD | one_of({BPF_W, BPF_H, BPF_B}) | BPF_ABS, random_() % 40);
          break;
        case 1:
          add(one_of({BPF_ST, BPF_STX}), random_() % scratch_words);
          break;
        case 2:
          add(BPF_LDX | BPF_B | BPF_MSH, random_() % 40);
          break;
        default:
          add(one_of({BPF_LD, BPF_LDX}) | BPF_IMM, random_constant(random_));
      }
    }
  }

  // A jump or two over some of what will follow; finish() keeps it inside.
  void leap() {
    const int comparison = one_of({BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET, BPF_JA});
    if (comparison == BPF_JA) return add(BPF_JMP | BPF_JA, random_() % 64 == 0 ? random_() % 1000 : random_() % 4);
    add(BPF_JMP | comparison | one_of({BPF_K, BPF_X}), random_constant(random_), one_of({0, 0, 1, 3, 7, 255}),
        one_of({0, 0, 2, 5, 255}));
    if (random_() % 16 == 0) add(BPF_RET | one_of({BPF_K, BPF_A}), random_() % 2);
  }

  Random& random_;
  Instructions code_;
};

Instructions sensible_program(Random& random) {
  Writer writer(random);
  for (std::size_t size = random() % 40; writer.size() < size;) writer.piece();
  return writer.finish();
}

Instructions chains(Random& random) {
  Writer writer(random);
  if (random() % 4 == 0) writer.piece();
  for (std::uint32_t count = 1 + random() % 2; count > 0; --count) {
    const std::size_t length = 1 + (random() % 16 == 0 ? random() % 400 : random() % 24);
    writer.chain(length);
    if (random() % 2 == 0) writer.piece();
  }
  return writer.finish();
}

// The last piece may take more than is left, so it stops in time; finish() adds at most four.
Instructions long_program(Random& random) {
  const std::size_t longest_piece = 64;
  const std::size_t size = random() % 8 == 0 ? longest_program - longest_piece : 100 + random() % 2000;
  Writer writer(random);
  while (writer.size() < size) {
    const std::size_t left = longest_program - longest_piece - std::min(writer.size(), longest_program - longest_piece);
    if (random() % 32 == 0 && left > 1300) {
      writer.chain(random() % 400);
    } else {
      writer.piece();
    }
  }
  Instructions instructions = writer.finish();
  if (random() % 4 == 0) {  // over nearly all of it
    instructions.front() = {BPF_JMP | BPF_JA, 0, 0,
                            static_cast<std::uint32_t>(instructions.size() - 2 - random() % 60)};
  }
  return instructions;
}

const std::vector<Instructions>& compiled_samples() {
  static const std::vector<Instructions> compiled = [] {
    std::vector<Instructions> programs;
    for (const std::string_view expression : sample_expressions()) {
      for (const bool optimize : {true, false}) {
        const Program program = compile(expression, 262144, optimize);
        programs.emplace_back(program.instructions().begin(), program.instructions().end());
      }
    }
    return programs;
  }();
  return compiled;
}

}  // namespace

Bytes random_frame(Random& random) {
  Bytes frame(random() % 97);
  for (std::uint8_t& byte : frame) byte = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : random() % 8);
  return frame;
}

std::vector<Instruction> changed(Random& random, std::vector<Instruction> original) {
  for (std::uint32_t count = random() % 4; count > 0; --count) {
    const std::size_t number = random() % original.size();
    const std::size_t beyond = original.size() - number - 1;
    Instruction& instruction = original[number];
    if (beyond == 0) {
      instruction = {static_cast<std::uint16_t>(BPF_RET | (random() % 2 == 0 ? BPF_A : BPF_K)), 0, 0, random() % 2};
      continue;
    }
    switch (random() % 5) {
      case 0:
        instruction.k += random() % 2 == 0 ? 1 : ~0U;
        break;
      case 1:
        instruction.k = random_constant(random);
        break;
      case 2:
        std::swap(instruction.jump_true, instruction.jump_false);
        break;
      case 3:
        (random() % 2 == 0 ? instruction.jump_true : instruction.jump_false) = static_cast<std::uint8_t>(random() % 8);
        break;
      default:
        instruction = any_instruction(random, beyond);
    }
    instruction = legal(random, instruction, beyond);
  }
  return original;
}

std::vector<Instruction> comparing(std::vector<Instruction> instructions, std::uint32_t mask, std::uint32_t value) {
  const std::size_t end = instructions.size() - 1;
  for (std::size_t number = 0; number < end; ++number) {
    if (instructions[number].code != (BPF_RET | BPF_A)) continue;
    instructions[number] = {BPF_JMP | BPF_JA, 0, 0, static_cast<std::uint32_t>(end - number - 1)};
  }
  instructions.back() = {BPF_ALU | BPF_AND | BPF_K, 0, 0, mask};
  if (mask == ~0U) instructions.pop_back();
  instructions.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value & mask});
  instructions.push_back({BPF_RET | BPF_K, 0, 0, 1});
  instructions.push_back({BPF_RET | BPF_K, 0, 0, 0});
  if (instructions.size() > longest_program) instructions.clear();
  return instructions;
}

std::vector<Instruction> random_instructions(Random& random) {
  const std::uint32_t kind = random() % 100;
  if (kind < 25) return any_program(random);
  if (kind < 65) return sensible_program(random);
  if (kind < 80) return chains(random);
  if (kind < 99) return changed(random, compiled_samples()[random() % compiled_samples().size()]);
  return long_program(random);
}

}  // namespace ixcap::filter
