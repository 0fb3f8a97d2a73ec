/// DPDK's way from a libpcap program to native code: rte_bpf_convert makes eBPF of it, rte_bpf_load machine code of
/// that. The code wants an rte_mbuf. Here one is pointed at each frame in turn, which costs three stores into a cache
/// line that never leaves the core: DPDK gets the best case.
///
/// Two faults of DPDK 22.11 are mended here, in the eBPF, at no cost to the native code:
///
///   - rte_bpf_convert takes the source register of a load relative to X (BPF_LD | BPF_IND) from the bit that says "X"
///     in arithmetic. In a load that bit is part of the size: it is set for half-words, which come out right, and clear
///     for words and bytes, which are loaded relative to A. Such loads get X for their source register.
///   - The JIT writes the constant of a bit test (BPF_JSET) in one byte where it fits, but x86's `test` has no such
///     form: the instructions behind it are taken for the rest of the constant, and the program crashes. Behind the
///     load of a byte, another bit above that byte makes the constant longer and changes nothing else.

#include "tests/bench/dpdk.hpp"

#include <pcap/pcap.h>
#include <rte_bpf.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_version.h>
#include <sched.h>

#include <array>
#include <span>
#include <utility>
#include <vector>

#include <ixcap/driver/error.hpp>

#include "tests/bench/contenders.hpp"

namespace ixcap::bench {
namespace {

constexpr const char* leave_it_out = "leave it out with --engine, or remove libdpdk-dev";

using NativeFilter = std::uint64_t (*)(void* mbuf);

/// rte_bpf_convert takes its memory from DPDK's own heap, so its environment has to be up: without huge pages,
/// devices and other processes.
void start_dpdk() {
  std::string core = std::to_string(::sched_getcpu());
  std::vector<std::string> words{"filter_bench", "--no-huge",      "--no-pci",          "-m", "64",
                                 "--no-shconf",  "--no-telemetry", "--log-level=error", "-l", core};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  // It binds the calling thread to a core. The other contenders are to run under the same conditions as without DPDK.
  cpu_set_t cores;
  const bool known = ::sched_getaffinity(0, sizeof cores, &cores) == 0;
  const int status = rte_eal_init(static_cast<int>(arguments.size()), arguments.data());
  if (known) ::sched_setaffinity(0, sizeof cores, &cores);
  if (status < 0) {
    throw Error("cannot start DPDK", "", rte_strerror(rte_errno), leave_it_out);
  }
}

[[noreturn]] void refuse(const char* step) {
  throw Error("cannot measure DPDK", "", std::string(step) + ": " + rte_strerror(rte_errno), leave_it_out);
}

void mend_relative_loads(std::span<ebpf_insn> program) {
  for (ebpf_insn& each : program) {
    const bool relative_load = BPF_CLASS(each.code) == BPF_LD && BPF_MODE(each.code) == BPF_IND;
    if (relative_load) each.src_reg = EBPF_REG_7;  // where rte_bpf_convert keeps X
  }
}

void mend_bit_tests(std::span<ebpf_insn> program) {
  constexpr std::int32_t first_of_two_bytes = 0x80;
  constexpr std::int32_t bit_above_a_byte = 0x100;
  for (std::size_t i = 1; i < program.size(); ++i) {
    ebpf_insn& test = program[i];
    if (test.code != (BPF_JMP | BPF_JSET | BPF_K) || test.imm >= first_of_two_bytes) continue;
    const ebpf_insn& load = program[i - 1];
    if (BPF_CLASS(load.code) != BPF_LD || BPF_SIZE(load.code) != BPF_B) {
      throw Error("cannot measure DPDK", "", "its JIT cannot encode a test of the low bits of a word", leave_it_out);
    }
    test.imm |= bit_above_a_byte;
  }
}

std::unique_ptr<rte_bpf, void (*)(rte_bpf*)> load(const filter::Program& program) {
  const std::span<const filter::Instruction> instructions = program.instructions();
  std::vector<bpf_insn> copy;
  for (const filter::Instruction& each : instructions) {
    copy.push_back({each.code, each.jump_true, each.jump_false, each.k});
  }
  const bpf_program classic{static_cast<u_int>(copy.size()), copy.data()};
  const std::unique_ptr<rte_bpf_prm, void (*)(void*)> converted(rte_bpf_convert(&classic), rte_free);
  if (converted == nullptr) refuse("rte_bpf_convert");

  std::vector<ebpf_insn> mended(converted->ins, converted->ins + converted->nb_ins);
  mend_relative_loads(mended);
  mend_bit_tests(mended);
  rte_bpf_prm parameters = *converted;
  parameters.ins = mended.data();
  std::unique_ptr<rte_bpf, void (*)(rte_bpf*)> loaded(rte_bpf_load(&parameters), rte_bpf_destroy);
  if (loaded == nullptr) refuse("rte_bpf_load");
  return loaded;
}

/// The one mbuf, reused for every frame.
rte_mbuf mbuf;

/// Points the mbuf at a frame, and asks `run` about it.
struct MbufLoop {
  NativeFilter run;

  std::uint64_t operator()(const Frame& frame) const {
    mbuf.buf_addr = const_cast<std::uint8_t*>(frame.data);  // C without const: filters only read
    mbuf.data_len = static_cast<std::uint16_t>(frame.captured_length);
    // Not the length on the wire: a load past data_len but inside pkt_len would look for a second mbuf. None of the
    // filters asks for the length.
    mbuf.pkt_len = frame.captured_length;
    return run(&mbuf);
  }
};

[[gnu::noinline]] std::uint64_t match_everything(void*) {
  asm volatile("");  // keeps the compiler from seeing through the call
  return 1;
}

}  // namespace

bool has_dpdk() {
  return true;
}

std::string about_dpdk() {
  return std::string(rte_version()) +
         ", librte_bpf's JIT, with two faults mended: word and byte loads relative to X, and bit tests with small "
         "constants (tests/bench/dpdk.cpp)";
}

std::unique_ptr<const filter::Engine> make_dpdk(const filter::Program& program) {
  static const bool started = (start_dpdk(), true);
  static_cast<void>(started);
  std::shared_ptr<rte_bpf> loaded = load(program);
  rte_bpf_jit native{};
  if (rte_bpf_get_jit(loaded.get(), &native) != 0 || native.func == nullptr) refuse("rte_bpf_get_jit");
  return frame_by_frame([loaded, loop = MbufLoop{native.func}](const Frame& frame) { return loop(frame); });
}

std::unique_ptr<const filter::Engine> make_empty_dpdk() {
  return frame_by_frame(MbufLoop{match_everything});
}

}  // namespace ixcap::bench
