#include "tools/file_options.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>

#include <ixcap/capture/signal_shield.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::tools {
namespace {

using capture::FreePolicy;

std::uint64_t size_option(std::string_view option, const std::string& text, std::uint64_t unit, const char* mend) {
  const std::optional<std::uint64_t> size = parse_size(text, unit);
  if (!size || *size == 0) throw Error(fmt::format("cannot take {}", option), text, "it is no size", mend);
  return *size;
}

/// BYTES[,stop|delete]
void set_keep_free(const std::string& text, capture::CaptureFilesOptions& files) {
  constexpr const char* mend = "as in --keep-free 10G,delete";
  const std::size_t comma = text.find(',');
  files.free_floor = size_option("--keep-free", text.substr(0, comma), 1, mend);
  const std::string policy = comma == std::string::npos ? "stop" : text.substr(comma + 1);
  if (policy == "delete") {
    files.free_policy = FreePolicy::remove_oldest;
  } else if (policy != "stop") {
    throw Error("cannot take --keep-free", text, "it is neither stop nor delete that is to be done", mend);
  }
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t unit) {
  constexpr std::string_view suffixes = "kmg";
  if (!text.empty()) {
    const char last = text.back();
    const auto power = suffixes.find(static_cast<char>(last | 0x20));
    if (last > '9' && power != std::string_view::npos) {
      unit = std::uint64_t{1024} << (10 * power);
      text.remove_suffix(1);
    }
  }
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::uint64_t bytes = 0;
  if (error != std::errc{} || end != text.data() + text.size() || __builtin_mul_overflow(number, unit, &bytes))
    return {};
  return bytes;
}

void add_file_options(CLI::App& command, FileOptions& options) {
  command.add_option("-w", options.output, "File to write, - for standard output");
  command
      .add_option("-C", options.size,
                  "Go on in another file after this many million bytes; KiB, MiB or GiB with a suffix k, m or g")
      ->option_text("SIZE");
  command
      .add_option("-G", options.interval_s, "Go on in another file after this many seconds; strftime(3) makes its name")
      ->option_text("SECONDS")
      ->check(CLI::PositiveNumber);
  command
      .add_option("-W", options.most_files,
                  "Keep this many files, the newest; with -G and without -C, end when there are so many")
      ->option_text("COUNT")
      ->check(CLI::PositiveNumber);
  command.add_option("-z", options.command, "Run COMMAND FILE on each finished file")->option_text("COMMAND");
  command.add_flag("--pcap", options.pcap, "Write the classic pcap format, not pcapng");
  command.add_option("--time-stamp-precision", options.precision, "Of --pcap: nano (the default) or micro")
      ->check(CLI::IsMember({"nano", "micro"}));
  command
      .add_option("--keep-free", options.keep_free,
                  "Leave this many bytes of the disk free: stop then, or delete the oldest files of this run")
      ->option_text("BYTES[,stop|delete]");
  command.add_flag("--zstd", options.zstd, "Compress on the way; files get the suffix .zst");
  command
      .add_option("--io", options.way,
                  "How files are written: auto (past the page cache where that works, but not with -U) or plain")
      ->check(CLI::IsMember({"auto", "plain"}))
      ->capture_default_str();
  command.add_flag("--sync", options.sync, "A finished file is on the disk, not only in the kernel's memory");
  command.add_flag("-U,--packet-buffered", options.unbuffered,
                   "Write packets out as they come, not when a buffer is full");
}

capture::CaptureFilesOptions files_options(const FileOptions& options) {
  capture::CaptureFilesOptions files{
      .path = options.output,
      .rotation = {.interval = std::chrono::seconds(options.interval_s), .most_files = options.most_files},
      .format = options.pcap ? capture::FileFormat::pcap : capture::FileFormat::pcapng,
      .writer = {.direct = options.way == "auto" && !options.unbuffered, .zstd = options.zstd, .sync = options.sync},
      .command = options.command};
  if (!options.size.empty()) {
    files.rotation.bytes = size_option("-C", options.size, 1'000'000, "give millions of bytes, or as in 100m for MiB");
  }
  if (!options.keep_free.empty()) set_keep_free(options.keep_free, files);
  if (!options.precision.empty() && !options.pcap) {
    throw Error("cannot take --time-stamp-precision", options.precision, "a pcapng file has nanoseconds", "add --pcap");
  }
  if (options.precision == "micro") files.precision = capture::TimePrecision::micro;
  const capture::FileNames names(files.path, files.rotation);
  if (options.interval_s != 0 && !names.is_ring() && !names.tells_time()) {
    fmt::print(stderr, "ixcap: -w {} has no time in its name: every file replaces the one before\n", files.path);
  }
  return files;
}

capture::CaptureFilesEvents files_events(bool verbose, const std::function<void()>& before) {
  const auto say = [before](const std::string& sentence) {
    before();
    std::fputs(fmt::format("ixcap: {}\n", sentence).c_str(), stderr);
  };
  capture::CaptureFilesEvents events;
  events.finished = [before](const std::string& path) {
    const capture::SignalShield shield;  // nobody may be reading any more
    before();
    std::puts(path.c_str());
    std::fflush(stdout);
  };
  events.failed = say;
  if (verbose) events.said = say;
  return events;
}

}  // namespace ixcap::tools
