/// `ixcap send`: a capture file out through an interface, in its time.

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <ixcap/capture/injector.hpp>
#include <ixcap/capture/pcapng_writer.hpp>
#include <ixcap/capture/replay.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/error.hpp>

#include "tools/command.hpp"
#include "tools/progress.hpp"
#include "tools/signals.hpp"

namespace ixcap::tools {
namespace {

using capture::InjectionCounts;
using capture::ReplayReport;

struct SendOptions {
  std::string interface;
  std::string file;
  std::string rate;
  std::optional<double> speed;
  std::optional<std::uint64_t> loop;
  std::uint64_t count = 0;  // 0: no limit
  std::uint32_t descriptors = ixgbe::TxQueue::default_descriptors;
  std::string stamps;
  bool quiet = false;
  bool verbose = false;
};

/// `mix` with its options, or a path: whatever is in that is part of a name.
emulator::TrafficSpec traffic_spec(const SendOptions& options) {
  if (options.file.empty()) {
    throw Error("cannot send", "", "no file was given", "name a pcap or pcapng file, or - for standard input");
  }
  emulator::TrafficSpec spec;
  spec.source = options.file;
  if (options.file == "mix" || options.file.starts_with("mix?")) spec = emulator::parse_traffic(options.file);
  if (!spec.is_mix()) {
    spec.loop = options.loop.value_or(1);
  } else if (options.loop.has_value()) {
    throw Error("cannot send", options.file, "--loop is for files, and the mix goes on by itself",
                "leave --loop out, and say how many packets with -c");
  }
  if (options.count != 0) spec.count = options.count;
  return spec;
}

capture::ReplayPace pace(const SendOptions& options, const emulator::TrafficSpec& traffic) {
  capture::ReplayPace pace;
  if (!options.rate.empty()) {
    pace.rate = emulator::parse_rate(options.rate);
    if (!pace.rate.has_value()) {
      throw Error("cannot send at rate", options.rate, "it is none", "give " + std::string(emulator::rate_forms));
    }
  } else if (traffic.is_mix()) {
    if (traffic.rate.unit == emulator::Rate::Unit::as_fast_as_received &&
        options.file.find("rate=") == options.file.npos) {
      throw Error("cannot send", options.file, "generated packets have no times of their own",
                  "add --rate, for instance --rate 1G, or --rate max");
    }
    pace.rate = traffic.rate;
  }
  pace.speed = options.speed.value_or(1);
  return pace;
}

std::string pace_text(const SendOptions& options, const capture::ReplayPace& pace) {
  if (pace.as_fast_as_possible()) return "as fast as possible";
  if (!options.rate.empty()) return "at " + options.rate;
  if (pace.rate.has_value()) return "at the rate of its options";
  return pace.speed == 1 ? "at its own pace" : fmt::format("at {:g} times its own pace", pace.speed);
}

std::string seconds_text(std::uint64_t nanoseconds) {
  return fmt::format("{:.6f} s", static_cast<double>(nanoseconds) / 1e9);
}

std::string rate_text(double value, std::string_view unit) {
  if (value >= 1e9) return fmt::format("{:.3f} G{}", value / 1e9, unit);
  if (value >= 1e6) return fmt::format("{:.3f} M{}", value / 1e6, unit);
  if (value >= 1e3) return fmt::format("{:.3f} k{}", value / 1e3, unit);
  return fmt::format("{:.3f} {}", value, unit);
}

/// One run of `ixcap send`: the replay has a thread, this one looks at signals and shows what is going on.
class Send {
 public:
  explicit Send(const SendOptions& options)
      : options_(options),
        spec_(traffic_spec(options)),
        pace_(pace(options, spec_)),
        traffic_(checked_traffic(options, spec_)),
        injector_({.interface = options.interface,
                   .descriptors = options.descriptors,
                   .time_stamps = !options.stamps.empty()}),
        replay_(injector_, *traffic_, pace_),
        progress_(!options.quiet) {
    if (!options.stamps.empty()) keep_stamps();
  }

  /// Sends until the file ends, the count is reached or a signal comes. Answers the exit status.
  int run();

 private:
  static std::unique_ptr<emulator::Traffic> checked_traffic(const SendOptions& options,
                                                            const emulator::TrafficSpec& spec) {
    if (options.interface.empty()) {
      throw Error("cannot send", options.file, "no interface was given",
                  "add -i INTERFACE; 'ixcap devices' lists what there is");
    }
    return emulator::open_traffic(spec);
  }

