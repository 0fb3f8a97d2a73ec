// Ours first: Relacy's headers redefine names of the language.
#include "tests/capture/ring_model.hpp"

#include <cstdio>
#include <cstdlib>
#include <ostream>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <relacy/relacy.hpp>

namespace ixcap::test {
namespace {

using capture::ReaderPolicy;
using capture::RingCount;
using capture::RingOrder;
using capture::RingState;

std::optional<RingOrder> weakened_order;

/// Relacy's atomics in place of the processor's.
struct ModelAtomics {
  using Order = rl::memory_order;

  template <typename T>
  class Atomic {
   public:
    Atomic() : value_(0) {}
    T load(Order order) const { return static_cast<T>(value_.load(order, RL_INFO)); }
    void store(T value, Order order) { value_.store(value, order, RL_INFO); }

   private:
    rl::atomic<std::uint64_t> value_;
  };

  class Mutex {
   public:
    void lock() { mutex_.lock(RL_INFO); }
    bool try_lock() { return mutex_.try_lock(RL_INFO); }
    void unlock() { mutex_.unlock(RL_INFO); }

   private:
    rl::mutex mutex_;
  };

  static Order relaxed() { return rl::mo_relaxed; }
  static Order acquire(RingOrder order) { return weakened_order == order ? rl::mo_relaxed : rl::mo_acquire; }
  static Order release(RingOrder order) { return weakened_order == order ? rl::mo_relaxed : rl::mo_release; }
  static Order seq_cst(RingOrder order) { return weakened_order == order ? rl::mo_acq_rel : rl::mo_seq_cst; }
  static void fence(Order order) {
    if (order != rl::mo_relaxed) rl::atomic_thread_fence(order, RL_INFO);
  }
};

constexpr unsigned record_bytes = 16;
constexpr unsigned ring_records = 4;
constexpr unsigned records = 13;
constexpr unsigned lives = 3;  // two of a lossless reader, one of the lossy one

using Page = capture::RingPage<ModelAtomics, 6>;
using Producer = capture::RingProducerSync<ModelAtomics, Page, lives>;
using Reader = capture::RingReaderSync<ModelAtomics, Page>;

/// A record, which is a number. The lossless reader reads it as plain memory, and Relacy looks for races; the lossy
/// reader reads it while it may be overwritten.
struct Cell {
  rl::var<unsigned> plain;
  ModelAtomics::Atomic<unsigned> racy;
};

/// What the lossy reader's mask lets through.
bool matches(unsigned number) {
  return number % 3 != 0;
}

struct RingModel : rl::test_suite<RingModel, 3> {
  capture::RingPositions<ModelAtomics> positions;
  Producer::Registry registry;
  Page pages[lives];
  Cell cells[ring_records];
  ModelAtomics::Atomic<unsigned> bells[lives];  // as eventfds

  void thread(unsigned index) {
    if (index == 0) produce();
    if (index == 1) read_lossless();
    if (index == 2) read_lossy();
  }

  // The producer's Host.
  RingCount count(std::uint64_t from, std::uint64_t to, std::uint64_t) {
    RingCount count;
    for (; from != to; from += record_bytes)
      count.frames += matches(static_cast<unsigned>(from / record_bytes)) ? 1 : 0;
    return count;
  }
  void wake(unsigned index) { bells[index].store(1, rl::mo_release); }

  Cell& cell(std::uint64_t position) { return cells[position / record_bytes % ring_records]; }

  void produce() {
    Producer producer(positions, registry, {ring_records * record_bytes, 2 * record_bytes, record_bytes});
    const unsigned patience = rl::rand(4);
    for (unsigned number = 0; number < records; ++number) {
      while (!producer.fits(record_bytes) && !producer.make_room(record_bytes, *this)) rl::yield(1, RL_INFO);
      const std::uint64_t position = producer.take(record_bytes);
      RL_ASSERT(position == number * record_bytes);
      cell(position).plain(RL_INFO).store(number);
      cell(position).racy.store(number, rl::mo_relaxed);
      if (number % 3 != 1) producer.publish(*this);
      // Let readers come, mostly; sooner or later.
      for (unsigned i = 0; number == patience && i < 20 && producer.readers() < 2; ++i) {
        rl::yield(1, RL_INFO);
        producer.publish(*this);
      }
    }
    producer.close(*this);
    RL_ASSERT(producer.cursor_faults() == 0);
  }

  void join(unsigned life, ReaderPolicy policy) {
    registry.mutex.lock();
    registry.join(life, policy, 0, &pages[life]);
    registry.mutex.unlock();
  }
  void leave(unsigned life) {
    registry.mutex.lock();
    registry.leave(life);
    registry.mutex.unlock();
  }

