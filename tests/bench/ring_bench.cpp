/// What the ring costs: records a second of a producer alone, through to readers, and beside queues that people use.
///
///     ring_bench [--seconds N]
///
/// Every line is the best of five rounds of N seconds (default 1). Records carry 64 bytes, or 1518 (with FCS, as people
/// count frames; the bytes are touched by the reader, one a cache line). Queues of others have fixed elements: a
/// record's 32 bytes of header and 64 of frame, copied in and copied out. A queue has one reader; the ring has 1, 2, 4
/// or 8, each reading everything.
///
///     alone       no reader: the cost of writing
///     lossless    the producer waits for its readers
///     lossy       readers copy; what they lose is in the last column
///     wait        a lossless reader that sleeps when there is nothing
///
/// "To write" is processor time of the writing thread a record, with its waiting for room.
///
/// Thread 0 is the producer's processor, readers take turns on the others.

#include <fmt/format.h>
#include <pthread.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/ring.hpp>

#include "tests/bench/queues.hpp"

namespace ixcap::bench {
namespace {

using namespace capture;
using Clock = std::chrono::steady_clock;

constexpr unsigned rounds = 5;
constexpr std::size_t ring_bytes = std::size_t{4} << 20;
std::chrono::nanoseconds round_time = std::chrono::seconds(1);

struct Rate {
  double records = 0;  ///< a second
  double bytes = 0;    ///< of frames, a second
  double lost = 0;     ///< part of the records, by the average reader
  double cost = 0;     ///< processor time of the writing thread a record, in nanoseconds
};

/// Of this thread: what it costs whatever else the machine does.
double processor_seconds() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void pin(unsigned processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor % std::thread::hardware_concurrency(), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}
/// Processors other than the producer's.
unsigned readers_processor(unsigned reader) {
  const unsigned others = std::max(1u, std::thread::hardware_concurrency() - 1);
  return 1 + reader % others;
}

struct ReaderCount {
  std::uint64_t records = 0;
  std::uint64_t lost = 0;
  std::uint64_t sum = 0;
};

void read(RingMemory& memory, ReaderOptions options, bool waits, unsigned processor, std::atomic<unsigned>& ready,
          ReaderCount& count) {
  pin(processor);
  RingReader reader(memory, options);
  ready.fetch_add(1);
  ReaderCount own;
  while (reader.state() == RingState::open) {
    unsigned batch = 0;
    while (const Record* record = reader.next()) {
      for (std::uint32_t at = 0; at < record->captured_length; at += 64) own.sum += record->data()[at];
      if (!record->is_loss()) ++own.records;
      if (++batch == 64) break;
    }
    reader.release();
    if (batch == 0 && waits) reader.wait(std::chrono::milliseconds(-1));
    // Readers that share a processor would otherwise spin through each other's time.
    if (batch == 0 && !waits) std::this_thread::yield();
  }
  own.lost = reader.lost();
  count = own;
}

Rate run_ring(std::uint32_t length, unsigned readers, ReaderOptions options, bool waits) {
  RingMemory memory({.size_bytes = ring_bytes, .populate = true});
  RingProducer producer(memory);
  std::vector<ReaderCount> counts(readers);
  std::vector<std::jthread> threads;
  std::atomic<unsigned> ready = 0;
  for (unsigned i = 0; i < readers; ++i)
    threads.emplace_back([&, i] { read(memory, options, waits, readers_processor(i), ready, counts[i]); });
  while (ready < readers) std::this_thread::yield();
  const std::vector<std::uint8_t> bytes(length, 1);
  const Frame frame = {bytes.data(), length, length};
  std::uint64_t written = 0;
  const double processor_start = processor_seconds();
  const auto start = Clock::now();
  auto now = start;
  for (; now - start < round_time; now = Clock::now()) {
    for (unsigned batch = 0; batch < 64; ++batch) {
      for (unsigned i = 0; i < 64; ++i, ++written) {
        while (!producer.append(frame, written, 1, 0, 0)) std::this_thread::yield();
      }
      producer.publish();
    }
  }
  const double cost = 1e9 * (processor_seconds() - processor_start) / static_cast<double>(written);
  producer.close();
  threads.clear();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::uint64_t lost = 0;
  for (const ReaderCount& count : counts) lost += count.lost;
  const double records = static_cast<double>(written);
  return {records / seconds, records * length / seconds,
          readers == 0 ? 0 : static_cast<double>(lost) / records / readers, cost};
}

Rate run_queue(std::unique_ptr<Queue> queue) {
  std::atomic<bool> finished = false;
  std::uint64_t sum = 0;
  std::jthread reading([&] {
    pin(readers_processor(0));
    sum = queue->read_until(finished);
  });
  QueueRecord record = {};
  record.length = sizeof record;
  std::uint64_t written = 0;
  const double processor_start = processor_seconds();
  const auto start = Clock::now();
  for (auto now = start; now - start < round_time; now = Clock::now()) {
    queue->write(record, 4096);
    written += 4096;
  }
  const double cost = 1e9 * (processor_seconds() - processor_start) / static_cast<double>(written);
  finished = true;
  reading.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return {static_cast<double>(written) / seconds, static_cast<double>(written) * 64 / seconds, 0, cost};
}

void show(const std::string& name, const std::function<Rate()>& run) {
  Rate best;
  for (unsigned i = 0; i < rounds; ++i) {
    const Rate rate = run();
    if (rate.records > best.records) best = rate;
  }
  fmt::print("{:<34} {:>8.2f} M records/s {:>8.2f} GB/s {:>7.1f} ns to write", name, best.records / 1e6,
             best.bytes / 1e9, best.cost);
  if (best.lost != 0) fmt::print(" {:>6.2f} % lost", 100 * best.lost);
  fmt::print("\n");
  std::fflush(stdout);
}

void run_all() {
  for (const std::uint32_t length : {64u, 1518u}) {
    const auto name = [&](const std::string& what) { return fmt::format("ring, {} bytes, {}", length, what); };
    show(name("alone"), [&] { return run_ring(length, 0, {}, false); });
    for (const unsigned readers : {1u, 2u, 4u, 8u})
      show(name(fmt::format("{} lossless", readers)), [&] { return run_ring(length, readers, {}, false); });
    show(name("1 lossless, wait"), [&] { return run_ring(length, 1, {}, true); });
    for (const unsigned readers : {1u, 4u})
      show(name(fmt::format("{} lossy", readers)),
           [&] { return run_ring(length, readers, {.policy = ReaderPolicy::lossy}, false); });
  }
  for (const QueueKind& kind : queue_kinds()) show(kind.name, [&] { return run_queue(kind.make(ring_bytes)); });
}

}  // namespace
}  // namespace ixcap::bench

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--seconds") {
    ixcap::bench::round_time =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(std::stod(argv[2])));
  } else if (argc != 1) {
    fmt::print(stderr, "usage: ring_bench [--seconds N]\n");
    return 1;
  }
  ixcap::bench::pin(0);
  ixcap::bench::run_all();
}
