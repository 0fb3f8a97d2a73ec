#include <fmt/format.h>

#include <cstdlib>

#include <ixcap/capture/time_stamps.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

std::string microseconds(double nanoseconds) {
  return fmt::format("{:.3f} us", nanoseconds / 1000);
}

}  // namespace

TimeStampType time_stamp_type(std::string_view name) {
  std::string names;
  for (const TimeStampTypeName& known : time_stamp_types) {
    if (name == known.name) return known.type;
    names += fmt::format("{}{}", names.empty() ? "" : " or ", known.name);
  }
  throw Error("cannot take time stamps of type", std::string(name), "there is no such type here",
              fmt::format("give {} with -j; -J lists them", names));
}

std::string describe(TimeStampType type) {
  if (type == TimeStampType::host) {
    return "time stamps: the system's clock when a frame was polled, spread by wire time; resolution 1 ns";
  }
  return "time stamps: the card's clock, set to UTC at the start; PTP event messages as the card stamped them "
         "(steps of 6.4 ns), others when polled, spread by wire time; resolution 1 ns";
}

std::string to_string(const TimeStampStatistics& statistics) {
  std::string text = fmt::format(
      "time stamps: frames came at most {} before their times, or after a sleep so much before a thread woke",
      microseconds(static_cast<double>(statistics.longest_wait_ns)));
  if (statistics.clock_error_ns.has_value()) {
    text += fmt::format("; the card's clock is known to {}", microseconds(*statistics.clock_error_ns));
  }
  if (statistics.ahead_of_system_ns.has_value()) {
    const std::int64_t ahead_ns = *statistics.ahead_of_system_ns;
    text += fmt::format(" and {} {} the system's", microseconds(std::abs(static_cast<double>(ahead_ns))),
                        ahead_ns < 0 ? "behind" : "ahead of");
    text += fmt::format("; {} stamped by the card, {} of its stamps without their frame", statistics.stamped,
                        statistics.stamps_unmatched);
  }
  return text;
}

}  // namespace ixcap::capture
