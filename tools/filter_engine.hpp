#pragma once

/// Filter engines by the names that `ixcap filter --engine` takes: those of filter::EngineKind; `batch`, the best of
/// them that takes many frames at once; and `libpcap`, bpf_filter itself, which is what the others are judged by.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::tools {

struct NamedEngine {
  std::string name;  ///< never `batch`: what that stood for
  std::unique_ptr<const filter::Engine> engine;
};

/// All names there are, separated by commas, whether this CPU runs them or not.
std::string engine_names();

/// The engine for `programs`, at most filter::most_filters of them. An empty name: the best one that IXCAP_SIMD allows.
/// Throws Error for an unknown name and for an engine that this CPU does not run.
NamedEngine make_engine(std::string_view name, std::span<const filter::Program> programs);

/// libpcap and every engine that this CPU runs, libpcap first.
std::vector<NamedEngine> make_all_engines(std::span<const filter::Program> programs);

}  // namespace ixcap::tools
