#include <algorithm>
#include <numeric>
#include <vector>

#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/graph_builder.hpp>
#include <ixcap/filter/graph_optimizer.hpp>
#include <ixcap/filter/jit/scalar_compiler.hpp>
#include <ixcap/filter/jit/scalar_engine.hpp>

namespace ixcap::filter {
namespace {

constexpr unsigned widest_field = 8;  // bytes, a register

Graph graph_of(std::span<const Program> programs) {
  Graph graph;
  for (const Program& program : programs) add_program(graph, program);
  optimize(graph, widest_field);
  return graph;
}

jit::Code compile(const Graph& graph, jit::ScalarShape shape) {
  std::vector<unsigned> bits(graph.roots().size());
  std::iota(bits.begin(), bits.end(), 0u);
  return jit::compile_scalar(graph, bits, shape);
}

}  // namespace

bool compiles_natively(const Program& program) {
  Graph graph;
  return add_program(graph, program);
}

OneFrameCode::OneFrameCode(std::span<const Program> programs)
    : code_(std::make_unique<const jit::Code>(compile(graph_of(programs), jit::ScalarShape::one_frame))),
      entry_(code_->entry<jit::OneFrameFunction>()) {}

OneFrameCode::~OneFrameCode() = default;

ScalarEngine::ScalarEngine(std::span<const Program> programs) {
  const Graph graph = graph_of(programs);
  code_ = std::make_unique<const jit::Code>(compile(graph, jit::ScalarShape::loop));
  entry_ = code_->entry<jit::LoopFunction>();
  if (!graph.reachable(graph.roots()).empty()) return;
  const Frame any = {};
  entry_(&any, 1, &constant_.emplace());
}

ScalarEngine::~ScalarEngine() = default;

void ScalarEngine::match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept {
  if (constant_) {
    std::ranges::fill(match_sets.first(frames.size()), *constant_);
  } else if (!frames.empty()) {
    entry_(frames.data(), frames.size(), match_sets.data());
  }
}

NativeCode ScalarEngine::native_code() const noexcept {
  return code_->view();
}

}  // namespace ixcap::filter
