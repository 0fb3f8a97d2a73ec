/// `ixcap stats`: counts by filter, interval by interval, and delivers no packet to anybody.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ixcap/capture/session.hpp>
#include <ixcap/driver/error.hpp>

#include "tools/card.hpp"
#include "tools/command.hpp"
#include "tools/json.hpp"
#include "tools/signals.hpp"

namespace ixcap::tools {
namespace {

using capture::FilterCount;
using capture::RingState;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

struct StatsOptions {
  std::string interface;
  double interval_s = 1;
  std::uint64_t count = 0;  // 0: no limit
  std::uint32_t queues = 1;
  bool vlan_aware = false;
  bool json = false;
  bool quiet = false;
  std::vector<std::string> expressions;
};

capture::SessionOptions session_options(const StatsOptions& options) {
  if (options.interface.empty())
    throw Error("cannot count", "", "no interface was given", "add -i INTERFACE, for instance -i emulator:mix");
  return {.interface = options.interface,
          .expression = options.expressions.empty() ? "" : options.expressions.front(),
          .vlan_aware = options.vlan_aware,
          .queues = options.queues,
          .count_only = true};
}

/// What came between two looks at a filter's counts.
FilterCount minus(FilterCount later, const FilterCount& earlier) {
  later.packets -= earlier.packets;
  later.bytes -= earlier.bytes;
  return later;
}

std::string json_of(const FilterCount& count) {
  return fmt::format(R"({{"filter":{},"expression":{},"packets":{},"bytes":{}}})", count.bit,
                     json_string(count.expression), count.packets, count.bytes);
}

/// One run of `ixcap stats`.
class Stats {
 public:
  explicit Stats(const StatsOptions& options) : options_(options), session_(session_options(options)) {
    for (std::size_t i = 1; i < options.expressions.size(); ++i) session_.filters().add(options.expressions[i]);
    before_ = session_.counts();
  }

  /// Counts until the interface ends, so many intervals are over or a signal comes. Answers the exit status.
  int run();

 private:
  static constexpr std::chrono::milliseconds look_around_interval{50};

  bool wait_until(Clock::time_point due);
  void tell_events();
  void print_interval();
  void print_counts(const std::string& label, Seconds time, const std::vector<FilterCount>& counts) const;
  void print_total();
  void summarize() const;

