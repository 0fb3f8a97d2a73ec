#include "tests/bench/contenders.hpp"

#include <pcap/pcap.h>

#include <algorithm>
#include <span>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/engines.hpp>
#include <ixcap/filter/jit/scalar_engine.hpp>

#include "tests/bench/dpdk.hpp"

namespace ixcap::bench {
namespace {

constexpr std::string_view libpcap = "libpcap";
constexpr std::string_view dpdk = "dpdk";
constexpr std::string_view one_by_one = "scalar/1";

using BpfFilter = u_int(const bpf_insn*, const u_char*, u_int, u_int);

/// Stands for bpf_filter where only the loop around it is of interest.
[[gnu::noinline]] u_int match_everything(const bpf_insn*, const u_char*, u_int, u_int) {
  asm volatile("");  // keeps the compiler from seeing through the call
  return 1;
}

std::unique_ptr<const filter::Engine> make_libpcap(BpfFilter* run, const filter::Program& program) {
  const auto owned = std::make_shared<const filter::Program>(program);
  // The same layout (asserted in filter/program.cpp), and bpf_filter is compiled C: it sees bytes.
  const auto* const instructions = reinterpret_cast<const bpf_insn*>(owned->instructions().data());
  return frame_by_frame([run, owned, instructions](const Frame& frame) {
    return run(instructions, frame.data, frame.wire_length, frame.captured_length);
  });
}

/// The scalar engine's code as the others are called that take one frame at a time: without its prefetching loop.
std::unique_ptr<const filter::Engine> make_one_by_one(const filter::Program& program) {
  const auto code = std::make_shared<const filter::OneFrameCode>(std::span(&program, 1));
  return frame_by_frame([code](const Frame& frame) { return code->match(frame); });
}

/// Answers for no frame.
class NothingEngine final : public filter::Engine {
 public:
  void match(std::span<const Frame>, std::span<std::uint64_t>) const noexcept override {}
};

}  // namespace

std::vector<std::string_view> contender_names() {
  std::vector<std::string_view> names{libpcap};
  if (has_dpdk()) names.push_back(dpdk);
  for (const filter::EngineKind kind : filter::available_engines()) {
    if (kind == filter::EngineKind::scalar) names.push_back(one_by_one);
    names.push_back(name_of(kind));
  }
  return names;
}

std::unique_ptr<const filter::Engine> make_contender(std::string_view name, const filter::Program& program) {
  if (name == libpcap) return make_libpcap(bpf_filter, program);
  if (name == dpdk) return make_dpdk(program);
  if (name == one_by_one) return make_one_by_one(program);
  const auto kinds = filter::available_engines();
  const auto kind = std::ranges::find(kinds, name, filter::name_of);
  if (kind == kinds.end())
    throw Error("cannot measure a filter engine", std::string(name), "it is not here", "take another");
  return filter::make_engine(*kind, std::span(&program, 1));
}

std::unique_ptr<const filter::Engine> make_empty_contender(std::string_view name) {
  const filter::Program everything = filter::Program::verify({{BPF_RET | BPF_K, 0, 0, 1}});
  if (name == libpcap) return make_libpcap(match_everything, everything);
  if (name == dpdk) return make_empty_dpdk();
  if (name == one_by_one) return make_one_by_one(everything);  // of three instructions
  return std::make_unique<NothingEngine>();
}

std::unique_ptr<const filter::Engine> make_null_loop() {
  return frame_by_frame([](const Frame& frame) { return frame.captured_length; });
}

}  // namespace ixcap::bench
