/// `ixcap capture`: from an interface through a filter into a pcapng file, with tcpdump's manners.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <ixcap/capture/capture_files.hpp>
#include <ixcap/capture/hardware_rules.hpp>
#include <ixcap/capture/session.hpp>
#include <ixcap/capture/share.hpp>
#include <ixcap/capture/time_stamps.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/idle.hpp>

#include "tools/attempts.hpp"
#include "tools/card.hpp"
#include "tools/command.hpp"
#include "tools/file_options.hpp"
#include "tools/privileges.hpp"
#include "tools/progress.hpp"
#include "tools/signals.hpp"

namespace ixcap::tools {
namespace {

using capture::DropLedger;
using capture::Record;
using capture::RingState;

struct CaptureOptions {
  std::string interface;
  FileOptions files;
  std::string user;  // to become
  std::string share;
  std::uint64_t count = 0;  // 0: no limit
  std::uint32_t snaplen = 262144;
  std::uint32_t ring_kib = 64 * 1024;
  std::uint32_t descriptors = ixgbe::default_descriptors;
  std::uint32_t queues = 1;
  capture::PollMode poll = capture::PollMode::adaptive;
  std::string cpus;
  std::string time_stamps = std::string(capture::time_stamp_types.front().name);
  bool list_time_stamps = false;
  bool keep_fcs = false;
  bool bad_frames = false;
  bool hardware_filter = false;
  bool quiet = false;
  bool verbose = false;
  bool vlan_aware = false;
  bool bind = false;
  bool accepted = false;  // flags that mean nothing to a file
  std::vector<std::string> words;
};

/// Creating the output would empty the file that is to be replayed.
void refuse_to_overwrite_source(const CaptureOptions& options) {
  constexpr std::string_view prefix = "emulator:";
  if (!options.interface.starts_with(prefix)) return;
  const emulator::TrafficSpec traffic = emulator::parse_traffic(options.interface.substr(prefix.size()));
  if (traffic.is_mix()) return;
  std::error_code not_both_there;
  if (std::filesystem::equivalent(traffic.source, options.files.output, not_both_there)) {
    throw Error("cannot write", options.files.output, "it is the file that is read", "give another name with -w");
  }
}

capture::SessionOptions session_options(const CaptureOptions& options) {
  if (options.interface.empty()) {
    throw Error("cannot capture", "", "no interface was given", "add -i INTERFACE, for instance -i emulator:mix");
  }
  if (options.files.output.empty() && options.share.empty()) {
    throw Error("cannot capture", "", "no output file was given", "add -w FILE, or -w - | tcpdump -nr -");
  }
  refuse_to_overwrite_source(options);
  return {.interface = options.interface,
          .expression = fmt::format("{}", fmt::join(options.words, " ")),
          .vlan_aware = options.vlan_aware,
          .snaplen = options.snaplen,
          .queues = options.queues,
          .descriptors = options.descriptors,
          .poll = options.poll,
          .cpus = options.cpus,
          .keep_fcs = options.keep_fcs,
          .bad_frames = options.bad_frames,
          .hardware_filter = options.hardware_filter,
          .time_stamps = capture::time_stamp_type(options.time_stamps),
          .ring_bytes = std::bit_ceil(std::size_t{options.ring_kib} * 1024)};
}

capture::pcapng::InterfaceDescription describe(capture::Session& session) {
  const pci::Identity& device = session.interface().device().identity();
  const bool vlan_aware = session.options().vlan_aware && !session.options().expression.empty();
  return {.name = session.interface().name(),
          .description = device.description + "; " + capture::describe(session.options().time_stamps) +
                         (vlan_aware ? "; the filter looks behind VLAN tags" : ""),
          .mac = session.mac_address(),
          .speed_bits_per_second = session.link().bits_per_second,
          .filter = session.options().expression,
          .hardware = device.description,
          .snaplen = session.options().snaplen,
          .fcs_bytes = session.options().keep_fcs ? std::uint8_t{fcs_bytes} : std::uint8_t{0}};
}

/// As tcpdump prints it.
void list_time_stamp_types(const CaptureOptions& options) {
  if (options.interface.empty()) {
    throw Error("cannot list time stamp types", "", "no interface was given",
                "add -i INTERFACE, for instance -i emulator:mix");
  }
  capture::Interface::check(options.interface);
  fmt::print("Time stamp types for {} (use option -j to set):\n", options.interface);
  for (const capture::TimeStampTypeName& type : capture::time_stamp_types) {
    fmt::print("  {} ({})\n", type.name, type.description);
  }
}

/// Who only shares keeps nothing, but is a reader like any other, whose count and ledger are worth having. The folder
/// is opened while that is surely possible.
capture::CaptureFilesOptions output_of(const CaptureOptions& options) {
  capture::CaptureFilesOptions files = files_options(options.files);
  if (files.path.empty()) files.path = "/dev/null";
  if (!options.user.empty() && !capture::is_stream(files.path)) {
    const std::string folder = capture::folder_of(files.path);
    if (files.rotation.interval.count() == 0 || folder.find('%') == std::string::npos)
      files.folder = std::make_shared<capture::OutputFolder>(folder);
  }
  return files;
}

/// The session, which has everything that takes privileges; from then on they are gone.
class PrivilegedSession : public capture::Session {
 public:
  explicit PrivilegedSession(const CaptureOptions& options) : Session(session_options(options)) {
    if (!options.user.empty()) become(options.user);
  }
};

/// One run of `ixcap capture`, on the main thread: it is the ring's reader and writes the files.
class Capture {
 public:
  explicit Capture(const CaptureOptions& options)
      : options_(options),
        output_(output_of(options)),
        session_(options),
        progress_(!options.quiet),
        files_(
            output_, describe(session_), [this] { return statistics(); },
            files_events(options.verbose, [this] { progress_.clear(); })) {
    if (!options.share.empty()) {
      share_.emplace(options.share, describe(session_), session_.rings(), log(), capture::commands_for(session_));
    }
  }

