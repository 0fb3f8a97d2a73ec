/// What flow sets cost: nanoseconds a lookup beside those of a cache miss, updates a second beside a reader, and how
/// long it takes to make a host list and to swap filters.
///
///   Miss/dependent/...    random loads over a table as large as the set's, each address from the load before
///   Miss/independent/...  the same, all addresses known in advance
///   Lookup/<what>/...     64 keys a call, in random order
///   Single/<what>/...     one key a call, the next one computed from the answer
///   Update/...            insert and erase at random while another thread looks up
///   HostList/...          list to Set
///   LiveSet/...           a batch through a Reader, and one filter replaced
///
/// The last part of a name is the number of entries, which is the capacity; `tags` in it are the 64-byte lines that an
/// absent key reads, `keys` those and the ones that a present key reads. Lookups say how long they take (`ns`,
/// processor time) and how much that is of a dependent and of an independent load over the lines they read from.

#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/flow_set.hpp>
#include <ixcap/filter/host_list.hpp>
#include <ixcap/filter/live_set.hpp>

namespace ixcap::bench {
namespace {

using namespace filter;

/// Processor time of the calling thread, so that other work on the machine counts only by what it takes of the caches.
struct Clock {
  using Duration = std::chrono::nanoseconds;
  static Duration now() {
    timespec time = {};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
  }
};

constexpr std::array<std::uint32_t, 3> sizes = {1u << 10, 1u << 16, 1u << 20};

/// Nanoseconds, by name: what the later benchmarks compare themselves with.
std::map<std::string, double> measured;

Flow flow(std::uint32_t number) {
  return {6, Address::ipv4(0x0a000000 + number), static_cast<std::uint16_t>(number), Address::ipv4(0xc0a80001), 443};
}

std::vector<std::uint32_t> shuffled(std::uint32_t first, std::uint32_t count) {
  std::vector<std::uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), first);
  std::ranges::shuffle(numbers, std::mt19937(1));
  return numbers;
}

/// One set a size, full.
FlowSet& full_set(std::uint32_t size) {
  static std::map<std::uint32_t, std::unique_ptr<FlowSet>> sets;
  std::unique_ptr<FlowSet>& set = sets[size];
  if (!set) {
    set = std::make_unique<FlowSet>("bench", FlowKind::flows, size);
    for (std::uint32_t i = 0; i < size; ++i) set->insert(flow(i));
  }
  return *set;
}

struct alignas(64) Line {
  std::uint64_t next = 0;
};

/// The lines of a set of IPv4 flows: one for 16 entries for the tags, six for the keys.
std::uint32_t lines_of(std::uint32_t size, bool keys) {
  return size / 16 * (keys ? 7 : 1);
}

/// Memory as the set has it, with huge pages where there are any, in one random circle.
struct Circle {
  explicit Circle(std::uint32_t count)
      : memory(count * sizeof(Line)), lines(static_cast<Line*>(memory.data())), order(shuffled(0, count)) {
    for (std::uint32_t i = 0; i < count; ++i) lines[order[i]].next = order[(i + 1) % count];
  }
  PageMemory memory;
  Line* lines;
  std::vector<std::uint32_t> order;
};

void report(benchmark::State& state, std::uint64_t count, Clock::Duration time, const std::string& name,
            const std::string& compared_with = "") {
  const double nanoseconds = static_cast<double>(time.count()) / static_cast<double>(count);
  measured[name] = nanoseconds;
  state.counters["ns"] = nanoseconds;
  if (compared_with.empty()) return;
  state.counters["of_dependent"] = nanoseconds / measured["dependent/" + compared_with];
  state.counters["of_independent"] = nanoseconds / measured["independent/" + compared_with];
}

void dependent(benchmark::State& state, const std::string& name, std::uint32_t lines) {
  const Circle circle(lines);
  std::uint64_t at = 0;
  std::uint64_t count = 0;
  const auto start = Clock::now();
  for (auto _ : state) {
    for (int i = 0; i < 4096; ++i) at = circle.lines[at].next;
    benchmark::DoNotOptimize(at);
    count += 4096;
  }
  report(state, count, Clock::now() - start, name);
}

void independent(benchmark::State& state, const std::string& name, std::uint32_t lines) {
  const Circle circle(lines);
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  const auto start = Clock::now();
  for (auto _ : state) {
    for (const std::uint32_t at : circle.order) sum += circle.lines[at].next;
    benchmark::DoNotOptimize(sum);
    count += lines;
  }
  report(state, count, Clock::now() - start, name);
}

void lookup(benchmark::State& state, std::uint32_t size, bool present) {
  const FlowSet& set = full_set(size);
  const std::vector<std::uint32_t> numbers = shuffled(present ? 0 : size, size);
  std::vector<FrameKey> keys(size);
  std::ranges::transform(numbers, keys.begin(), [](std::uint32_t i) { return FrameKey{true, true, true, flow(i)}; });
  std::uint64_t found = 0;
  std::uint64_t count = 0;
  Clock::Duration time{};
  for (auto _ : state) {
    const auto start = Clock::now();
    for (std::size_t i = 0; i < keys.size(); i += batch_size) {
      found ^= set.match(std::span(keys).subspan(i, batch_size), ~std::uint64_t{0}, FlowSide::either);
    }
    benchmark::DoNotOptimize(found);
    time += Clock::now() - start;
    count += size;
  }
  report(state, count, time, "lookup", std::string(present ? "keys/" : "tags/") + std::to_string(size));
}

