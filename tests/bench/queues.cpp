#include "tests/bench/queues.hpp"

#include <thread>

#ifdef IXCAP_HAS_READERWRITERQUEUE
#include <readerwriterqueue/readerwriterqueue.h>
#endif
#ifdef IXCAP_HAS_BOOST
#include <boost/lockfree/spsc_queue.hpp>
#endif

namespace ixcap::bench {
namespace {

/// The textbook queue in the manner of rigtorp's: indices on lines of their own, each side with a copy of the other's.
class IndexQueue {
 public:
  explicit IndexQueue(std::size_t capacity) : slots_(capacity + 1) {}

  bool push(const QueueRecord& record) noexcept {
    const std::size_t write = write_.load(std::memory_order_relaxed);  // only this side writes it
    const std::size_t next = write + 1 == slots_.size() ? 0 : write + 1;
    if (next == seen_read_) {
      seen_read_ = read_.load(std::memory_order_acquire);  // its reads of the slot come before our write
      if (next == seen_read_) return false;
    }
    slots_[write] = record;
    write_.store(next, std::memory_order_release);  // the slot before the index
    return true;
  }
  bool pop(QueueRecord& record) noexcept {
    const std::size_t read = read_.load(std::memory_order_relaxed);  // only this side writes it
    if (read == seen_write_) {
      seen_write_ = write_.load(std::memory_order_acquire);  // the slot after the index
      if (read == seen_write_) return false;
    }
    record = slots_[read];
    read_.store(read + 1 == slots_.size() ? 0 : read + 1, std::memory_order_release);  // our reads before its write
    return true;
  }

 private:
  std::vector<QueueRecord> slots_;
  alignas(64) std::atomic<std::size_t> write_ = 0;
  std::size_t seen_read_ = 0;
  alignas(64) std::atomic<std::size_t> read_ = 0;
  std::size_t seen_write_ = 0;
};

template <typename Push, typename Pop>
class AnyQueue : public Queue {
 public:
  AnyQueue(Push push, Pop pop) : push_(std::move(push)), pop_(std::move(pop)) {}

  void write(const QueueRecord& record, unsigned count) override {
    for (unsigned i = 0; i < count; ++i) {
      while (!push_(record)) std::this_thread::yield();
    }
  }
  std::uint64_t read_until(const std::atomic<bool>& finished) override {
    std::uint64_t sum = 0;
    QueueRecord record;
    while (true) {
      const bool last = finished;
      unsigned read = 0;
      while (pop_(record)) {
        sum += record.frame[0];
        ++read;
      }
      if (read == 0 && last) return sum;
      if (read == 0) std::this_thread::yield();
    }
  }

 private:
  Push push_;
  Pop pop_;
};

template <typename Push, typename Pop>
std::unique_ptr<Queue> make_queue(Push push, Pop pop) {
  return std::make_unique<AnyQueue<Push, Pop>>(std::move(push), std::move(pop));
}

}  // namespace

std::vector<QueueKind> queue_kinds() {
  std::vector<QueueKind> kinds;
  kinds.push_back({"SPSC in rigtorp's manner, 64 bytes", [](std::size_t bytes) {
                     const auto queue = std::make_shared<IndexQueue>(bytes / sizeof(QueueRecord));
                     return make_queue([queue](const QueueRecord& record) { return queue->push(record); },
                                       [queue](QueueRecord& record) { return queue->pop(record); });
                   }});
#ifdef IXCAP_HAS_READERWRITERQUEUE
  kinds.push_back({"moodycamel readerwriterqueue, 64", [](std::size_t bytes) {
                     using Other = moodycamel::ReaderWriterQueue<QueueRecord>;
                     const auto queue = std::make_shared<Other>(bytes / sizeof(QueueRecord));
                     return make_queue([queue](const QueueRecord& record) { return queue->try_enqueue(record); },
                                       [queue](QueueRecord& record) { return queue->try_dequeue(record); });
                   }});
#endif
#ifdef IXCAP_HAS_BOOST
  kinds.push_back({"boost::lockfree::spsc_queue, 64", [](std::size_t bytes) {
                     using Other = boost::lockfree::spsc_queue<QueueRecord>;
                     const auto queue = std::make_shared<Other>(bytes / sizeof(QueueRecord));
                     return make_queue([queue](const QueueRecord& record) { return queue->push(record); },
                                       [queue](QueueRecord& record) { return queue->pop(record); });
                   }});
#endif
  return kinds;
}

}  // namespace ixcap::bench
