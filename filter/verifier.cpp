#include <fmt/format.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include <ixcap/filter/listing.hpp>
#include <ixcap/filter/verifier.hpp>

namespace ixcap::filter {
namespace {

constexpr std::array known_codes = std::to_array<std::uint16_t>({
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
});

constexpr std::uint16_t cop = BPF_MISC | 0x20;
constexpr std::uint16_t copx = BPF_MISC | 0x40;

// Where Linux puts its ancillary data (SKF_AD_OFF, -0x1000); everything above is ancillary or an offset from a kernel
// header pointer.
constexpr std::uint32_t first_ancillary_offset = 0xfffff000;

constexpr const char* regenerate = "write the program with tcpdump -ddd or pcap_compile, for Ethernet";

struct Refusal {
  std::string reason;  ///< empty: none
  std::string mend;
};

Refusal check_code(const Instruction& instruction) {
  if (std::ranges::find(known_codes, instruction.code) != known_codes.end()) return {};
  if (instruction.code == cop || instruction.code == copx) {
    return {fmt::format("opcode {:#x} calls a NetBSD coprocessor, and there is none", instruction.code), regenerate};
  }
  return {fmt::format("opcode {:#x} is unknown", instruction.code), regenerate};
}

Refusal check_operand(const Instruction& instruction) {
  const std::uint16_t code = instruction.code;
  const std::uint32_t k = instruction.k;
  const int kind = BPF_CLASS(code);
  const bool loads = kind == BPF_LD || kind == BPF_LDX;
  const bool scratch = kind == BPF_ST || kind == BPF_STX || (loads && BPF_MODE(code) == BPF_MEM);
  if (scratch && k >= scratch_words) {
    return {fmt::format("scratch index {} is out of range", k), "use M[0] to M[15]"};
  }
  if ((code == (BPF_ALU | BPF_DIV | BPF_K) || code == (BPF_ALU | BPF_MOD | BPF_K)) && k == 0) {
    return {"it divides by the constant zero", "divide by another constant, or by X"};
  }
  if (kind == BPF_LD && BPF_MODE(code) == BPF_ABS && k >= first_ancillary_offset) {
    return {fmt::format("offset {:#x} asks the Linux kernel about its packet buffer, not for bytes of the frame", k),
            "filter on bytes of the frame; inbound, outbound and ifindex mean nothing here"};
  }
  return {};
}

Refusal check_jump(const Instruction& instruction, std::size_t number, std::size_t count) {
  if (BPF_CLASS(instruction.code) != BPF_JMP) return {};
  const std::size_t beyond = count - number - 1;  // instructions that follow: the exclusive bound of every jump
  if (instruction.code == (BPF_JMP | BPF_JA)) {
    if (instruction.k < beyond) return {};
    if (instruction.k >= 0x80000000) return {"it jumps backwards", "write it without loops; protochain needs one"};
    return {fmt::format("it jumps {} ahead, past the end of the program", instruction.k), regenerate};
  }
  const std::size_t farthest = std::max(instruction.jump_true, instruction.jump_false);
  if (farthest < beyond) return {};
  return {fmt::format("it jumps {} ahead, past the end of the program", farthest), regenerate};
}

Refusal check_instruction(std::span<const Instruction> instructions, std::size_t number) {
  const Instruction& instruction = instructions[number];
  if (Refusal refusal = check_code(instruction); !refusal.reason.empty()) return refusal;
  if (Refusal refusal = check_operand(instruction); !refusal.reason.empty()) return refusal;
  if (Refusal refusal = check_jump(instruction, number, instructions.size()); !refusal.reason.empty()) return refusal;
  if (number + 1 == instructions.size() && BPF_CLASS(instruction.code) != BPF_RET) {
    return {"it is the last instruction and no return", "end the program with ret"};
  }
  return {};
}

// One line for an error message: bpf_image sets its columns with runs of blanks and tabs.
std::string on_one_line(std::string text) {
  std::ranges::replace(text, '\t', ' ');
  const auto both_blank = [](char left, char right) { return left == ' ' && right == ' '; };
  text.erase(std::unique(text.begin(), text.end(), both_blank), text.end());
  return text;
}

}  // namespace

void check(std::span<const Instruction> instructions) {
  constexpr const char* action = "cannot accept filter program";
  if (instructions.empty()) throw Error(action, "", "it has no instructions", "end the program with ret");
  if (instructions.size() > longest_program) {
    throw Error(action, "", fmt::format("it has {} instructions, more than {}", instructions.size(), longest_program),
                "split the filter into several shorter ones");
  }
  for (std::size_t number = 0; number < instructions.size(); ++number) {
    Refusal refusal = check_instruction(instructions, number);
    if (refusal.reason.empty()) continue;
    throw Error(action, on_one_line(image(instructions[number], number)), std::move(refusal.reason),
                std::move(refusal.mend));
  }
}

}  // namespace ixcap::filter
