#include <pcap/pcap.h>

#include <cstddef>
#include <utility>

#include <ixcap/filter/program.hpp>
#include <ixcap/filter/verifier.hpp>

namespace ixcap::filter {

static_assert(sizeof(Instruction) == sizeof(bpf_insn) && alignof(Instruction) == alignof(bpf_insn));
static_assert(offsetof(Instruction, code) == offsetof(bpf_insn, code));
static_assert(offsetof(Instruction, jump_true) == offsetof(bpf_insn, jt));
static_assert(offsetof(Instruction, jump_false) == offsetof(bpf_insn, jf));
static_assert(offsetof(Instruction, k) == offsetof(bpf_insn, k));
static_assert(scratch_words == BPF_MEMWORDS);

Program Program::verify(std::vector<Instruction> instructions) {
  check(instructions);
  return Program(std::move(instructions));
}

Program Program::returning(std::uint32_t value) {
  return verify({{BPF_RET | BPF_K, 0, 0, value}});
}

}  // namespace ixcap::filter
