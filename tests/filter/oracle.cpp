#include "tests/filter/oracle.hpp"

#include <pcap/pcap.h>

#include <cstring>

namespace ixcap::filter {

Oracle::Oracle(std::span<const Instruction> instructions) {
  for (std::uint32_t word = 0; word < scratch_words; ++word) instructions_.push_back({BPF_ST, 0, 0, word});
  for (Instruction instruction : instructions) {
    const bool shifts =
        instruction.code == (BPF_ALU | BPF_LSH | BPF_K) || instruction.code == (BPF_ALU | BPF_RSH | BPF_K);
    if (shifts && instruction.k >= 32) instruction = {BPF_ALU | BPF_AND | BPF_K, 0, 0, 0};
    instructions_.push_back(instruction);
  }
}

std::uint32_t Oracle::run(const Frame& frame) const {
  // The same layout (asserted in program.cpp), and bpf_filter is compiled C: it sees bytes.
  return bpf_filter(reinterpret_cast<const bpf_insn*>(instructions_.data()), frame.data, frame.wire_length,
                    frame.captured_length);
}

}  // namespace ixcap::filter
