/// What sending costs: nanoseconds a frame.
///
///   Driver/...   the driver alone: put, commit and reclaim, batches of 64; the "card" reports each batch at once
///   Send/...     driver on one thread, software NIC on another, which takes every frame out of memory again
///
/// Names read Driver/<frame bytes with FCS>/ring:<descriptors>. Use --benchmark_filter to choose.

#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/ixgbe/transmitter.hpp>

#include "tests/driver/raw_device.hpp"

namespace ixcap::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array frame_sizes{64u, 594u, 1518u};
constexpr std::uint64_t frames_a_round = 1'000'000;

void report(benchmark::State& state, std::uint64_t frames) {
  const auto count = static_cast<double>(frames);
  state.counters["frames/s"] = benchmark::Counter(count, benchmark::Counter::kIsRate);
  state.counters["time/frame"] = benchmark::Counter(count, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void driver_alone(benchmark::State& state, std::uint32_t descriptors, std::uint32_t frame_size) {
  test::RawDevice device;
  ixgbe::TxQueue queue(device, 0, descriptors);
  auto* const ring = reinterpret_cast<ixgbe::TransmitDescriptor*>(device.ring);
  const std::vector<std::uint8_t> bytes(frame_size - fcs_bytes, 1);
  const auto length = static_cast<std::uint32_t>(bytes.size());
  const std::vector<Frame> batch(batch_size, Frame{bytes.data(), length, length});
  std::uint64_t sent = 0;
  for (auto _ : state) {
    const auto start = Clock::now();
    for (std::uint32_t i = 0; i < descriptors / batch_size; ++i) {
      sent += queue.send(batch);
      ring[(device.tail - 1) & (descriptors - 1)].report_done(0);
    }
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - start).count());
  }
  report(state, sent);
}

void send(benchmark::State& state, std::uint32_t frame_size) {
  emulator::Nic nic(nullptr, {}, emulator::Drive::threaded);
  ixgbe::Port port(nic, {});
  ixgbe::Transmitter transmitter(nic);
  const std::vector<std::uint8_t> bytes(frame_size - fcs_bytes, 1);
  const auto length = static_cast<std::uint32_t>(bytes.size());
  const std::vector<Frame> batch(batch_size, Frame{bytes.data(), length, length});
  std::uint64_t sent = 0;
  for (auto _ : state) {
    for (const std::uint64_t end = sent + frames_a_round; sent < end;) sent += transmitter.queue().send(batch);
  }
  report(state, sent);
}

void register_all() {
  for (const std::uint32_t size : frame_sizes) {
    for (const std::uint32_t descriptors : {256u, 512u, 2048u}) {
      const std::string name = "Driver/" + std::to_string(size) + "/ring:" + std::to_string(descriptors);
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        driver_alone(state, descriptors, size);
      })->UseManualTime();
    }
    benchmark::RegisterBenchmark(("Send/" + std::to_string(size)).c_str(),
                                 [=](benchmark::State& state) { send(state, size); })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
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
