// The receive path on a bad day: descriptors that come late, in another order, or not at all.

#include <algorithm>
#include <array>

#include <ixcap/driver/emulator/receive_path.hpp>

namespace ixcap::emulator {

void ReceivePath::set_faults(Faults* faults) noexcept {
  faults_ = faults;
  if (faults != nullptr) return;
  for (ReceiveQueue& queue : queues_) queue.starved = queue.hung;
}

bool ReceivePath::write_back_is_late() const noexcept {
  return std::ranges::any_of(enabled_, [this](std::uint32_t index) { return !queues_[index].filled.empty(); });
}

void ReceivePath::write_back_late() noexcept {
  for (const std::uint32_t index : enabled_) write_back(index);
}

/// The order of the descriptors of one queue is kept, and none is late for ever: a card may do all that is done here.
void ReceivePath::write_back_with_faults() noexcept {
  std::array<std::uint32_t, queue_count> order;
  const auto end = std::ranges::copy(enabled_, order.begin()).out;
  const auto count = static_cast<std::uint32_t>(end - order.begin());
  if (count > 1 && faults_->reorders_write_back()) {
    for (std::uint32_t left = count; left > 1; --left) std::swap(order[left - 1], order[faults_->pick(left)]);
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    ReceiveQueue& queue = queues_[order[i]];
    const bool late = !queue.filled.empty() && queue.late_passes < Faults::most_late_passes;
    if (late && faults_->writes_back_late()) {
      ++queue.late_passes;
    } else {
      write_back(order[i]);
    }
  }
}

void ReceivePath::hang_queue() noexcept {
  if (enabled_.empty()) return;
  ReceiveQueue& queue = queues_[*std::ranges::min_element(enabled_)];
  queue.hung = queue.starved = true;
  queue.tail = queue.head;
}

/// A queue that starves sees its tail where its head is, for one pass.
void ReceivePath::starve_queues() noexcept {
  for (const std::uint32_t index : enabled_) {
    ReceiveQueue& queue = queues_[index];
    queue.starved = queue.hung || faults_->starves();
    if (queue.starved) queue.tail = queue.head;
  }
}

}  // namespace ixcap::emulator
