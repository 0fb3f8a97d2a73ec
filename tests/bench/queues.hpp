#pragma once

/// Queues for one writer and one reader that the ring is compared with, all behind one interface; a virtual call moves
/// thousands of elements.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ixcap::bench {

/// What a record of 64 bytes is to a queue with fixed elements: 32 bytes of header, and the frame.
struct QueueRecord {
  std::uint32_t length;
  std::uint32_t captured_length;
  std::uint32_t wire_length;
  std::uint16_t queue;
  std::uint16_t flags;
  std::uint64_t timestamp_ns;
  std::uint64_t match_set;
  std::uint8_t frame[64];
};
static_assert(sizeof(QueueRecord) == 96);

class Queue {
 public:
  virtual ~Queue() = default;
  /// Copies `record` in `count` times, waiting for room.
  virtual void write(const QueueRecord& record, unsigned count) = 0;
  /// Copies elements out until `finished` and empty; answers a sum of their bytes.
  virtual std::uint64_t read_until(const std::atomic<bool>& finished) = 0;
};

struct QueueKind {
  std::string name;
  std::function<std::unique_ptr<Queue>(std::size_t bytes)> make;
};

/// Those that were there at configure time.
std::vector<QueueKind> queue_kinds();

}  // namespace ixcap::bench
