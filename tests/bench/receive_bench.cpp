/// What receiving costs: frames a second and nanoseconds a frame.
///
///   Driver/...    the driver alone: poll and release over a ring that was completed in advance, touching the first
///                 line of every frame, as a filter would; one for each vector level that the CPU has
///   Filter/...    driver and filter over a ring that was completed in advance, with other frames for every turn
///   Wait/...      a receive loop in each poll mode at 1,000 frames a second: the part of a core that it takes, and the
///                 time from the frame's write-back to its record in the ring
///   Receive/...   software NIC on one thread; driver, filter and nothing else on another
///   Capture/...   the whole capture up to a reader of the ring, in this process
///
/// Names read Receive/<frame bytes with FCS>/<filter>. Use --benchmark_filter to choose.

#include <benchmark/benchmark.h>
#include <immintrin.h>
#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ixcap/capture/session.hpp>
#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/set.hpp>

#include "tests/driver/raw_device.hpp"

namespace ixcap::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array frame_sizes{64u, 594u, 1518u};

/// Frames a measurement of a threaded benchmark receives: long enough for both threads to run undisturbed for a while.
constexpr std::uint64_t frames_a_round = 2'000'000;

filter::Set filter_set(const std::string& expression) {
  if (expression == "off") return {};
  const filter::Program programs[] = {filter::compile(expression)};
  return filter::Set(programs);
}

void report(benchmark::State& state, std::uint64_t frames) {
  const auto count = static_cast<double>(frames);
  state.counters["frames/s"] = benchmark::Counter(count, benchmark::Counter::kIsRate);
  state.counters["time/frame"] = benchmark::Counter(count, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// Nanoseconds a frame of the middle round: what other programs do on this machine disturbs few rounds, but those much.
void report_median(benchmark::State& state, std::vector<double>& rounds_ns, std::uint32_t frames) {
  const auto middle = rounds_ns.begin() + static_cast<std::ptrdiff_t>(rounds_ns.size() / 2);
  std::ranges::nth_element(rounds_ns, middle);
  state.counters["median_ns/frame"] = *middle / frames;
  state.counters["fastest_ns/frame"] = *std::ranges::min_element(rounds_ns) / frames;
}

void driver_alone(benchmark::State& state, std::uint32_t descriptors, std::uint32_t frame_size,
                  ixgbe::VectorLevel level) {
  test::RawDevice device;
  ixgbe::RxQueue queue(device, 0, descriptors, {.vectors = level});
  std::array<Frame, batch_size> frames;
  std::vector<double> rounds_ns;
  std::uint64_t sum = 0;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < descriptors; ++i) {
      device.ring[i].write_back(0, ixgbe::ReceiveStatus::of(frame_size - fcs_bytes, true));
    }
    const auto start = Clock::now();
    // One descriptor less than the ring has: those released early in the round stay empty.
    for (std::uint64_t left = descriptors - 1; left > 0;) {
      const std::size_t count = queue.poll(frames);
      for (std::size_t i = 0; i < count; ++i) sum += frames[i].data[12];
      queue.release();
      left -= std::min<std::uint64_t>(left, count);
    }
    const std::chrono::duration<double> taken = Clock::now() - start;
    state.SetIterationTime(taken.count());
    rounds_ns.push_back(taken.count() * 1e9);
  }
  benchmark::DoNotOptimize(sum);
  report_median(state, rounds_ns, descriptors - 1);
  state.counters["page_KiB"] = static_cast<double>(queue.pages().page_bytes()) / 1024;
}

/// Frames that nothing in a CPU can learn by heart: each is drawn from one of many pools.
class UnpredictableTraffic {
 public:
  explicit UnpredictableTraffic(std::uint32_t frame_size) {
    constexpr unsigned pools = 64;
    for (unsigned seed = 1; seed <= pools; ++seed) {
      const std::string spec = "mix?size=" + std::to_string(frame_size) + "&seed=" + std::to_string(seed);
      pools_.push_back(emulator::open_traffic(emulator::parse_traffic(spec)));
    }
  }
  const emulator::WireFrame& next() { return *pools_[random_() % pools_.size()]->next(); }

 private:
  std::vector<std::unique_ptr<emulator::Traffic>> pools_;
  std::mt19937 random_{1};
};

