#include "tools/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace ixcap::tools {
namespace {

std::string rate_text(double packets_per_second) {
  if (packets_per_second >= 1e6) return fmt::format("{:.2f} Mpps", packets_per_second / 1e6);
  if (packets_per_second >= 1e3) return fmt::format("{:.1f} kpps", packets_per_second / 1e3);
  return fmt::format("{:.0f} pps", packets_per_second);
}

}  // namespace

Progress::Progress(bool wanted) : enabled_(wanted && isatty(STDERR_FILENO) != 0) {}

bool Progress::due() noexcept {
  return enabled_ && Clock::now() >= next_;
}

void Progress::show(std::uint64_t packets, std::optional<std::uint64_t> drops) {
  if (!enabled_) return;
  const Clock::time_point now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - last_).count();
  const double rate = seconds > 0 ? static_cast<double>(packets - last_packets_) / seconds : 0;
  fmt::print(stderr, "\r\033[K{} packets, {}", packets, rate_text(rate));
  if (drops.has_value()) fmt::print(stderr, ", {} dropped", *drops);
  std::fflush(stderr);
  shown_ = true;
  last_packets_ = packets;
  last_ = now;
  next_ = now + interval;
}

void Progress::clear() {
  if (!shown_) return;
  fmt::print(stderr, "\r\033[K");
  shown_ = false;
}

}  // namespace ixcap::tools
