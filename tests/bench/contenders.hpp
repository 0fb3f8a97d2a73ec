#pragma once

/// What filter_bench compares: ixcap's engines, libpcap's bpf_filter and DPDK's JIT, each behind the interface of an
/// Engine, so that the same loop drives them all.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::bench {

/// Asks `function` (a number other than 0 = match) about one frame after the other.
template <typename Function>
class FrameByFrame final : public filter::Engine {
 public:
  explicit FrameByFrame(Function function) : function_(std::move(function)) {}

  void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept override {
    for (std::size_t i = 0; i < frames.size(); ++i) match_sets[i] = function_(frames[i]) != 0 ? 1 : 0;
  }

 private:
  Function function_;
};

template <typename Function>
std::unique_ptr<const filter::Engine> frame_by_frame(Function function) {
  return std::make_unique<FrameByFrame<Function>>(std::move(function));
}

/// `libpcap`, `dpdk` if it is there, the engines that this CPU runs, the fastest last, and `scalar/1`: the scalar
/// engine's code called for one frame at a time.
std::vector<std::string_view> contender_names();

/// The contender of that name (one of contender_names()), running `program`. Throws Error if it cannot be made.
std::unique_ptr<const filter::Engine> make_contender(std::string_view name, const filter::Program& program);

/// The loop that make_contender(name, ...) runs, around a filter that does nothing: what is to be subtracted when
/// instructions are counted.
std::unique_ptr<const filter::Engine> make_empty_contender(std::string_view name);

/// What one pass over frames costs when nobody looks at them.
std::unique_ptr<const filter::Engine> make_null_loop();

}  // namespace ixcap::bench
