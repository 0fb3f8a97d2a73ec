#pragma once

/// The options about files that `ixcap capture` and `ixcap read` have in common, and what they come to.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <ixcap/capture/capture_files.hpp>

namespace ixcap::tools {

struct FileOptions {
  std::string output;  ///< -w
  std::string size;    ///< -C
  std::uint32_t interval_s = 0;
  std::uint32_t most_files = 0;
  std::string command;  ///< -z
  bool pcap = false;
  std::string precision;
  std::string keep_free;
  std::string way = "auto";  ///< --io
  bool zstd = false;
  bool sync = false;
  bool unbuffered = false;
};

void add_file_options(CLI::App& command, FileOptions& options);

/// Throws ixcap::Error if they make no sense.
capture::CaptureFilesOptions files_options(const FileOptions& options);

/// Whether there can be another file after the first.
inline bool rotates(const FileOptions& options) {
  return !options.output.empty() && !capture::is_stream(options.output);
}

/// Finished files go to standard output, a line each; what is said goes to standard error, the rest with `verbose`.
/// `before` is called before something is printed.
capture::CaptureFilesEvents files_events(bool verbose, const std::function<void()>& before);

/// A number of bytes: "10k", "10M" and "10G" (either case) count in powers of 1024, "10" counts `unit` bytes.
/// nullopt: it is none.
std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t unit);

}  // namespace ixcap::tools
