#include "tools/filter_engine.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/engines.hpp>

namespace ixcap::tools {
namespace {

using filter::EngineKind;

constexpr std::string_view libpcap = "libpcap";
constexpr std::string_view batch = "batch";
constexpr std::array known_names = std::to_array<std::string_view>({
    "interpreter",
    "scalar",
    "batch",
    "avx2",
    "avx512",
    "libpcap",
});

/// libpcap's bpf_filter over each frame.
class LibpcapEngine final : public filter::Engine {
 public:
  explicit LibpcapEngine(std::span<const filter::Program> programs) : programs_(programs.begin(), programs.end()) {}

  void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept override {
    for (std::size_t f = 0; f < frames.size(); ++f) {
      match_sets[f] = 0;
      for (std::size_t i = 0; i < programs_.size(); ++i) {
        match_sets[f] |= std::uint64_t{returned(programs_[i], frames[f]) != 0} << i;
      }
    }
  }

 private:
  static std::uint32_t returned(const filter::Program& program, const Frame& frame) noexcept {
    // Instruction has the layout of bpf_insn (asserted in filter/program.cpp), and bpf_filter is compiled C.
    const auto* const instructions = reinterpret_cast<const bpf_insn*>(program.instructions().data());
    return bpf_filter(instructions, frame.data, frame.wire_length, frame.captured_length);
  }

  std::vector<filter::Program> programs_;
};

bool takes_many_frames(EngineKind kind) {
  return kind == EngineKind::avx2 || kind == EngineKind::avx512;
}

/// The names that make_engine() takes on this CPU.
std::vector<std::string_view> names_here() {
  std::vector<std::string_view> names;
  std::ranges::transform(filter::available_engines(), std::back_inserter(names), filter::name_of);
  if (std::ranges::any_of(filter::available_engines(), takes_many_frames)) names.push_back(batch);
  names.push_back(libpcap);
  return names;
}

/// Nothing if this CPU runs no such engine. available_engines() ascends, so the last that fits is the best.
std::optional<EngineKind> kind_here(std::string_view name) {
  std::optional<EngineKind> found;
  for (const EngineKind kind : filter::available_engines()) {
    if (name == batch ? takes_many_frames(kind) : name == filter::name_of(kind)) found = kind;
  }
  return found;
}

NamedEngine make(EngineKind kind, std::span<const filter::Program> programs) {
  return {std::string(filter::name_of(kind)), filter::make_engine(kind, programs)};
}

NamedEngine make_libpcap(std::span<const filter::Program> programs) {
  return {std::string(libpcap), std::make_unique<LibpcapEngine>(programs)};
}

}  // namespace

std::string engine_names() {
  return fmt::format("{}", fmt::join(known_names, ", "));
}

NamedEngine make_engine(std::string_view name, std::span<const filter::Program> programs) {
  if (name.empty()) return make(filter::best_engine(), programs);
  if (name == libpcap) return make_libpcap(programs);
  if (const std::optional<EngineKind> kind = kind_here(name)) return make(*kind, programs);
  const bool known = std::ranges::find(known_names, name) != known_names.end();
  throw Error("cannot choose filter engine", std::string(name),
              known ? "this CPU does not run it" : "there is none of that name",
              fmt::format("take one of: {}", fmt::join(names_here(), ", ")));
}

std::vector<NamedEngine> make_all_engines(std::span<const filter::Program> programs) {
  std::vector<NamedEngine> engines;
  engines.push_back(make_libpcap(programs));
  for (const EngineKind kind : filter::available_engines()) engines.push_back(make(kind, programs));
  return engines;
}

}  // namespace ixcap::tools
