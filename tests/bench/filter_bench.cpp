/// What filtering costs, in nanoseconds a frame: ixcap's engines, libpcap's bpf_filter, DPDK's JIT, and the floor,
/// which is reading one word of every frame. docs/benchmarks.md says how to read the output.
///
/// First every contender has to give bpf_filter's answer for every frame of every set (exit status 1 if one does not);
/// then they are measured in turns. With --callgrind it measures nothing, and runs everything once, in functions
/// of which tests/bench/instructions counts the instructions.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <ixcap/filter/engines.hpp>

#include "tests/bench/bench_filters.hpp"
#include "tests/bench/contenders.hpp"
#include "tests/bench/dpdk.hpp"
#include "tests/bench/frame_sets.hpp"
#include "tests/bench/measurement.hpp"
#include "tests/bench/verdict.hpp"

namespace ixcap::bench {
namespace {

struct Options {
  std::vector<std::string> sets;  // these three: empty = all
  std::vector<std::string> filters;
  std::vector<std::string> engines;
  double seconds = 1;
  std::uint64_t seed = 1;
  bool callgrind = false;
};

bool chosen(const std::vector<std::string>& names, std::string_view name) {
  return names.empty() || std::ranges::find(names, name) != names.end();
}

std::vector<std::string> chosen_engines(const Options& options) {
  std::vector<std::string> names;
  for (const std::string_view name : contender_names()) {
    if (chosen(options.engines, name)) names.emplace_back(name);
  }
  return names;
}

std::vector<BenchFilter> chosen_filters(const Options& options) {
  std::vector<BenchFilter> filters;
  for (const BenchFilter& each : make_bench_filters(options.seed)) {
    if (chosen(options.filters, each.name)) filters.push_back(each);
  }
  return filters;
}

std::vector<FrameSet> chosen_sets(const Options& options) {
  std::vector<FrameSet> sets;
  for (const FrameSetShape& shape : frame_set_shapes()) {
    if (chosen(options.sets, shape.name)) sets.push_back(make_frame_set(shape, options.seed));
  }
  return sets;
}

void print_head(const Options& options, std::span<const FrameSet> sets, std::span<const BenchFilter> filters) {
  constexpr double mebibyte = 1024 * 1024;
  fmt::print("traffic: mix, seed {}; {:.0f} MiB on huge pages\n", options.seed,
             static_cast<double>(bytes_on_huge_pages()) / mebibyte);
  for (const FrameSet& set : sets) {
    std::size_t bytes = 0;
    for (const Frame& frame : set.frames) bytes += frame.captured_length;
    fmt::print("  {:<16} {:7} frames, {:6.2f} MiB captured\n", set.shape.name, set.frames.size(),
               static_cast<double>(bytes) / mebibyte);
  }
  fmt::print("filters:\n");
  for (const BenchFilter& each : filters) {
    fmt::print("  {:<12} {:3} instructions  {}\n", each.name, each.program.instructions().size(), each.expression);
  }
  fmt::print("DPDK: {}\n", about_dpdk());
  fmt::print("figures: each contender's fastest round; in each round all of them have their turn, for {} s in all\n",
             options.seconds);
}

/// Throws Error unless all agree. The rows come without figures.
std::vector<Result> check_all(std::span<const FrameSet> sets, std::span<const BenchFilter> filters,
                              std::span<const std::string> engines) {
  std::vector<Result> results;
  for (const FrameSet& set : sets) {
    Result& result = results.emplace_back(Result{std::string(set.shape.name), {}});
    for (const BenchFilter& each : filters) {
      Row& row = result.rows.emplace_back(Row{each.name, 0, {}});
      for (const std::string& engine : engines) {
        row.matches = check_matches(set, each.program, *make_contender(engine, each.program), each.name, engine);
      }
    }
  }
  fmt::print("checked: {} agree with bpf_filter on every frame of every set\n", fmt::join(engines, ", "));
  return results;
}

void measure_row(const FrameSet& set, const BenchFilter& filter, std::span<const std::string> engines,
                 std::size_t distance, double seconds, Row& row) {
  std::vector<std::unique_ptr<const filter::Engine>> owned;
  std::vector<Contender> contenders{word_reader(distance)};
  const auto add = [&](const std::string& name, std::unique_ptr<const filter::Engine> engine) {
    contenders.push_back(in_batches(name, *engine));
    owned.push_back(std::move(engine));
  };
  add("loop", make_null_loop());
  for (const std::string& name : engines) add(name, make_contender(name, filter.program));
  const std::vector<double> times = measure(set, contenders, seconds);
  for (std::size_t i = 0; i < contenders.size(); ++i) row.ns[contenders[i].name] = times[i];
}

/// How long it takes from a program to its engine.
void measure_compilation(const BenchFilter& filter, std::span<const std::string> engines) {
  constexpr int times = 100;
  constexpr double aim_us = 1000;
  for (const std::string& name : engines) {
    if (name == "libpcap") continue;  // runs programs as they are
    std::vector<double> us;
    for (int i = 0; i < times; ++i) {
      const auto start = std::chrono::steady_clock::now();
      const auto engine = make_contender(name, filter.program);
      us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    }
    std::ranges::sort(us);
    const char* const verdict = name == "dpdk" ? "" : us[times / 2] < aim_us ? "  reached: < 1 ms" : "  MISSED: < 1 ms";
    fmt::print("{:<12}{:10.1f} us{:10.1f} us{}\n", name, us.front(), us[times / 2], verdict);
  }
}

void run(const Options& options) {
  const std::vector<std::string> engines = chosen_engines(options);
  const std::vector<BenchFilter> filters = chosen_filters(options);
  const std::vector<FrameSet> sets = chosen_sets(options);
  print_head(options, sets, filters);
  std::vector<Result> results = check_all(sets, filters, engines);

  std::vector<std::string> columns{"floor", "loop"};
  columns.insert(columns.end(), engines.begin(), engines.end());
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const std::size_t distance = best_distance(sets[i]);
    fmt::print("\n== {} (floor: one word of each frame, {} frames ahead)\n", sets[i].shape.name, distance);
    std::fflush(stdout);
    for (std::size_t j = 0; j < filters.size(); ++j) {
      measure_row(sets[i], filters[j], engines, distance, options.seconds, results[i].rows[j]);
    }
    fmt::print("{}", table_of(results[i], columns));
  }
  for (const BenchFilter& each : filters) {
    if (each.name != "32hosts") continue;
    fmt::print("\n== time to make an engine of 32hosts: fastest and median\n");
    measure_compilation(each, engines);
  }
  const auto engine_if = [&](bool wanted, std::string_view name) {
    return wanted && std::ranges::find(engines, name) != engines.end() ? std::string(name) : std::string();
  };
  const filter::EngineKind fastest = filter::available_engines().back();
  fmt::print("\n== aims (geometric means over the real filters measured)\n{}",
             verdict_of(results, engine_if(fastest >= filter::EngineKind::avx2, name_of(fastest)),
                        engine_if(true, name_of(filter::EngineKind::scalar))));
}

// Two functions for callgrind: it counts inside the first, and writes down the count when the second is entered.
[[gnu::noinline]] void counted_pass(const filter::Engine& engine, const FrameSet& set) {
  in_batches("", engine).pass(set.frames);
  asm volatile("");  // after the call, so that it is no jump out of this function
}

[[gnu::noinline]] void end_of_count() {
  asm volatile("");
}

/// Counts every contender and then its empty loop, and prints a line for each pair.
void run_under_callgrind(const Options& options) {
  for (const FrameSet& set : chosen_sets(options)) {
    for (const std::string& engine : chosen_engines(options)) {
      for (const BenchFilter& each : chosen_filters(options)) {
        counted_pass(*make_contender(engine, each.program), set);
        end_of_count();
        counted_pass(*make_empty_contender(engine), set);
        end_of_count();
        fmt::print("{} {} {} {}\n", set.shape.name, engine, each.name, set.frames.size());
      }
    }
  }
}

/// Fails for names that are not among `names`.
template <typename Names, typename Projection>
CLI::Validator one_of(const Names& names, Projection projection) {
  std::vector<std::string> words;
  for (const auto& name : names) words.emplace_back(projection(name));
  return CLI::IsMember(words);
}

int run_command(int argc, char** argv) {
  Options options;
  const auto sets = one_of(frame_set_shapes(), [](const FrameSetShape& shape) { return shape.name; });
  const auto filters = one_of(make_bench_filters(options.seed), [](const BenchFilter& filter) { return filter.name; });
  const auto engines = one_of(contender_names(), [](std::string_view name) { return name; });
  CLI::App application("What filtering costs: ixcap's engines, libpcap and DPDK on the same frames.", "filter_bench");
  application.add_option("--set", options.sets, "Measure this set only (may be repeated)")->check(sets);
  application.add_option("--filter", options.filters, "Measure this filter only (may be repeated)")->check(filters);
  application.add_option("--engine", options.engines, "Measure this engine only (may be repeated)")->check(engines);
  application.add_option("--seconds", options.seconds, "How long to measure each filter on each set")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  application.add_option("--seed", options.seed, "Seed of the traffic")->capture_default_str();
  application.add_flag("--callgrind", options.callgrind, "Measure nothing; tests/bench/instructions counts this run");
  CLI11_PARSE(application, argc, argv);
  if (options.callgrind) {
    run_under_callgrind(options);
  } else {
    run(options);
  }
  return 0;
}

}  // namespace
}  // namespace ixcap::bench

int main(int argc, char** argv) {
  try {
    return ixcap::bench::run_command(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "filter_bench: {}\n", error.what());
    return 1;
  }
}