  const StatsOptions& options_;
  capture::Session session_;
  std::vector<FilterCount> before_;  ///< as they were at the last line
  Clock::time_point start_;
  Clock::time_point last_;  ///< when that was
};

int Stats::run() {
  if (!options_.quiet) fmt::print(stderr, "ixcap: counting on {}, nothing is captured\n", session_.interface().name());
  if (!options_.json) {
    fmt::print("{:>9} {:>15} {:>18} {:>13} {:>9}  {}\n", "seconds", "packets", "bytes", "packets/s", "Gbit/s",
               "filter");
  }
  session_.start();
  start_ = last_ = Clock::now();
  bool goes_on = true;
  for (std::uint64_t interval = 1; goes_on; ++interval) {
    const auto due = start_ + std::chrono::duration_cast<Clock::duration>(
                                  Seconds(options_.interval_s * static_cast<double>(interval)));
    goes_on = wait_until(due) && interval != options_.count;
    // The last interval has what the card had received by its end, so that the intervals add up to the total.
    if (!goes_on) session_.stop();
    print_interval();
  }
  print_total();
  const std::optional<Error> failure = session_.failure();
  if (failure.has_value()) fmt::print(stderr, "ixcap: {}\n", failure->what());
  summarize();
  return failure.has_value() ? 1 : 0;
}

/// False: it is time to stop.
bool Stats::wait_until(Clock::time_point due) {
  while (!finish_requested()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now());
    if (left.count() <= 0) return true;
    session_.reader().wait(std::min(left, look_around_interval));
    session_.reader().next();  // there is never one, but maybe the end
    tell_events();
    if (session_.reader().state() != RingState::open) return false;
  }
  return false;
}

/// But for the end, which is told as its error.
void Stats::tell_events() {
  for (const capture::SessionEvent& event : session_.take_events()) {
    const bool told = event.kind != capture::SessionEvent::Kind::failed && !options_.quiet;
    if (told) fmt::print(stderr, "ixcap: {}\n", event.sentence);
  }
}

void Stats::print_interval() {
  const Clock::time_point now = Clock::now();
  const std::vector<FilterCount> counts = session_.counts();
  std::vector<FilterCount> grown;
  for (std::size_t i = 0; i < counts.size(); ++i) grown.push_back(minus(counts[i], before_[i]));
  const Seconds since_start = now - start_;
  if (options_.json) {
    std::vector<std::string> filters;
    for (const FilterCount& count : grown) filters.push_back(json_of(count));
    fmt::print(R"({{"seconds":{:.6f},"interval":{:.6f},"filters":[{}]}})"
               "\n",
               since_start.count(), Seconds(now - last_).count(), fmt::join(filters, ","));
  } else {
    print_counts(fmt::format("{:.3f}", since_start.count()), now - last_, grown);
  }
  std::fflush(stdout);
  before_ = counts;
  last_ = now;
}

/// A line a filter; rates over `time`.
void Stats::print_counts(const std::string& label, Seconds time, const std::vector<FilterCount>& counts) const {
  const double seconds = std::max(time.count(), 1e-9);
  for (const FilterCount& count : counts) {
    fmt::print("{:>9} {:>15} {:>18} {:>13.0f} {:>9.3f}  {}\n", label, count.packets, count.bytes,
               static_cast<double>(count.packets) / seconds, static_cast<double>(count.bytes) * 8e-9 / seconds,
               count.expression.empty() ? "every packet" : count.expression);
  }
}

void Stats::print_total() {
  const Seconds time = last_ - start_;
  if (!options_.json) {
    print_counts("total", time, before_);
    return;
  }
  const capture::DropLedger ledger = session_.ledger();
  std::vector<std::string> filters;
  for (const FilterCount& count : before_) filters.push_back(json_of(count));
  fmt::print(R"({{"total":true,"seconds":{:.6f},"on_wire":{},"dropped":{},"filters":[{}]}})"
             "\n",
             time.count(), ledger.on_wire ? fmt::format("{}", *ledger.on_wire) : "null", ledger.lost(),
             fmt::join(filters, ","));
}

/// The ledger, if there is something to explain.
void Stats::summarize() const {
  const capture::DropLedger ledger = session_.ledger();
  if (ledger.lost() != 0 || ledger.rejected_by_mac != 0u || !ledger.balanced())
    fmt::print(stderr, "\n{}", ledger.to_string());
}

}  // namespace

void add_stats_command(CLI::App& application, int& status) {
  CLI::App* command = application.add_subcommand("stats", "Count packets and bytes by filter, and capture nothing");
  auto options = std::make_shared<StatsOptions>();
  command->add_option("-i,--interface", options->interface,
                      "emulator[:TRAFFIC] or vfio-user:SOCKET; 'ixcap devices' lists what there is");
  command->add_option("--interval", options->interval_s, "Seconds that a line counts")
      ->check(CLI::Range(0.01, 86'400.0))
      ->capture_default_str();
  command->add_option("-c,--count", options->count, "Stop after this many intervals")->check(CLI::PositiveNumber);
  command->add_option("--queues", options->queues, "Receive queues, each with a thread; flows are spread over them")
      ->check(CLI::Range(1u, ixgbe::most_queues))
      ->capture_default_str();
  command->add_flag("--vlan-aware", options->vlan_aware, "The expressions look behind VLAN tags, at most two");
  command->add_flag("--json", options->json, "Print JSON, an object a line");
  command->add_flag("-q", options->quiet, "No word about the interface");
  command->add_option("EXPRESSION", options->expressions,
                      "pcap-filter(7) expressions, each one word to the shell; none counts every packet");
  command->callback([options, &status] {
    watch_signals();
    require_bound(options->interface);
    status = Stats(*options).run();
  });
}

}  // namespace ixcap::tools