  /// Captures until the interface ends, the count is reached or a signal comes. Answers the exit status.
  int run();

 private:
  static constexpr unsigned records_a_turn = 1024;
  static constexpr unsigned naps_to_flush = 4;
  static constexpr std::chrono::seconds readers_patience{1};

  void read_until_end();
  unsigned write_records();
  bool enough() const noexcept { return (options_.count != 0 && written_ >= options_.count) || files_.is_over(); }
  void look_around();
  capture::pcapng::InterfaceStatistics statistics() const;
  void release_stalled_readers();
  void tell_filter_changes();
  void tell_events();
  void say(const std::string& sentence);
  capture::Share::Log log() const;
  DropLedger final_ledger() const;
  void summarize();

  const CaptureOptions& options_;
  const capture::CaptureFilesOptions output_;
  PrivilegedSession session_;
  Progress progress_;
  std::uint64_t start_ns_ = 0;
  std::uint64_t written_ = 0;  // frames given to files_
  bool stopped_ = false;
  capture::CaptureFiles files_;
  std::optional<capture::Share> share_;
  std::uint64_t told_changes_ = 0;  // of the filters
  bool finishing_ = false;
  std::chrono::steady_clock::time_point finish_due_ = {};  // of other readers, once finishing
};

int Capture::run() {
  if (!options_.quiet) {
    fmt::print(stderr, "ixcap: listening on {}, link-type EN10MB (Ethernet), snapshot length {} bytes\n",
               session_.interface().name(), session_.options().snaplen);
    if (options_.hardware_filter)
      fmt::print(stderr, "ixcap: the card itself drops {}\n", capture::describe(session_.dropped_by_hardware()));
  }
  start_ns_ = capture::FrameClock::now_ns();
  session_.start();
  Attempts attempts;
  attempts.take([this] { read_until_end(); });
  session_.reader().release();  // also what was read in a turn that failed
  session_.abandon();
  attempts.take([this] { session_.stop(); });
  attempts.take([this] { tell_events(); });
  stopped_ = true;
  attempts.take([this] { files_.close(); });
  progress_.clear();
  attempts.note(session_.failure());
  attempts.report();
  summarize();
  return attempts.failed() || files_.failure() ? 1 : 0;
}

void Capture::read_until_end() {
  // As long as a sixteenth of the ring takes to fill at 8 Gb/s: a file is in no hurry, and waking up costs.
  const auto nap = std::clamp<std::chrono::nanoseconds>(std::chrono::nanoseconds(session_.options().ring_bytes / 16),
                                                        Idle::nap, std::chrono::milliseconds(1));
  unsigned naps = 0;  // in a row
  while (!enough()) {
    const unsigned records = write_records();
    if (records == 0) {
      if (session_.reader().state() != RingState::open) break;
      // Nothing has come for a while: what is here may be looked at.
      if (naps >= naps_to_flush) files_.flush();
      release_stalled_readers();
      std::this_thread::sleep_for(nap);
      ++naps;
    } else {
      if (options_.files.unbuffered) files_.flush();
      naps = 0;
    }
    look_around();
  }
  if (session_.reader().state() == RingState::broken) {
    throw Error("cannot read the ring of", session_.interface().name(), "a record in it is damaged",
                "report this; what was captured so far is in the file");
  }
}

/// One turn: records from the ring to the file, at most as many as are still wanted.
unsigned Capture::write_records() {
  unsigned records = 0;
  while (records < records_a_turn && !enough()) {
    const Record* record = session_.reader().next();
    if (record == nullptr) break;
    files_.write(*record);
    if (!record->is_loss()) ++written_;
    ++records;
  }
  session_.reader().release();
  return records;
}

/// What is not packets: signals, the files' own affairs, and the progress line.
void Capture::look_around() {
  if (take_rotation_request()) files_.rotate();
  files_.look_after();
  if (finish_requested() && !finishing_) {
    finishing_ = true;
    finish_due_ = std::chrono::steady_clock::now() + readers_patience;
    session_.finish();
  }
  if (session_.filters().changes() != told_changes_) tell_filter_changes();
  tell_events();
  if (progress_.due()) progress_.show(written_, session_.ledger().lost());
  if (take_statistics_request()) {
    const capture::ReceiveCounts received = session_.statistics().received;
    progress_.clear();
    fmt::print(stderr, "ixcap: {} packets captured, {} packets received by filter, {} packets dropped by kernel\n",
               written_, received.accepted, session_.ledger().lost());
  }
}

void Capture::tell_filter_changes() {
  const std::vector<capture::FilterChange> changes = session_.filters().changes_since(told_changes_);
  told_changes_ = changes.back().number;
  for (const capture::FilterChange& change : changes) say(change.to_string());
}

/// But for the end of the capture, which is told as its error.
void Capture::tell_events() {
  for (const capture::SessionEvent& event : session_.take_events()) {
    if (event.kind == capture::SessionEvent::Kind::failed) {
      files_.note(event.sentence);
    } else {
      say(event.sentence);
    }
  }
}

/// In the file and to people.
void Capture::say(const std::string& sentence) {
  files_.note(sentence);
  if (options_.quiet) return;
  progress_.clear();
  fmt::print(stderr, "ixcap: {}\n", sentence);
}

/// When the capture is to finish, a lossless reader that does not read must not keep it from doing so.
void Capture::release_stalled_readers() {
  if (!finishing_ || !share_ || std::chrono::steady_clock::now() < finish_due_ || share_->readers() == 0) return;
  progress_.clear();
  fmt::print(stderr, "ixcap: {} of {} did not read to the end, and is released\n",
             share_->readers() == 1 ? "a reader" : "some reader", share_->path());
  share_->disconnect();
}

capture::Share::Log Capture::log() const {
  if (!options_.verbose) return {};
  // A line that cannot be written is no reason to stop.
  return [](const std::string& sentence) { std::fputs(fmt::format("ixcap: {}\n", sentence).c_str(), stderr); };
}

capture::pcapng::InterfaceStatistics Capture::statistics() const {
  const DropLedger ledger = session_.ledger();
  const capture::SessionStatistics statistics = session_.statistics();
  const std::uint64_t now_ns = capture::FrameClock::now_ns();
  return {.timestamp_ns = now_ns,
          .start_ns = start_ns_,
          .end_ns = stopped_ ? std::optional(now_ns) : std::nullopt,
          .received = ledger.on_wire,
          .dropped_by_interface = ledger.missed.value_or(0) + ledger.no_descriptor_total() + ledger.lost_in_card,
          .accepted_by_filter = statistics.received.accepted,
          .dropped_by_system = ledger.lost_by_reader + (written_ - files_.frames_accepted()),
          .delivered = files_.frames_accepted(),
          .comment = capture::to_string(statistics.time_stamps)};
}

/// The session's ledger, in which what was read but could not be written is lost, not delivered.
DropLedger Capture::final_ledger() const {
  DropLedger ledger = session_.ledger();
  const std::uint64_t in_file = files_.frames_written();
  ledger.lost_by_reader += ledger.delivered - in_file;
  ledger.delivered = in_file;
  return ledger;
}

/// tcpdump's lines, then the drop ledger if there is something to explain or -v was given.
void Capture::summarize() {
  const DropLedger ledger = final_ledger();
  const auto line = [](std::uint64_t count, const char* what) {
    fmt::print(stderr, "{} packet{} {}\n", count, count == 1 ? "" : "s", what);
  };
  line(ledger.delivered, "captured");
  line(session_.statistics().received.accepted, "received by filter");
  line(ledger.lost_by_reader, "dropped by kernel");
  if (const std::uint64_t dropped = ledger.lost() - ledger.lost_by_reader; dropped != 0) {
    line(dropped, "dropped by interface");
  }
  const std::uint64_t zero_filled = session_.interface().wire_counts().value_or(emulator::WireCounts{}).zero_filled;
  if (zero_filled != 0) {
    fmt::print(stderr, "{} frame{} truncated in {} file: the missing bytes are zeros\n", zero_filled,
               zero_filled == 1 ? " was" : "s were", zero_filled == 1 ? "its" : "their");
  }
  const bool unexplained = ledger.lost() != 0 || ledger.rejected_by_mac != 0u || !ledger.balanced();
  if (options_.verbose || unexplained) fmt::print(stderr, "\n{}", ledger.to_string());
}

/// How the card and the threads that empty it are set up.
void add_receive_options(CLI::App& command, CaptureOptions& options) {
  using capture::PollMode;
  static const std::map<std::string, PollMode> modes = {
      {"busy", PollMode::busy}, {"adaptive", PollMode::adaptive}, {"interrupt", PollMode::interrupt}};
  command
      .add_option("--descriptors", options.descriptors,
                  "Receive descriptors of each queue, a power of two from 64 to 8192")
      ->capture_default_str();
  command.add_option("--queues", options.queues, "Receive queues, each with a thread; flows are spread over them")
      ->check(CLI::Range(1u, ixgbe::most_queues))
      ->capture_default_str();
  command
      .add_option("--poll", options.poll,
                  "What receive threads do without frames: busy (poll on), adaptive (poll on for a moment, then sleep "
                  "until the card's interrupt) or interrupt (sleep); adaptive unless given")
      ->transform(CLI::CheckedTransformer(modes));
  command.add_option("--cpus", options.cpus, "CPUs for the receive threads, as 0-3,8; else those near the card");
  command.add_option("-j,--time-stamp-type", options.time_stamps, "Whose clock packets are stamped by; -J lists them")
      ->capture_default_str();
  command.add_flag("-J,--list-time-stamp-types", options.list_time_stamps, "List the time stamp types, and exit");
  command.add_flag("--keep-fcs", options.keep_fcs, "Frames end with their frame check sequence");
  command.add_flag("--bad-frames", options.bad_frames, "Capture frames with errors, too");
  command.add_flag("--hardware-filter", options.hardware_filter,
                   "The card throws away what the filter cannot match, as far as it can tell");
}

}  // namespace

void add_capture_command(CLI::App& application, int& status) {
  CLI::App* command = application.add_subcommand("capture", "Capture packets into a pcapng file");
  auto options = std::make_shared<CaptureOptions>();
  command->add_option("-i,--interface", options->interface,
                      "emulator[:TRAFFIC] or vfio-user:SOCKET; 'ixcap devices' lists what there is");
  add_file_options(*command, options->files);
  command->add_option("-Z", options->user, "Become this user before anything is received or written")
      ->option_text("USER");
  command->add_option("--share", options->share, "Let other processes read along: ixcap read NAME")
      ->option_text("NAME");
  command->add_option("-c", options->count, "Stop after this many packets")->check(CLI::PositiveNumber);
  command->add_option("-s,--snapshot-length", options->snaplen, "Bytes kept of a packet; 0 means the default")
      ->take_last()
      ->capture_default_str();
  command
      ->add_option("-B,--buffer-size", options->ring_kib,
                   "KiB between receiving and writing, rounded up to a power of two")
      ->check(CLI::Range(64, 16 * 1024 * 1024))
      ->capture_default_str();
  add_receive_options(*command, *options);
  command->add_flag("-q", options->quiet, "No progress line, and no word about the interface");
  command->add_flag("-v", options->verbose, "Print the drop ledger even when nothing was lost");
  command->add_flag("--vlan-aware", options->vlan_aware, "The expression looks behind VLAN tags, at most two");
  command->add_flag("--bind", options->bind, "Take the card from the kernel for this run, and give it back at its end");
  command->add_flag("-n,-p,-e", options->accepted, "Accepted as tcpdump does; without effect on a file");
  command->add_option("EXPRESSION", options->words, "pcap-filter(7) expression; none captures every packet");
  command->callback([options, &status] {
    if (options->list_time_stamps) return list_time_stamp_types(*options);
    watch_signals();
    if (rotates(options->files)) let_hangup_rotate();
    if (options->bind) session_options(*options);  // what is wrong with the words shows before a card changes hands
    const auto loan = options->bind ? std::make_unique<CardLoan>(options->interface, options->quiet) : nullptr;
    require_bound(options->interface);
    status = Capture(*options).run();
    if (loan != nullptr && !loan->end()) status = 1;
  });
}

}  // namespace ixcap::tools
