// Whatever the bytes: the verifier refuses them with an Error, or libpcap takes the program too and the interpreter
// gives what bpf_filter gives.
//
// Input: the number of instructions (one byte), their bytes in host order, then the frame; the wire length is the
// frame's length plus the instructions' number.

#include <pcap/pcap.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/interpreter.hpp>

#include "tests/filter/oracle.hpp"

namespace {

using ixcap::filter::Instruction;
using ixcap::filter::Program;

std::optional<Program> verified(const std::vector<Instruction>& instructions) {
  try {
    return Program::verify(instructions);
  } catch (const ixcap::Error&) {
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size - 1 < data[0] * sizeof(Instruction)) return 0;
  std::vector<Instruction> instructions(data[0]);
  const std::size_t code_size = instructions.size() * sizeof(Instruction);
  if (code_size != 0) std::memcpy(instructions.data(), data + 1, code_size);
  const std::optional<Program> program = verified(instructions);
  if (!program) return 0;

  // libpcap 1.10 takes shifts by constants of 32 and more; later ones refuse them, so nothing is held against us there.
  bool shifts_far = false;
  for (const auto& [code, jump_true, jump_false, k] : instructions) {
    shifts_far |= k >= 32 && (code == (BPF_ALU | BPF_LSH | BPF_K) || code == (BPF_ALU | BPF_RSH | BPF_K));
  }
  const auto* const raw = reinterpret_cast<const bpf_insn*>(instructions.data());
  if (!shifts_far && bpf_validate(raw, static_cast<int>(instructions.size())) == 0) abort();

  const std::vector<std::uint8_t> bytes(data + 1 + code_size, data + size);  // a copy, so that reads beyond it show
  const auto length = static_cast<std::uint32_t>(bytes.size());
  const ixcap::Frame frame = {bytes.data(), length, length + data[0]};
  if (ixcap::filter::Interpreter(*program).run(frame) != ixcap::filter::Oracle(instructions).run(frame)) abort();
  return 0;
}
