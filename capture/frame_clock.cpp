#include <time.h>

#include <ixcap/capture/frame_clock.hpp>

namespace ixcap::capture {

std::uint64_t FrameClock::now_ns() noexcept {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace ixcap::capture