/// Completes the whole ring with the next frames of `traffic`.
void complete_ring(const test::RawDevice& device, const ixgbe::RxQueue& queue, std::uint32_t descriptors,
                   UnpredictableTraffic& traffic) {
  std::uint8_t* const buffers = queue.pages().data() + descriptors * sizeof(ixgbe::ReceiveDescriptor);
  for (std::uint32_t i = 0; i < descriptors; ++i) {
    const emulator::WireFrame& frame = traffic.next();
    std::memcpy(buffers + std::size_t{i} * ixgbe::buffer_stride, frame.bytes, frame.captured_length);
    device.ring[i].write_back(0, ixgbe::ReceiveStatus::of(frame.captured_length, true));
  }
}

void driver_and_filter(benchmark::State& state, std::uint32_t descriptors, std::uint32_t frame_size,
                       const std::string& expression) {
  const filter::Set filters = filter_set(expression);
  UnpredictableTraffic traffic(frame_size);
  test::RawDevice device;
  ixgbe::RxQueue queue(device, 0, descriptors);
  std::array<Frame, batch_size> frames;
  std::array<std::uint64_t, batch_size> match_sets;
  std::vector<double> rounds_ns;
  std::uint64_t received = 0;
  std::uint64_t matched = 0;
  for (auto _ : state) {
    complete_ring(device, queue, descriptors, traffic);
    const auto start = Clock::now();
    for (std::uint64_t left = descriptors - 1; left > 0;) {
      const std::size_t count = queue.poll(frames);
      filters.match({frames.data(), count}, match_sets);
      for (std::size_t i = 0; i < count; ++i) matched += match_sets[i];
      queue.release();
      left -= std::min<std::uint64_t>(left, count);
    }
    const std::chrono::duration<double> taken = Clock::now() - start;
    state.SetIterationTime(taken.count());
    rounds_ns.push_back(taken.count() * 1e9);
    received += descriptors;
  }
  report_median(state, rounds_ns, descriptors - 1);
  state.counters["matched"] = static_cast<double>(matched) / static_cast<double>(received);
}

/// CPU time of another thread.
std::chrono::nanoseconds cpu_time(std::jthread& thread) {
  clockid_t clock;
  timespec used{};
  if (pthread_getcpuclockid(thread.native_handle(), &clock) == 0) clock_gettime(clock, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

void wait_for_frames(benchmark::State& state, capture::PollMode mode) {
  constexpr std::chrono::milliseconds interval{1};
  emulator::Nic nic(emulator::open_traffic(emulator::parse_traffic("mix?size=64")), {}, emulator::Drive::stepped);
  ixgbe::Port port(nic, {.interrupts = mode != capture::PollMode::busy});
  filter::LiveSet filters({{filter::Program::returning(1)}});
  capture::RingMemory memory({.size_bytes = std::size_t{1} << 20, .populate = true});
  capture::RingProducer producer(memory);
  capture::RingReader reader(memory);
  capture::ReceiveLoop loop(port.queue(), filters.reader(), producer, {.poll = mode, .interrupts = port.interrupts()});
  port.start_receiving();
  std::jthread receiving([&loop] { loop.run(); });
  std::vector<double> delays_us;
  const auto start = Clock::now();
  auto due = start;
  for (auto _ : state) {
    due += interval;
    std::this_thread::sleep_until(due);
    nic.advance_time(std::chrono::nanoseconds(interval).count());
    const auto sent = Clock::now();
    nic.step(1);
    while (reader.next() == nullptr) _mm_pause();
    reader.release();
    delays_us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - sent).count());
  }
  const std::chrono::duration<double> whole = Clock::now() - start;
  state.counters["core_%"] = std::chrono::duration<double>(cpu_time(receiving)) / whole * 100;
  std::ranges::sort(delays_us);
  state.counters["median_us"] = delays_us[delays_us.size() / 2];
  state.counters["p90_us"] = delays_us[delays_us.size() * 9 / 10];
  loop.finish();
}