void single(benchmark::State& state, std::uint32_t size, bool present) {
  const FlowSet& set = full_set(size);
  std::uint64_t count = 0;
  std::uint32_t number = 0;
  const auto start = Clock::now();
  for (auto _ : state) {
    for (int i = 0; i < 4096; ++i) {
      // The next key depends on the answer, so that lookups do not overlap.
      number =
          number * 1664525 + 1013904223 + (set.contains(flow((present ? 0 : size) + (number >> 8) % size)) ? 1 : 0);
    }
    benchmark::DoNotOptimize(number);
    count += 4096;
  }
  report(state, count, Clock::now() - start, "single", std::string(present ? "keys/" : "tags/") + std::to_string(size));
}

void update(benchmark::State& state, std::uint32_t size, bool with_reader) {
  FlowSet set("bench", FlowKind::flows, size);
  for (std::uint32_t i = 0; i < size; i += 2) set.insert(flow(i));
  std::atomic<bool> finished = false;
  std::atomic<std::uint64_t> looked_up = 0;
  std::jthread reader;
  if (with_reader) {
    reader = std::jthread([&] {
      const std::vector<std::uint32_t> numbers = shuffled(0, size);
      std::vector<FrameKey> keys(size);
      std::ranges::transform(numbers, keys.begin(), [](std::uint32_t i) {
        return FrameKey{true, true, true, flow(i)};
      });
      for (std::size_t i = 0; !finished; i = (i + batch_size) % size) {
        std::uint64_t found = set.match(std::span(keys).subspan(i, batch_size), ~std::uint64_t{0}, FlowSide::either);
        benchmark::DoNotOptimize(found);
        looked_up.fetch_add(batch_size, std::memory_order_relaxed);
      }
    });
    while (looked_up == 0) std::this_thread::yield();
  }
  const std::vector<std::uint32_t> numbers = shuffled(0, size);
  std::uint64_t count = 0;
  std::size_t at = 0;
  const std::uint64_t before = looked_up;
  const auto start = Clock::now();
  for (auto _ : state) {
    for (int i = 0; i < 1024; ++i, at = (at + 1) % size) {
      const Flow changing = flow(numbers[at]);
      if (!set.erase(changing)) {
        set.insert(changing);
        ++count;
      }
      ++count;
    }
  }
  const std::uint64_t after = looked_up;
  finished = true;
  using benchmark::Counter;
  state.counters["updates/s"] = Counter(static_cast<double>(count), Counter::kIsRate);
  state.counters["ns"] = static_cast<double>((Clock::now() - start).count()) / static_cast<double>(count);
  state.counters["lookups/s"] = Counter(static_cast<double>(after - before), Counter::kIsRate);
}

void make_host_list(benchmark::State& state, std::uint32_t hosts) {
  std::vector<Address> list;
  for (std::uint32_t i = 0; i < hosts; ++i) {
    Address address = Address::ipv4(0x0a000000 + i);
    if (i % 2 != 0) address.family = Family::ipv6;
    list.push_back(address);
  }
  for (auto _ : state) {
    const Filter filters[] = {host_list(list)};
    Set set{std::span(filters)};
    benchmark::DoNotOptimize(set);
  }
}

void live_match(benchmark::State& state, bool live) {
  const Filter filters[] = {{Program::returning(1)}};
  const Set set{std::span(filters)};
  LiveSet live_set({filters[0]});
  LiveSet::Reader reader = live_set.reader();
  const std::vector<Frame> frames(batch_size, Frame{nullptr, 0, 0});
  std::array<std::uint64_t, batch_size> match_sets;
  for (auto _ : state) {
    live ? reader.match(frames, match_sets) : set.match(frames, match_sets);
    benchmark::DoNotOptimize(match_sets);
  }
}

void live_replace(benchmark::State& state) {
  const Filter filter = {compile("tcp port 80")};
  LiveSet filters({filter});
  std::jthread reading([&](const std::stop_token& stop) {
    LiveSet::Reader reader = filters.reader();
    const std::vector<Frame> frames(batch_size, Frame{nullptr, 0, 0});
    std::array<std::uint64_t, batch_size> match_sets;
    while (!stop.stop_requested()) reader.match(frames, match_sets);
  });
  for (auto _ : state) filters.replace(0, filter);
}

template <typename Run>
benchmark::internal::Benchmark* add(const std::string& name, Run run) {
  return benchmark::RegisterBenchmark(name.c_str(), run)->UseRealTime();
}

void register_all() {
  for (const std::uint32_t size : sizes) {
    const std::string suffix = std::to_string(size);
    for (const bool keys : {false, true}) {
      const std::string table = (keys ? "keys/" : "tags/") + suffix;
      const std::uint32_t lines = lines_of(size, keys);
      add("Miss/dependent/" + table, [=](auto& state) { dependent(state, "dependent/" + table, lines); });
      add("Miss/independent/" + table, [=](auto& state) { independent(state, "independent/" + table, lines); });
    }
    for (const bool present : {false, true}) {
      const std::string what = present ? "hit/" : "miss/";
      add("Lookup/" + what + suffix, [=](auto& state) { lookup(state, size, present); });
      add("Single/" + what + suffix, [=](auto& state) { single(state, size, present); });
    }
    add("Update/alone/" + suffix, [=](auto& state) { update(state, size, false); });
    add("Update/reader/" + suffix, [=](auto& state) { update(state, size, true); });
  }
  for (const std::uint32_t hosts : {10u, 1000u, 100'000u}) {
    add("HostList/" + std::to_string(hosts), [=](auto& state) {
      make_host_list(state, hosts);
    })->Unit(benchmark::kMicrosecond);
  }
  add("LiveSet/match/set", [](auto& state) { live_match(state, false); });
  add("LiveSet/match/live", [](auto& state) { live_match(state, true); });
  add("LiveSet/replace", [](auto& state) { live_replace(state); })->Unit(benchmark::kMicrosecond);
}

}  // namespace
}  // namespace ixcap::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  ixcap::bench::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
