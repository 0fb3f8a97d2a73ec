// Programs of every length, up to and beyond the longest: the verifier accepts exactly those that keep the rules, here
// written down a second time; and what it accepts, an engine can be made for and libpcap takes too.
//
// Input: the number of filling instructions (two bytes), where they go (two bytes), then instructions of 8 bytes.

#include <pcap/pcap.h>
#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/engines.hpp>

#include "tests/fuzz/input.hpp"

namespace {

using ixcap::filter::Instruction;
using ixcap::filter::Program;
using ixcap::test::require;

// What classic BPF has, by the fields of an opcode: class in bits 0 to 2, then size and mode or operation and source.
bool is_opcode(unsigned code) {
  const unsigned upper = code & ~7U, operation = code & ~0xfU;
  if (code > 0xff) return false;
  switch (code & 7U) {
    case 0:  // LD: constants, the frame in three sizes, M[], the length in words only
      return upper == 0x00 || upper == 0x60 || upper == 0x80 || upper == 0x20 || upper == 0x28 || upper == 0x30 ||
             upper == 0x40 || upper == 0x48 || upper == 0x50;
    case 1:  // LDX: the same but for the frame, of which it has the length of a header only
      return upper == 0x00 || upper == 0x60 || upper == 0x80 || upper == 0xb0;
    case 2:  // ST
    case 3:  // STX
      return upper == 0;
    case 4:  // ALU: add to xor; negation has no source
      return operation <= 0xa0 && code != (0x80 | 0x08 | 4);
    case 5:  // JMP: ja has no source
      return operation <= 0x40 && code != (0x00 | 0x08 | 5);
    case 6:  // RET: a constant, or A
      return upper == 0x00 || upper == 0x10;
    default:  // MISC: tax, txa
      return upper == 0x00 || upper == 0x80;
  }
}

bool keeps_the_rules(const std::vector<Instruction>& instructions) {
  const std::uint64_t count = instructions.size();
  if (count < 1 || count > 4096 || (instructions.back().code & 7) != 6) return false;
  for (std::uint64_t number = 0; number < count; ++number) {
    const auto& [code, jump_true, jump_false, k] = instructions[number];
    if (!is_opcode(code)) return false;
    const bool store = code == 0x02 || code == 0x03, from_scratch = code == 0x60 || code == 0x61;
    if ((store || from_scratch) && k > 15) return false;
    if ((code == 0x34 || code == 0x94) && k == 0) return false;
    if ((code == 0x20 || code == 0x28 || code == 0x30) && k >= 0xfffff000) return false;
    if ((code & 7) != 5) continue;
    const std::uint64_t ahead = code == 0x05 ? k : std::max(jump_true, jump_false);
    if (number + 1 + ahead >= count) return false;
  }
  return true;
}

std::optional<Program> verified(const std::vector<Instruction>& instructions) {
  try {
    return Program::verify(instructions);
  } catch (const ixcap::Error&) {
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ixcap::test::Input input = {data, size};
  const std::size_t filling = input.take<std::uint16_t>() % 4200;
  const std::size_t place = input.take<std::uint16_t>();
  std::vector<Instruction> instructions(input.size / sizeof(Instruction));
  if (!instructions.empty()) std::memcpy(instructions.data(), input.data, instructions.size() * sizeof(Instruction));
  const auto before = static_cast<std::ptrdiff_t>(place % (instructions.size() + 1));
  instructions.insert(instructions.begin() + before, filling, {BPF_ALU | BPF_ADD | BPF_K, 0, 0, 1});

  const std::optional<Program> program = verified(instructions);
  require(program.has_value() == keeps_the_rules(instructions));
  if (!program) return 0;
  // Not asked about constant shifts by 32 and more, of which libpcap's releases think differently.
  const bool shifts_far = std::ranges::any_of(instructions, [](const Instruction& instruction) {
    return (instruction.code == 0x64 || instruction.code == 0x74) && instruction.k >= 32;
  });
  const auto* const raw = reinterpret_cast<const bpf_insn*>(instructions.data());
  require(shifts_far || bpf_validate(raw, static_cast<int>(instructions.size())) != 0);
  for (const ixcap::filter::EngineKind kind : ixcap::filter::available_engines()) {
    require(make_engine(kind, std::vector{*program}) != nullptr);
  }
  return 0;
}
