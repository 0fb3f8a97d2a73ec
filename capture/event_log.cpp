#include <utility>

#include <ixcap/capture/event_log.hpp>
#include <ixcap/capture/frame_clock.hpp>

namespace ixcap::capture {

void EventLog::add(SessionEvent::Kind kind, std::string sentence) {
  const std::scoped_lock lock(mutex_);
  if (events_.size() == most_kept) events_.erase(events_.begin());
  events_.push_back({FrameClock::now_ns(), kind, std::move(sentence)});
  any_.store(true, std::memory_order_relaxed);
}

std::vector<SessionEvent> EventLog::take() {
  if (!any_.load(std::memory_order_relaxed)) return {};
  const std::scoped_lock lock(mutex_);
  any_.store(false, std::memory_order_relaxed);
  return std::exchange(events_, {});
}

}  // namespace ixcap::capture