  /// As RingReader::wait().
  void wait(Reader& reader, unsigned life) {
    if (reader.arm()) {
      while (bells[life].load(rl::mo_acquire) == 0) rl::yield(1, RL_INFO);
      bells[life].store(0, rl::mo_relaxed);
      reader.disarm();
    }
  }
  /// Until the producer has let it in, or will never do so.
  bool admitted(Reader& reader) {
    while (!reader.look() && reader.position() == 0 && reader.state() == RingState::open && reader.published() == 0) {
      if (rl::rand(2) == 0) return true;  // go on without knowing
      rl::yield(1, RL_INFO);
    }
    return reader.state() == RingState::open;
  }

  void read_lossless() {
    const unsigned lives_lived = 1 + rl::rand(2);
    for (unsigned life = 0; life < lives_lived; ++life) {
      Reader reader(positions, pages[life], ring_records * record_bytes, ReaderPolicy::lossless);
      join(life, ReaderPolicy::lossless);
      const unsigned dies_after = life == 0 ? rl::rand(records + 4) : records + 1;
      unsigned read = 0;
      while (read < dies_after) {
        if (reader.look()) {
          const unsigned number = cell(reader.position()).plain(RL_INFO).load();
          RL_ASSERT(number == reader.position() / record_bytes);
          reader.pass(record_bytes, {1, 0});
          if (++read % 2 == 0) reader.release();
        } else if (reader.state() == RingState::open) {
          reader.release();
          if (life == 0 && dies_after < 2) break;  // dies without ever having slept
          wait_unless_never_admitted(reader, life);
        } else {
          break;
        }
      }
      RL_ASSERT(reader.state() != RingState::broken);
      if (reader.state() == RingState::ended) RL_ASSERT(read == 0 || reader.position() == records * record_bytes);
      leave(life);
    }
  }

  /// A reader that has not been let in is not woken when it is; only the end of the ring could find it asleep.
  void wait_unless_never_admitted(Reader& reader, unsigned life) {
    if (pages[life].start.load(rl::mo_relaxed) != 0)
      wait(reader, life);
    else
      rl::yield(1, RL_INFO);
  }

  /// Somebody slow is overrun; the scheduler alone would give every thread its fair share.
  static void dawdle() {
    for (unsigned i = rl::rand(3) == 0 ? rl::rand(200) : 0; i > 0; --i) rl::yield(1, RL_INFO);
  }

  void read_lossy() {
    constexpr unsigned life = 2;
    Reader reader(positions, pages[life], ring_records * record_bytes, ReaderPolicy::lossy);
    join(life, ReaderPolicy::lossy);
    unsigned accounted = 0;
    std::optional<std::uint64_t> start;
    while (true) {
      if (reader.look()) {
        if (!start) start = reader.position();
        dawdle();
        const unsigned number = cell(reader.position()).racy.load(rl::mo_relaxed);
        if (reader.intact()) {
          RL_ASSERT(number == reader.position() / record_bytes);
          accounted += matches(number) ? 1 : 0;
          reader.pass(record_bytes, {matches(number) ? 1u : 0u, 0});
        } else {
          accounted += static_cast<unsigned>(reader.skip_lost().frames);
        }
      } else if (reader.state() == RingState::open) {
        wait_unless_never_admitted(reader, life);
      } else {
        break;
      }
    }
    RL_ASSERT(reader.state() == RingState::ended);
    unsigned expected = 0;
    for (std::uint64_t position = start.value_or(records * record_bytes); position < records * record_bytes;
         position += record_bytes)
      expected += matches(static_cast<unsigned>(position / record_bytes)) ? 1 : 0;
    RL_ASSERT(accounted == expected);
    leave(life);
  }
};

}  // namespace

RingVerdict run_ring_model(std::optional<RingOrder> weakened, unsigned iterations) {
  // Relacy replaces operator new: a stream that allocates nothing does not notice.
  struct : std::streambuf {
    int overflow(int character) override {
      if (std::getenv("IXCAP_RING_MODEL_TRACE") != nullptr) std::fputc(character, stdout);
      return character;
    }
  } buffer;
  std::ostream stream(&buffer);
  weakened_order = weakened;
  rl::test_params params;
  params.iteration_count = iterations;
  params.execution_depth_limit = 20000;
  params.output_stream = &stream;
  params.progress_stream = &stream;
  rl::simulate<RingModel>(params);
  return {rl::test_result_str(params.test_result), static_cast<unsigned>(params.stop_iteration)};
}

}  // namespace ixcap::test
#pragma GCC diagnostic pop
