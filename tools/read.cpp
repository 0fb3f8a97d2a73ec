/// `ixcap read`: from a capture that another process shares into a pcapng file.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ixcap/capture/attach.hpp>
#include <ixcap/capture/capture_files.hpp>
#include <ixcap/capture/frame_clock.hpp>
#include <ixcap/driver/error.hpp>

#include "tools/attempts.hpp"
#include "tools/command.hpp"
#include "tools/file_options.hpp"
#include "tools/progress.hpp"
#include "tools/signals.hpp"

namespace ixcap::tools {
namespace {

using capture::Record;
using capture::RingState;

struct ReadOptions {
  std::string name;
  FileOptions files;
  std::string part = "0/1";
  std::uint64_t count = 0;    // 0: no limit
  std::uint32_t snaplen = 0;  // 0: the capture's
  bool lossy = false;
  bool quiet = false;
  bool verbose = false;
  bool vlan_aware = false;
  bool accepted = false;  // flags that mean nothing to a file
  std::vector<std::string> words;
};

/// `text`: PART/PARTS.
void set_part(const std::string& text, capture::AttachOptions& options) {
  const char* const end = text.data() + text.size();
  const auto part = std::from_chars(text.data(), end, options.part);
  if (part.ec == std::errc{} && part.ptr != end && *part.ptr == '/') {
    const auto parts = std::from_chars(part.ptr + 1, end, options.parts);
    if (parts.ec == std::errc{} && parts.ptr == end && options.part < options.parts) return;
  }
  throw Error("cannot read a part of the flows", text, "there is no such part", "count from 0: --part 0/2, --part 1/2");
}

capture::AttachOptions attach_options(const ReadOptions& options) {
  if (options.files.output.empty())
    throw Error("cannot read", "", "no output file was given", "add -w FILE, or -w - | tcpdump -nr -");
  capture::AttachOptions attach = {.name = options.name,
                                   .expression = fmt::format("{}", fmt::join(options.words, " ")),
                                   .vlan_aware = options.vlan_aware};
  if (options.lossy) attach.reader.policy = capture::ReaderPolicy::lossy;
  set_part(options.part, attach);
  return attach;
}

/// What the file says: the capture's own description, this reader's expression beside its filter, and the shorter of
/// the snapshot lengths.
capture::pcapng::InterfaceDescription describe(const capture::Attachment& attachment, const ReadOptions& options) {
  capture::pcapng::InterfaceDescription description = attachment.description();
  if (options.snaplen != 0 && (description.snaplen == 0 || options.snaplen < description.snaplen))
    description.snaplen = options.snaplen;
  if (!options.words.empty()) {
    const std::string own = fmt::format("{}", fmt::join(options.words, " "));
    description.filter = description.filter.empty() ? own : fmt::format("({}) and ({})", description.filter, own);
  }
  return description;
}

/// One run of `ixcap read`.
class Read {
 public:
  explicit Read(const ReadOptions& options)
      : options_(options),
        attachment_(attach_options(options)),
        progress_(!options.quiet),
        files_(
            files_options(options.files), describe(attachment_, options), [this] { return statistics(); },
            files_events(options.verbose, [this] { progress_.clear(); })) {}

  /// Reads until the capture ends, the count is reached or a signal comes. Answers the exit status.
  int run();

 private:
  static constexpr unsigned records_a_turn = 1024;
  static constexpr std::chrono::milliseconds look_around_interval{100};

  void read_until_end();
  unsigned write_records();
  bool enough() const noexcept {
    return finish_requested() || (options_.count != 0 && written_ >= options_.count) || files_.is_over();
  }
  void look_around();
  capture::pcapng::InterfaceStatistics statistics() const;
  void print_counts(const char* separator, const char* end) const;

