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
#include <ixcap/capture/frame_clock.hpp>
#include <ixcap/capture/pcapng_writer.hpp>
#include <ixcap/driver/error.hpp>

#include "tools/command.hpp"
#include "tools/progress.hpp"
#include "tools/signals.hpp"

namespace ixcap::tools {
namespace {

using capture::Record;
using capture::RingState;

struct ReadOptions {
  std::string name;
  std::string output;
  std::string part = "0/1";
  std::uint64_t count = 0;  // 0: no limit
  bool lossy = false;
  bool quiet = false;
  bool unbuffered = false;
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
  if (options.output.empty())
    throw Error("cannot read", "", "no output file was given", "add -w FILE, or -w - | tcpdump -nr -");
  capture::AttachOptions attach = {.name = options.name,
                                   .expression = fmt::format("{}", fmt::join(options.words, " ")),
                                   .vlan_aware = options.vlan_aware};
  if (options.lossy) attach.reader.policy = capture::ReaderPolicy::lossy;
  set_part(options.part, attach);
  return attach;
}

/// What the file says: the capture's own description, and this reader's expression beside its filter.
capture::pcapng::InterfaceDescription describe(const capture::Attachment& attachment, const ReadOptions& options) {
  capture::pcapng::InterfaceDescription description = attachment.description();
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
        writer_(options.output, describe(attachment_, options)),
        progress_(!options.quiet) {}

  /// Reads until the capture ends, the count is reached or a signal comes. Answers the exit status.
  int run();

 private:
  static constexpr unsigned records_a_turn = 1024;
  static constexpr std::chrono::milliseconds look_around_interval{100};

  void read_until_end();
  unsigned write_records();
  bool enough() const noexcept { return finish_requested() || (options_.count != 0 && written_ >= options_.count); }
  void look_around();
  void write_statistics();
  void print_counts(const char* separator, const char* end) const;

  const ReadOptions& options_;
  capture::Attachment attachment_;
  capture::PcapngWriter writer_;
  Progress progress_;
  std::uint64_t written_ = 0;
  std::uint64_t told_lost_ = 0;  // in loss records of the capture
  std::uint64_t start_ns_ = capture::FrameClock::now_ns();
};

int Read::run() {
  if (!options_.quiet) {
    fmt::print(stderr, "ixcap: reading {}, link-type EN10MB (Ethernet), snapshot length {} bytes\n",
               attachment_.description().name, attachment_.description().snaplen);
  }
  std::optional<Error> failure;
  const auto attempt = [&failure](const auto& step) {
    try {
      step();
    } catch (const Error& error) {
      if (!failure.has_value()) failure = error;
    }
  };
  attempt([this] { read_until_end(); });
  attachment_.release();
  attempt([this] { write_statistics(); });
  attempt([this] { writer_.close(); });
  progress_.clear();
  if (failure.has_value()) fmt::print(stderr, "ixcap: {}\n", failure->what());
  print_counts("\n", "\n");
  return failure.has_value() ? 1 : 0;
}

void Read::read_until_end() {
  while (!enough()) {
    if (write_records() == 0) {
      if (attachment_.state() != RingState::open) break;
      writer_.flush();  // nothing more has come: what is here may be looked at
      attachment_.wait(look_around_interval);
    } else if (options_.unbuffered) {
      writer_.flush();
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
    writer_.write(*record);
    if (!record->is_loss())
      ++written_;
    else if ((record->flags & capture::record_lost_here) == 0)
      told_lost_ += record->lost_frames;
    ++records;
  }
  attachment_.release();
  return records;
}

/// What is not packets: signals and the progress line.
void Read::look_around() {
  if (progress_.due()) progress_.show(written_, attachment_.lost() + told_lost_);
  if (take_statistics_request()) {
    progress_.clear();
    fmt::print(stderr, "ixcap: ");
    print_counts(", ", "\n");
  }
}

void Read::write_statistics() {
  const std::uint64_t now_ns = capture::FrameClock::now_ns();
  writer_.write_statistics({.timestamp_ns = now_ns,
                            .start_ns = start_ns_,
                            .end_ns = now_ns,
                            .dropped_by_interface = told_lost_,
                            .accepted_by_filter = attachment_.received() + attachment_.lost(),
                            .dropped_by_system = attachment_.lost(),
                            .delivered = written_});
}

/// tcpdump's lines. "By filter" is the capture's: what came to this reader, or would have.
void Read::print_counts(const char* separator, const char* end) const {
  const auto packets = [](std::uint64_t count, const char* what) {
    return fmt::format("{} packet{} {}", count, count == 1 ? "" : "s", what);
  };
  std::string text = packets(written_, "captured") + separator +
                     packets(attachment_.received() + attachment_.lost(), "received by filter") + separator +
                     packets(attachment_.lost(), "dropped by kernel");
  if (told_lost_ != 0) text += separator + packets(told_lost_, "dropped by interface");
  fmt::print(stderr, "{}{}", text, end);
}

}  // namespace

void add_read_command(CLI::App& application, int& status) {
  CLI::App* command = application.add_subcommand("read", "Read along with a capture that was started with --share");
  auto options = std::make_shared<ReadOptions>();
  command->add_option("NAME", options->name, "What ixcap capture --share was given")->required();
  command->add_option("-w", options->output, "File to write, - for standard output");
  command->add_option("-c", options->count, "Stop after this many packets")->check(CLI::PositiveNumber);
  command->add_flag("--lossy", options->lossy, "Never hold the capture up; lose packets, and count them, instead");
  command->add_option("--part", options->part, "Only one part of the flows, as in 0/2; other readers take the others")
      ->option_text("PART/PARTS");
  command->add_flag("-q", options->quiet, "No progress line, and no word about the capture");
  command->add_flag("-U,--packet-buffered", options->unbuffered,
                    "Write packets out as they come, not when a buffer is full");
  command->add_flag("--vlan-aware", options->vlan_aware, "The expression looks behind VLAN tags, at most two");
  command->add_flag("-n,-p,-e", options->accepted, "Accepted as tcpdump does; without effect on a file");
  command->add_option("EXPRESSION", options->words, "pcap-filter(7) expression; none reads every packet");
  command->callback([options, &status] {
    watch_signals();
    status = Read(*options).run();
  });
}

}  // namespace ixcap::tools
