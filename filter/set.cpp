#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include <ixcap/filter/interpreter.hpp>
#include <ixcap/filter/set.hpp>

namespace ixcap::filter {

Set::Set(std::span<const Program> programs) : size_(programs.size()) {
  if (programs.size() > most_filters) {
    throw Error("cannot make filter set", "", fmt::format("{} filters, more than {}", programs.size(), most_filters),
                "join some of them with 'or', or start a second capture");
  }
  if (!programs.empty()) engine_ = std::make_shared<InterpreterEngine>(programs);
}

void Set::match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept {
  assert(frames.size() <= batch_size && frames.size() <= match_sets.size());
  if (engine_) {
    engine_->match(frames, match_sets);
  } else {
    std::ranges::fill(match_sets.first(frames.size()), 1);
  }
}

}  // namespace ixcap::filter
