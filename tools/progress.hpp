#pragma once

/// The line that a subcommand keeps up to date on a terminal: packets, rate, drops. In a pipe there is none.

#include <chrono>
#include <cstdint>
#include <optional>

namespace ixcap::tools {

class Progress {
 public:
  /// Shows nothing if `wanted` is false or standard error is not a terminal.
  explicit Progress(bool wanted);

  /// Whether it is time for a new line: twice a second.
  bool due() noexcept;
  /// `drops`: where there is such a thing.
  void show(std::uint64_t packets, std::optional<std::uint64_t> drops = {});
  /// Wipes the line, so that other text can follow.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds interval{500};

  bool enabled_;
  bool shown_ = false;
  Clock::time_point last_ = Clock::now();
  Clock::time_point next_ = last_ + interval;
  std::uint64_t last_packets_ = 0;
};

}  // namespace ixcap::tools