/// Traffic, software NIC and driver by turns in one thread: without the driver's part, what the model costs a frame.
void model(benchmark::State& state, std::uint32_t frame_size) {
  const emulator::TrafficSpec traffic = emulator::parse_traffic("mix?size=" + std::to_string(frame_size));
  emulator::Nic nic(emulator::open_traffic(traffic), {}, emulator::Drive::stepped);
  ixgbe::Port port(nic, {});
  port.start_receiving();
  std::array<Frame, batch_size> frames;
  std::uint64_t received = 0;
  for (auto _ : state) {
    nic.step(batch_size);
    received += port.queue().poll(frames);
    port.queue().release();
  }
  report(state, received);
}

void receive(benchmark::State& state, std::uint32_t frame_size, const std::string& expression) {
  const filter::Set filters = filter_set(expression);
  const emulator::TrafficSpec traffic = emulator::parse_traffic("mix?size=" + std::to_string(frame_size));
  emulator::Nic nic(emulator::open_traffic(traffic), traffic.rate, emulator::Drive::threaded);
  ixgbe::Port port(nic, {});
  port.start_receiving();
  std::array<Frame, batch_size> frames;
  std::array<std::uint64_t, batch_size> match_sets;
  std::uint64_t received = 0;
  std::uint64_t matched = 0;
  for (auto _ : state) {
    for (const std::uint64_t end = received + frames_a_round; received < end;) {
      const std::size_t count = port.queue().poll(frames);
      if (count != 0) filters.match({frames.data(), count}, match_sets);
      for (std::size_t i = 0; i < count; ++i) matched += match_sets[i] != 0 ? 1 : 0;
      port.queue().release();
      received += count;
    }
  }
  state.counters["matched"] = static_cast<double>(matched) / static_cast<double>(received);
  report(state, received);
}

void capture(benchmark::State& state, std::uint32_t frame_size, const std::string& expression) {
  capture::Session session({.interface = "emulator:mix?size=" + std::to_string(frame_size),
                            .expression = expression == "off" ? "" : expression});
  session.start();
  std::uint64_t last = 0;
  std::uint64_t frames = 0;
  for (auto _ : state) {
    do {
      while (session.reader().next() != nullptr) {
      }
      session.reader().release();
      frames = session.statistics().received.polled;
    } while (frames - last < frames_a_round);
    last = frames;
  }
  report(state, frames);
}

void register_all() {
  constexpr int wait_frames = 3000;
  for (const auto& [name, mode] :
       {std::pair{"Wait/busy", capture::PollMode::busy}, std::pair{"Wait/adaptive", capture::PollMode::adaptive},
        std::pair{"Wait/interrupt", capture::PollMode::interrupt}}) {
    benchmark::RegisterBenchmark(name, [mode = mode](benchmark::State& state) { wait_for_frames(state, mode); })
        ->Iterations(wait_frames)
        ->UseRealTime();
  }
  for (const std::uint32_t size : frame_sizes) {
    for (const std::uint32_t descriptors : {512u, 2048u, 4096u}) {
      for (const ixgbe::VectorLevel level : ixgbe::available_vector_levels()) {
        const std::string name = "Driver/" + std::to_string(size) + "/ring:" + std::to_string(descriptors) + "/" +
                                 std::string(name_of(level));
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          driver_alone(state, descriptors, size, level);
        })->UseManualTime();
      }
    }
  }
  for (const std::uint32_t size : frame_sizes) {
    benchmark::RegisterBenchmark(("Model/" + std::to_string(size)).c_str(),
                                 [=](benchmark::State& state) { model(state, size); });
    for (const char* expression : {"off", "ip", "tcp port 80"}) {
      for (const std::uint32_t descriptors : {512u, 2048u, 4096u}) {
        const std::string name =
            "Filter/" + std::to_string(size) + "/ring:" + std::to_string(descriptors) + "/" + expression;
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          driver_and_filter(state, descriptors, size, expression);
        })->UseManualTime();
      }
      const std::string suffix = std::to_string(size) + "/" + expression;
      benchmark::RegisterBenchmark(("Receive/" + suffix).c_str(),
                                   [=](benchmark::State& state) { receive(state, size, expression); })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
      benchmark::RegisterBenchmark(("Capture/" + suffix).c_str(),
                                   [=](benchmark::State& state) { capture(state, size, expression); })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
    }
  }
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
