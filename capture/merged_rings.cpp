#include <algorithm>
#include <limits>
#include <utility>

#include <ixcap/capture/merged_rings.hpp>

namespace ixcap::capture {

MergedRings::MergedRings(std::span<const Source> sources) {
  for (const Source& source : sources) inputs_.push_back(std::make_unique<Input>(source));
}

const Record* MergedRings::next_merged() noexcept {
  Input* oldest = nullptr;
  std::uint64_t settled_ns = std::numeric_limits<std::uint64_t>::max();  // nothing older than this will come
  for (const auto& input : inputs_) {
    if (input->front == nullptr) {
      // Before the look into the ring: what has come by then has been seen.
      const std::uint64_t quiet_until_ns = input->quiet_until_ns.load(std::memory_order_acquire);
      input->front = input->reader.next();
      if (input->front == nullptr) {
        if (input->reader.state() == RingState::open) settled_ns = std::min(settled_ns, quiet_until_ns);
        continue;
      }
    }
    if (oldest == nullptr || input->front->timestamp_ns < oldest->front->timestamp_ns) oldest = input.get();
  }
  if (oldest == nullptr) return nullptr;
  const bool settled = oldest->front->timestamp_ns <= settled_ns;
  if (!settled && !waited_enough()) return nullptr;
  if (settled) waiting_since_.reset();  // otherwise those behind it need not wait for the same thread again
  return std::exchange(oldest->front, nullptr);
}

bool MergedRings::waited_enough() noexcept {
  const Clock::time_point now = Clock::now();
  if (!waiting_since_.has_value()) waiting_since_ = now;
  return now - *waiting_since_ >= patience;
}

RingState MergedRings::state() const noexcept {
  const auto any = [this](const auto& holds) { return std::ranges::any_of(inputs_, holds); };
  if (any([](const auto& input) { return input->reader.state() == RingState::broken; })) return RingState::broken;
  const auto unfinished = [](const auto& input) {
    return input->front != nullptr || input->reader.state() == RingState::open;
  };
  return any(unfinished) ? RingState::open : RingState::ended;
}

}  // namespace ixcap::capture
