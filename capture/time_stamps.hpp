#pragma once

/// Where the times of frames come from, under the names that libpcap gives such types (`ixcap capture -j`, `-J`), and
/// how good they turned out to be.
///
///     adapter_unsynced   the card's clock. It is set to the system's UTC when a capture starts, and left to its own
///                        oscillator from then on. PTP event messages have the card's stamp, one at a time; all other
///                        frames the time of their poll, converted to the card's clock
///     host               the system's clock, when a frame was polled
///
/// There is no `adapter`: that would be the card's clock kept in step with the system's. All interfaces are 82599s, so
/// all have both.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ixcap::capture {

enum class TimeStampType : std::uint8_t { adapter_unsynced, host };

struct TimeStampTypeName {
  TimeStampType type;
  std::string_view name;
  std::string_view description;  ///< libpcap's
};

/// The default first.
inline constexpr std::array<TimeStampTypeName, 2> time_stamp_types{{
    {TimeStampType::adapter_unsynced, "adapter_unsynced", "Adapter, not synced with system time"},
    {TimeStampType::host, "host", "Host"},
}};

/// The type of that name; throws Error with the names that there are.
TimeStampType time_stamp_type(std::string_view name);

/// Source and resolution, for a file's interface description.
std::string describe(TimeStampType type);

/// Of a capture so far.
struct TimeStampStatistics {
  std::uint64_t longest_wait_ns = 0;          ///< a frame came at most so long before its time: FrameClock
  std::uint64_t stamped = 0;                  ///< frames with a stamp of the card's own, wanted by a filter or not
  std::uint64_t stamps_unmatched = 0;         ///< the card's stamps that no frame came for, or that can't be
  std::optional<double> clock_error_ns = {};  ///< the most that times can be off the card's clock
  std::optional<std::int64_t> ahead_of_system_ns = {};  ///< the card's clock, of the system's UTC, now
};

/// All of it in a sentence, for a file's statistics.
std::string to_string(const TimeStampStatistics& statistics);

}  // namespace ixcap::capture