  void keep_stamps();
  void replay();
  void look_around();
  void summarize(const InjectionCounts& counts);
  void print_reasons(const InjectionCounts& counts) const;
  void print_pace(const InjectionCounts& counts) const;
  void print_stamps();

  const SendOptions& options_;
  emulator::TrafficSpec spec_;
  capture::ReplayPace pace_;
  std::unique_ptr<emulator::Traffic> traffic_;
  capture::Injector injector_;
  std::optional<capture::PcapngWriter> stamps_;
  capture::Replay replay_;
  Progress progress_;
  std::mutex mutex_;  ///< guards the two below
  std::condition_variable over_changed_;
  bool over_ = false;
  std::optional<Error> failure_;
};

/// Has the frames that the card stamps written to a file, with their stamps.
void Send::keep_stamps() {
  capture::Interface& interface = injector_.interface();
  stamps_.emplace(options_.stamps, capture::pcapng::InterfaceDescription{
                                       .name = interface.name(),
                                       .description = "what the card has stamped as it sent it: UTC when the "
                                                      "run started, left to its own oscillator from then on"});
  replay_.on_stamped([this](const capture::StampedFrame& frame) {
    const auto captured = static_cast<std::uint32_t>(frame.bytes.size());
    stamps_->write({.timestamp_ns = frame.time_ns,
                    .data = frame.bytes.data(),
                    .captured_length = captured,
                    .wire_length = frame.wire_length,
                    .reception = capture::pcapng::reception_of(frame.bytes.data(), captured, {}),
                    .queue = 0,
                    .outbound = true});
    stamps_->flush();
  });
}

int Send::run() {
  if (!options_.quiet) {
    fmt::print(stderr, "ixcap: sending {} on {}, {}\n", options_.file == "-" ? "standard input" : options_.file,
               injector_.interface().name(), pace_text(options_, pace_));
  }
  {
    const std::jthread thread([this] { replay(); });
    std::unique_lock lock(mutex_);
    while (!over_changed_.wait_for(lock, std::chrono::milliseconds(20), [this] { return over_; })) look_around();
  }
  progress_.clear();
  if (failure_.has_value()) fmt::print(stderr, "ixcap: {}\n", failure_->what());
  const InjectionCounts counts = injector_.counts();
  summarize(counts);
  return failure_.has_value() || counts.not_sent() != 0 ? 1 : 0;
}

void Send::replay() {
  std::optional<Error> failure;
  try {
    replay_.run();
    if (stamps_.has_value()) stamps_->close();
  } catch (const Error& error) {
    failure = error;
  }
  const std::scoped_lock lock(mutex_);
  failure_ = failure;
  over_ = true;
  over_changed_.notify_one();
}

void Send::look_around() {
  if (finish_requested()) replay_.stop();
  if (progress_.due()) progress_.show(replay_.progress());
  if (take_statistics_request()) {
    progress_.clear();
    fmt::print(stderr, "ixcap: {} packets given to the card\n", replay_.progress());
  }
}

void Send::summarize(const InjectionCounts& counts) {
  const auto plural = [](std::uint64_t count) { return count == 1 ? "" : "s"; };
  fmt::print(stderr, "{} packet{} sent\n", counts.on_wire, plural(counts.on_wire));
  fmt::print(stderr, "{} packet{} not sent\n", counts.not_sent(), plural(counts.not_sent()));
  print_reasons(counts);
  if (counts.queue.padded != 0 && options_.verbose) {
    fmt::print(stderr, "{} packet{} padded with zeros to {} bytes\n", counts.queue.padded,
               counts.queue.padded == 1 ? " was" : "s were", ixgbe::TxQueue::shortest_on_wire);
  }
  if (counts.queue.zero_filled != 0) {
    fmt::print(stderr, "{} frame{} truncated in {} file: the missing bytes are zeros\n", counts.queue.zero_filled,
               counts.queue.zero_filled == 1 ? " was" : "s were", counts.queue.zero_filled == 1 ? "its" : "their");
  }
  if (stamps_.has_value()) print_stamps();
  if (!options_.quiet) print_pace(counts);
}

void Send::print_stamps() {
  const capture::TransmitStampCounts counts = injector_.stamp_counts();
  fmt::print(stderr, "{} PTP message{} stamped by the card, written to {}; its clock is known to {:.3f} us\n",
             counts.stamped, counts.stamped == 1 ? "" : "s", options_.stamps, counts.clock_error_ns / 1000);
  if (counts.not_asked != 0)
    fmt::print(stderr, "{:>10}  not stamped: the card was still at the one before\n", counts.not_asked);
  if (counts.unanswered != 0) fmt::print(stderr, "{:>10}  not stamped: the card made no stamp\n", counts.unanswered);
}

void Send::print_reasons(const InjectionCounts& counts) const {
  const auto reason = [](std::uint64_t count, const std::string& why) {
    if (count != 0) fmt::print(stderr, "{:>10}  {}\n", count, why);
  };
  reason(counts.queue.too_long, fmt::format("longer than {} bytes, the most that the card sends", longest_frame));
  reason(counts.queue.too_short,
         fmt::format("shorter than {} bytes, an Ethernet header", ixgbe::TxQueue::shortest_frame));
  reason(counts.lost_in_reset, fmt::format("lost because the transmit queue hung and was reset, {} time{}",
                                           counts.resets, counts.resets == 1 ? "" : "s"));
  reason(counts.unsent(), "taken by the card, which did not send them: it had no link, or is gone");
  reason(counts.in_flight, "still with the card at the end");
}

void Send::print_pace(const InjectionCounts& counts) const {
  const ReplayReport& report = replay_.report();
  if (counts.on_wire < 2 || report.duration_ns == 0) return;
  // From the first to the last there is a gap less than there are packets.
  const auto packets = static_cast<double>(counts.on_wire - 1);
  const auto seconds = static_cast<double>(report.duration_ns) / 1e9;
  constexpr std::uint64_t bytes_between_frames = 24;  // FCS 4, preamble 8, gap 12
  const auto bits = static_cast<double>((counts.on_wire_bytes + bytes_between_frames * counts.on_wire) * 8);
  fmt::print(stderr, "in {}: {}, {} on the wire\n", seconds_text(report.duration_ns),
             rate_text(packets / seconds, "pps"),
             rate_text(bits * packets / static_cast<double>(counts.on_wire) / seconds, "bit/s"));
  if (pace_.as_fast_as_possible()) return;
  fmt::print(stderr, "asked for {}; late by {:.1f} us on average, {:.1f} us for 99 % and {:.1f} us at worst\n",
             seconds_text(report.scheduled_ns), report.pacing.mean_ns() / 1e3,
             static_cast<double>(report.pacing.percentile_99_ns()) / 1e3,
             static_cast<double>(report.pacing.worst_ns()) / 1e3);
  if (report.slips != 0) {
    fmt::print(stderr, "fell behind {} time{}, by {} in all: the rest was sent so much later\n", report.slips,
               report.slips == 1 ? "" : "s", seconds_text(report.slipped_ns));
  }
  if (report.out_of_order != 0) {
    fmt::print(stderr, "{} packet{} an earlier time than one before: sent at once\n", report.out_of_order,
               report.out_of_order == 1 ? " has" : "s have");
  }
}

}  // namespace

void add_send_command(CLI::App& application, int& status) {
  CLI::App* command = application.add_subcommand("send", "Send the packets of a capture file");
  auto options = std::make_shared<SendOptions>();
  command->add_option("-i,--interface", options->interface,
                      "emulator or vfio-user:SOCKET; 'ixcap devices' lists what there is");
  command->add_option("FILE", options->file, "pcap or pcapng file, - for standard input; or mix, generated packets");
  CLI::Option* const speed =
      command
          ->add_option("--speed", options->speed, "So many times as fast as the packets were recorded; 1 if not given")
          ->check(CLI::Range(1e-6, 1e6));
  command->add_option("--rate", options->rate, "10G, 500M: bits a second on the wire; 1Mpps, 10pps: packets; or max")
      ->excludes(speed);
  command->add_option("--loop", options->loop, "Send the file so many times; 0: without end");
  command->add_option("-c,--count", options->count, "Stop after this many packets")->check(CLI::PositiveNumber);
  command->add_option("--descriptors", options->descriptors, "Transmit descriptors, a power of two from 64 to 8192")
      ->capture_default_str();
  command->add_option("--stamps", options->stamps,
                      "Have the card stamp PTP event messages as it sends them, and write these to a pcapng file");
  command->add_flag("-q", options->quiet, "Print only what was sent and what was not");
  command->add_flag("-v", options->verbose, "Tell of short packets that were padded, too");
  command->callback([options, &status] {
    watch_signals();
    status = Send(*options).run();
  });
}

}  // namespace ixcap::tools
