#pragma once

/// When a capture goes on in another file, and what that is called: tcpdump's -C, -G and -W.
///
///     bytes  interval  most    files                                        names of "x"
///     -      -         -       one; more by rotate()                        x  x1  x2 ...
///     C      -         -       as many as it takes                          x  x1  x2 ...
///     -      -/G       -       one an interval                              x after strftime(3)
///     C      G         -       both; the number begins anew each interval   x  x1  x2 ... after strftime(3)
///     -      G         W       W files, then the capture is over            x after strftime(3)
///     C      -/G       W       a ring: the newest W are kept                x0 ... x9 after strftime(3); W = 10
///     -      -         W       the same, by rotate()                        x0 ... x9
///
/// Numbers of a ring have leading zeros. Whoever deletes files takes care that a ring of files with times in their
/// names holds W of them. A time that repeats, or is not in the name, means that the file is written anew.
///
/// Pure: no file is touched, and times are given. Threads: one at a time.

#include <chrono>
#include <cstdint>
#include <string>

namespace ixcap::capture {

struct RotationOptions {
  std::uint64_t bytes = 0;           ///< -C: a file that is longer is ended; 0: never for that
  std::chrono::seconds interval{0};  ///< -G
  std::uint32_t most_files = 0;      ///< -W
};

enum class Rotation { size, time, request };

class FileNames {
 public:
  /// `pattern`: what -w was given. `suffix`: comes after the number, unless the pattern ends with it.
  FileNames(std::string pattern, const RotationOptions& options, const std::string& suffix = "");

  /// The name of the first file, begun at `now_s` seconds since 1970.
  std::string first(std::int64_t now_s);
  /// The name of the file after a rotation. Not when is_over().
  std::string next(Rotation rotation, std::int64_t now_s);

  /// Whether a rotation now ends the capture: all files have been written that were asked for.
  bool is_last() const noexcept { return options_.most_files != 0 && !is_ring() && files_ >= options_.most_files; }

  /// Whether old files make room for new ones.
  bool is_ring() const noexcept {
    return options_.most_files != 0 && (options_.bytes != 0 || options_.interval.count() == 0);
  }

  /// Whether files of different times have different names.
  bool tells_time() const;

 private:
  std::string name(std::int64_t now_s) const;

  std::string pattern_;
  RotationOptions options_;
  std::string suffix_;
  std::uint64_t files_ = 0;   // begun so far
  std::uint64_t number_ = 0;  // of the current file within its interval
};

}  // namespace ixcap::capture
