#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <ixcap/filter/engines.hpp>
#include <ixcap/filter/interpreter.hpp>
#include <ixcap/filter/jit/batch_engine.hpp>
#include <ixcap/filter/jit/scalar_engine.hpp>

namespace ixcap::filter {
namespace {

constexpr std::array all_kinds = {EngineKind::interpreter, EngineKind::scalar, EngineKind::avx2, EngineKind::avx512};

bool cpu_runs(EngineKind kind) noexcept {
  switch (kind) {
    case EngineKind::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
    case EngineKind::avx512:
      return cpu_runs(EngineKind::avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    default:
      return true;
  }
}

std::unique_ptr<const Engine> make_native(EngineKind kind, std::span<const Program> programs) {
  if (kind == EngineKind::scalar) return std::make_unique<ScalarEngine>(programs);
  return std::make_unique<BatchEngine>(kind, programs);
}

/// Native code for the programs that have it, the interpreter for the others.
class PartlyInterpreted final : public Engine {
 public:
  PartlyInterpreted(EngineKind kind, std::span<const Program> programs) {
    std::vector<Program> native(programs.begin(), programs.end());
    for (std::size_t i = 0; i < native.size(); ++i) {
      if (compiles_natively(native[i])) continue;
      interpreted_.emplace_back(std::uint64_t{1} << i, Interpreter(native[i]));
      native[i] = Program::returning(0);
    }
    native_ = make_native(kind, native);
  }

  void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept override {
    native_->match(frames, match_sets);
    for (std::size_t f = 0; f < frames.size(); ++f) {
      for (const auto& [bit, interpreter] : interpreted_) {
        if (interpreter.run(frames[f]) != 0) match_sets[f] |= bit;
      }
    }
  }

  NativeCode native_code() const noexcept override { return native_->native_code(); }

 private:
  std::unique_ptr<const Engine> native_;
  std::vector<std::pair<std::uint64_t, Interpreter>> interpreted_;  // bit, and who answers for it
};

}  // namespace

std::string_view name_of(EngineKind kind) noexcept {
  switch (kind) {
    case EngineKind::interpreter:
      return "interpreter";
    case EngineKind::scalar:
      return "scalar";
    case EngineKind::avx2:
      return "avx2";
    case EngineKind::avx512:
      return "avx512";
  }
  return "";
}

std::span<const EngineKind> available_engines() {
  static const std::vector<EngineKind> kinds = [] {
    std::vector<EngineKind> found;
    std::ranges::copy_if(all_kinds, std::back_inserter(found), cpu_runs);
    return found;
  }();
  return kinds;
}

EngineKind engine_for(std::optional<std::string_view> simd) {
  const std::span<const EngineKind> kinds = available_engines();
  if (!simd || simd->empty()) return kinds.back();
  const auto kind = std::ranges::find(kinds, *simd, name_of);
  if (kind != kinds.end()) return *kind;
  std::vector<std::string_view> names;
  std::ranges::transform(kinds, std::back_inserter(names), name_of);
  throw Error("cannot choose a filter engine", fmt::format("IXCAP_SIMD={}", *simd),
              std::ranges::find(all_kinds, *simd, name_of) != all_kinds.end() ? "this CPU does not have it"
                                                                              : "it is no level of SIMD",
              fmt::format("unset IXCAP_SIMD, or set it to one of: {}", fmt::join(names, ", ")));
}

EngineKind best_engine() {
  const char* const simd = std::getenv("IXCAP_SIMD");
  return engine_for(simd != nullptr ? std::optional<std::string_view>(simd) : std::nullopt);
}

std::unique_ptr<const Engine> make_engine(EngineKind kind, std::span<const Program> programs) {
  if (!cpu_runs(kind)) {
    throw Error("cannot make a filter engine", std::string(name_of(kind)), "this CPU does not run it",
                "take another one");
  }
  if (kind == EngineKind::interpreter) return std::make_unique<InterpreterEngine>(programs);
  if (!std::ranges::all_of(programs, compiles_natively)) return std::make_unique<PartlyInterpreted>(kind, programs);
  return make_native(kind, programs);
}

}  // namespace ixcap::filter