  const ReadOptions& options_;
  capture::Attachment attachment_;
  Progress progress_;
  std::uint64_t written_ = 0;    // frames given to files_
  std::uint64_t told_lost_ = 0;  // in loss records of the capture
  std::uint64_t start_ns_ = capture::FrameClock::now_ns();
  bool stopped_ = false;
  capture::CaptureFiles files_;
};

int Read::run() {
  if (!options_.quiet) {
    fmt::print(stderr, "ixcap: reading {}, link-type EN10MB (Ethernet), snapshot length {} bytes\n",
               attachment_.description().name, attachment_.description().snaplen);
  }
  Attempts attempts;
  attempts.take([this] { read_until_end(); });
  attachment_.release();
  stopped_ = true;
  attempts.take([this] { files_.close(); });
  progress_.clear();
  attempts.report();
  print_counts("\n", "\n");
  return attempts.failed() || files_.failure() ? 1 : 0;
}

void Read::read_until_end() {
  while (!enough()) {
    if (write_records() == 0) {
      if (attachment_.state() != RingState::open) break;
      files_.flush();  // nothing more has come: what is here may be looked at
      attachment_.wait(look_around_interval);
    } else if (options_.files.unbuffered) {
      files_.flush();
    }
    look_around();
  }
  if (attachment_.state() == RingState::broken)
    throw Error("cannot read the ring of", options_.name, "a record in it is damaged",
                "report this; what was read so far is in the file");
  if (attachment_.died())
    throw Error("cannot read on from", options_.name, "the capture was killed, or has released this reader",
                "start it again; what was read so far is in the file");
}

/// One turn: records from the ring to the file, at most as many as are still wanted.
unsigned Read::write_records() {
  unsigned records = 0;
  while (records < records_a_turn && !enough()) {
    const Record* record = attachment_.next();
    if (record == nullptr) break;
    files_.write(*record);
    if (!record->is_loss())
      ++written_;
    else if ((record->flags & capture::record_lost_here) == 0)
      told_lost_ += record->lost_frames;
    ++records;
  }
  attachment_.release();
  return records;
}

/// What is not packets: signals, the files' own affairs, and the progress line.
void Read::look_around() {
  if (take_rotation_request()) files_.rotate();
  files_.look_after();
  if (progress_.due()) progress_.show(written_, attachment_.lost() + told_lost_);
  if (take_statistics_request()) {
    progress_.clear();
    fmt::print(stderr, "ixcap: ");
    print_counts(", ", "\n");
  }
}

capture::pcapng::InterfaceStatistics Read::statistics() const {
  const std::uint64_t now_ns = capture::FrameClock::now_ns();
  return {.timestamp_ns = now_ns,
          .start_ns = start_ns_,
          .end_ns = stopped_ ? std::optional(now_ns) : std::nullopt,
          .dropped_by_interface = told_lost_,
          .accepted_by_filter = attachment_.received() + attachment_.lost(),
          .dropped_by_system = attachment_.lost() + (written_ - files_.frames_accepted()),
          .delivered = files_.frames_accepted()};
}

/// tcpdump's lines. "By filter" is the capture's: what came to this reader, or would have.
void Read::print_counts(const char* separator, const char* end) const {
  const auto packets = [](std::uint64_t count, const char* what) {
    return fmt::format("{} packet{} {}", count, count == 1 ? "" : "s", what);
  };
  const std::uint64_t captured = stopped_ ? files_.frames_written() : written_;
  std::string text = packets(captured, "captured") + separator +
                     packets(attachment_.received() + attachment_.lost(), "received by filter") + separator +
                     packets(attachment_.lost() + (written_ - captured), "dropped by kernel");
  if (told_lost_ != 0) text += separator + packets(told_lost_, "dropped by interface");
  fmt::print(stderr, "{}{}", text, end);
}

}  // namespace

void add_read_command(CLI::App& application, int& status) {
  CLI::App* command = application.add_subcommand("read", "Read along with a capture that was started with --share");
  auto options = std::make_shared<ReadOptions>();
  command->add_option("NAME", options->name, "What ixcap capture --share was given")->required();
  add_file_options(*command, options->files);
  command->add_option("-c", options->count, "Stop after this many packets")->check(CLI::PositiveNumber);
  command->add_flag("--lossy", options->lossy, "Never hold the capture up; lose packets, and count them, instead");
  command->add_option("--part", options->part, "Only one part of the flows, as in 0/2; other readers take the others")
      ->option_text("PART/PARTS");
  command->add_option("-s,--snapshot-length", options->snaplen, "Bytes kept of a packet, if the capture keeps more")
      ->take_last();
  command->add_flag("-q", options->quiet, "No progress line, and no word about the capture");
  command->add_flag("-v", options->verbose, "Say how files are written");
  command->add_flag("--vlan-aware", options->vlan_aware, "The expression looks behind VLAN tags, at most two");
  command->add_flag("-n,-p,-e", options->accepted, "Accepted as tcpdump does; without effect on a file");
  command->add_option("EXPRESSION", options->words, "pcap-filter(7) expression; none reads every packet");
  command->callback([options, &status] {
    watch_signals();
    if (rotates(options->files)) let_hangup_rotate();
    status = Read(*options).run();
  });
}

}  // namespace ixcap::tools
