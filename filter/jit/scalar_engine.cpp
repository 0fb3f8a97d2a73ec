#include <algorithm>

#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/graph_builder.hpp>
#include <ixcap/filter/graph_optimizer.hpp>
#include <ixcap/filter/jit/scalar_compiler.hpp>
#include <ixcap/filter/jit/scalar_engine.hpp>

namespace ixcap::filter {
namespace {

constexpr unsigned widest_field = 8;       // bytes, a register
constexpr std::size_t prefetch_ahead = 8;  // frames

}  // namespace

bool compiles_natively(const Program& program) {
  Graph graph;
  return add_program(graph, program);
}

ScalarEngine::ScalarEngine(std::span<const Program> programs) {
  Graph graph;
  std::vector<unsigned> bits;
  for (unsigned bit = 0; bit < programs.size(); ++bit) {
    add_program(graph, programs[bit]);
    bits.push_back(bit);
  }
  optimize(graph, widest_field);
  code_ = std::make_unique<const jit::Code>(jit::compile_scalar(graph, bits));
  // From a data pointer to a function's: what the kernel made executable at that address is one.
  entry_ = reinterpret_cast<std::uint64_t (*)(const Frame*) noexcept>(
      reinterpret_cast<std::uintptr_t>(code_->memory->start()));
  if (graph.reachable(graph.roots()).empty()) constant_ = entry_(nullptr);
}

ScalarEngine::~ScalarEngine() = default;

void ScalarEngine::match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept {
  if (constant_) {
    std::ranges::fill(match_sets.first(frames.size()), *constant_);
    return;
  }
  const auto entry = entry_;  // in a register, whatever the code does
  const std::size_t ahead = frames.size() - std::min(prefetch_ahead, frames.size());
  std::size_t f = 0;
  for (; f < ahead; ++f) {
    __builtin_prefetch(frames[f + prefetch_ahead].data);
    match_sets[f] = entry(&frames[f]);
  }
  for (; f < frames.size(); ++f) match_sets[f] = entry(&frames[f]);
}

NativeCode ScalarEngine::native_code() const noexcept {
  return code_->view();
}

}  // namespace ixcap::filter
