#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <map>
#include <utility>
#include <vector>

#include <ixcap/filter/graph_builder.hpp>

namespace ixcap::filter {
namespace {

constexpr unsigned most_operations = 64;

// A program's registers: A, X, M[0] to M[15].
constexpr std::size_t register_a = 0;
constexpr std::size_t register_x = 1;
constexpr std::size_t register_m = 2;
constexpr std::size_t registers = register_m + scratch_words;
using Registers = std::array<ValueId, registers>;
using Live = std::bitset<registers>;

/// What an instruction reads and writes.
struct Use {
  Live reads;
  Live writes;
};

Use use_of(const Instruction& instruction) {
  Use use;
  const std::uint16_t code = instruction.code;
  const bool takes_x = BPF_SRC(code) == BPF_X;
  switch (BPF_CLASS(code)) {
    case BPF_LD:
    case BPF_LDX: {
      const bool indirect = BPF_CLASS(code) == BPF_LD && BPF_MODE(code) == BPF_IND;
      if (indirect) use.reads.set(register_x);
      if (BPF_MODE(code) == BPF_MEM) use.reads.set(register_m + instruction.k);
      use.writes.set(BPF_CLASS(code) == BPF_LD ? register_a : register_x);
      break;
    }
    case BPF_ST:
    case BPF_STX:
      use.reads.set(BPF_CLASS(code) == BPF_ST ? register_a : register_x);
      use.writes.set(register_m + instruction.k);
      break;
    case BPF_ALU:
      use.reads.set(register_a);
      if (takes_x && BPF_OP(code) != BPF_NEG) use.reads.set(register_x);
      use.writes.set(register_a);
      break;
    case BPF_JMP:
      if (BPF_OP(code) == BPF_JA) break;
      use.reads.set(register_a);
      if (takes_x) use.reads.set(register_x);
      break;
    case BPF_RET:
      if (BPF_RVAL(code) == BPF_A) use.reads.set(register_a);
      break;
    default:
      use.reads.set(BPF_MISCOP(code) == BPF_TAX ? register_a : register_x);
      use.writes.set(BPF_MISCOP(code) == BPF_TAX ? register_x : register_a);
      break;
  }
  return use;
}

/// The instructions that may come next: none after a return, two after a condition.
struct Next {
  std::array<std::size_t, 2> targets;
  std::size_t count;
};

Next next_of(const Instruction& instruction, std::size_t number) {
  if (BPF_CLASS(instruction.code) == BPF_RET) return {{}, 0};
  if (BPF_CLASS(instruction.code) != BPF_JMP) return {{number + 1}, 1};
  if (BPF_OP(instruction.code) == BPF_JA) return {{number + 1 + instruction.k}, 1};
  return {{number + 1 + instruction.jump_true, number + 1 + instruction.jump_false}, 2};
}

/// What is still read after each instruction's start.
std::vector<Live> live_at(std::span<const Instruction> instructions) {
  std::vector<Live> live(instructions.size());
  for (std::size_t number = instructions.size(); number-- > 0;) {
    const Next next = next_of(instructions[number], number);
    Live after;
    for (std::size_t i = 0; i < next.count; ++i) after |= live[next.targets[i]];
    const Use use = use_of(instructions[number]);
    live[number] = (after & ~use.writes) | use.reads;
  }
  return live;
}

class Builder {
 public:
  Builder(Graph& graph, std::span<const Instruction> instructions)
      : graph_(graph),
        instructions_(instructions),
        program_(static_cast<std::uint16_t>(graph.roots().size())),
        live_(live_at(instructions)),
        visits_(instructions.size()) {}

  bool build() {
    Registers zero;
    zero.fill(graph_.constant(0));
    visit(0, zero);
    // Jumps go forward, so every visit of an instruction is known when its turn comes.
    for (std::size_t number = 0; number < instructions_.size(); ++number) {
      for (const auto& [state, visit] : visits_[number]) run(number, visit);
      if (too_complicated_) return false;
    }
    for (std::size_t number = instructions_.size(); number-- > 0;) {
      for (const auto& [state, visit] : visits_[number]) decide(paths_[visit]);
    }
    graph_.add_root(paths_[0].node);
    return true;
  }

 private:
  /// One way to come by an instruction: the registers before it, and what follows from them.
  struct Path {
    Registers state;
    std::vector<Condition> guards;  // all must hold, or the frame is rejected
    Condition condition = {};       // then this decides between
    std::array<std::size_t, 2> next = {};
    bool returns = false;  // or returns whether it holds
    NodeId node = reject;
  };

  std::size_t visit(std::size_t number, Registers state) {
    for (std::size_t i = 0; i < registers; ++i) {
      if (!live_[number][i]) state[i] = no_value;  // dead, so no difference
    }
    const auto [place, is_new] = visits_[number].try_emplace(state, paths_.size());
    if (is_new) {
      paths_.emplace_back();
      paths_.back().state = state;
      if (paths_.size() > 4 * instructions_.size() + 256) too_complicated_ = true;
    }
    return place->second;
  }

  ValueId operand(const Instruction& instruction, const Registers& state) {
    return BPF_SRC(instruction.code) == BPF_X ? state[register_x] : graph_.constant(instruction.k);
  }

  ValueId load(Path& path, std::uint8_t size, ValueId base, std::uint32_t k) {
    std::uint64_t offset = k;
    if (base != no_value && graph_.value(base).kind == ValueKind::constant) {
      offset += graph_.value(base).k;
      base = no_value;
    }
    path.guards.push_back(graph_.length_covers(base, offset + size));
    return graph_.load(size, base, static_cast<std::uint32_t>(offset));
  }

  ValueId bounded(ValueId value) {
    if (graph_.cost(value) > most_operations) too_complicated_ = true;
    return value;
  }

  ValueId loaded(Path& path, const Instruction& instruction) {
    const std::uint16_t code = instruction.code;
    const std::uint8_t size = BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
    switch (BPF_MODE(code)) {
      case BPF_IMM:
        return graph_.constant(instruction.k);
      case BPF_MEM:
        return path.state[register_m + instruction.k];
      case BPF_LEN:
        return graph_.wire_length();
      case BPF_ABS:
        return load(path, size, no_value, instruction.k);
      case BPF_IND:
        return load(path, size, path.state[register_x], instruction.k);
      default: {  // BPF_MSH
        const ValueId nibble =
            graph_.arithmetic(ValueKind::bit_and, load(path, 1, no_value, instruction.k), graph_.constant(0xf));
        return graph_.arithmetic(ValueKind::shift_left, nibble, graph_.constant(2));
      }
    }
  }

  ValueId computed(Path& path, const Instruction& instruction) {
    const std::uint16_t code = instruction.code;
    const ValueId a = path.state[register_a];
    if (BPF_OP(code) == BPF_NEG) return graph_.arithmetic(ValueKind::subtract, graph_.constant(0), a);
    // By the operation's number, BPF_ADD = 0 to BPF_XOR = 0xa0.
    using enum ValueKind;
    constexpr std::array kinds = {add,        subtract,    multiply, divide, bit_or, bit_and,
                                  shift_left, shift_right, constant, modulo, bit_xor};
    const ValueKind kind = kinds[BPF_OP(code) >> 4];
    const ValueId right = operand(instruction, path.state);
    if (kind == divide || kind == modulo) {
      Condition divisible = graph_.compare(TestKind::equal, right, graph_.constant(0));
      divisible.holds = !divisible.holds;
      path.guards.push_back(divisible);
    }
    return graph_.arithmetic(kind, a, right);
  }

  /// Runs the instruction on the path, and visits what comes next.
  void run(std::size_t number, std::size_t path_number) {
    const Instruction& instruction = instructions_[number];
    const std::uint16_t code = instruction.code;
    Path path = std::move(paths_[path_number]);
    Registers after = path.state;
    switch (BPF_CLASS(code)) {
      case BPF_LD:
        after[register_a] = bounded(loaded(path, instruction));
        break;
      case BPF_LDX:
        after[register_x] = bounded(loaded(path, instruction));
        break;
      case BPF_ST:
        after[register_m + instruction.k] = path.state[register_a];
        break;
      case BPF_STX:
        after[register_m + instruction.k] = path.state[register_x];
        break;
      case BPF_ALU:
        after[register_a] = bounded(computed(path, instruction));
        break;
      case BPF_JMP:
        if (BPF_OP(code) != BPF_JA) path.condition = jump_condition(instruction, path.state);
        break;
      case BPF_RET:
        path.returns = true;
        path.condition = graph_.compare(
            TestKind::equal, BPF_RVAL(code) == BPF_A ? path.state[register_a] : graph_.constant(instruction.k),
            graph_.constant(0));
        path.condition.holds = !path.condition.holds;
        break;
      default:
        if (BPF_MISCOP(code) == BPF_TAX) {
          after[register_x] = path.state[register_a];
        } else {
          after[register_a] = path.state[register_x];
        }
        break;
    }
    if (path.condition.test) {
      graph_.add_origin(*path.condition.test, {program_, static_cast<std::uint16_t>(number)});
    }
    for (const Condition& guard : path.guards) {
      if (guard.test) graph_.add_origin(*guard.test, {program_, static_cast<std::uint16_t>(number)});
    }
    const Next next = next_of(instruction, number);
    const std::size_t taken = path.condition.test ? next.count : std::min<std::size_t>(next.count, 1);
    if (taken == 1) {
      const std::size_t chosen = next.count == 2 && !path.condition.holds ? 1 : 0;
      path.next.fill(visit(next.targets[chosen], after));
    } else if (taken == 2) {
      path.next = {visit(next.targets[0], after), visit(next.targets[1], after)};
    }
    paths_[path_number] = std::move(path);
  }

  Condition jump_condition(const Instruction& instruction, const Registers& state) {
    constexpr std::array kinds = {TestKind::equal, TestKind::greater, TestKind::at_least, TestKind::any_bit};
    const TestKind kind = kinds[(BPF_OP(instruction.code) - BPF_JEQ) >> 4];
    return graph_.compare(kind, state[register_a], operand(instruction, state));
  }

  /// Makes the path's node, when those of all that comes next are made.
  void decide(Path& path) {
    path.node = path.returns ? graph_.decide(path.condition, accept, reject)
                             : graph_.decide(path.condition, paths_[path.next[0]].node, paths_[path.next[1]].node);
    for (auto guard = path.guards.rbegin(); guard != path.guards.rend(); ++guard) {
      path.node = graph_.decide(*guard, path.node, reject);
    }
  }

  Graph& graph_;
  const std::span<const Instruction> instructions_;
  const std::uint16_t program_;
  const std::vector<Live> live_;
  std::vector<std::map<Registers, std::size_t>> visits_;  // by instruction: the paths that come by
  std::vector<Path> paths_;
  bool too_complicated_ = false;
};

}  // namespace

bool add_program(Graph& graph, const Program& program) {
  return Builder(graph, program.instructions()).build();
}

}  // namespace ixcap::filter
