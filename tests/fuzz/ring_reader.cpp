// Arbitrary bytes in the shared memory - positions, marks, cursors, records - never lead a reader of either policy, or
// the producer, to an address outside the ring. The input's first bytes become positions and marks; the rest become
// records, and after that the cursors that a producer sees.

#include <sys/eventfd.h>

#include <cstdint>
#include <cstring>

#include <ixcap/capture/ring.hpp>

#include "tests/fuzz/input.hpp"

namespace {

using namespace ixcap::capture;
using ixcap::test::Input;
using ixcap::test::require;

bool within(const RingMemory& memory, const void* start, std::uint64_t bytes) {
  const auto* first = static_cast<const std::uint8_t*>(start);
  const std::uint8_t* end = memory.records() + 2 * memory.size_bytes();
  return first >= memory.records() && first <= end && bytes <= static_cast<std::uint64_t>(end - first);
}

void read_everything(RingMemory& memory, ReaderPage& page, ReaderPolicy policy, int wake) {
  RingReader reader({&memory.header(), memory.records(), memory.size_bytes(), &page}, {.policy = policy}, wake);
  const bool in_place = policy == ReaderPolicy::lossless;
  [[maybe_unused]] volatile std::uint8_t sink = 0;
  std::uint64_t bytes = 0;
  while (const Record* record = reader.next()) {
    require(!in_place || within(memory, record, record->length));
    require(record->captured_length <= record->length - sizeof(Record));
    bytes += record->length;
    require(bytes <= memory.size_bytes());
    for (std::uint32_t i = 0; i < record->captured_length; i += 64) sink = record->data()[i];
    if (record->captured_length != 0) sink = record->data()[record->captured_length - 1];
  }
  reader.release();
  require(reader.state() != RingState::open || reader.next() == nullptr || !in_place);
}

// Between records the reader's cursor becomes whatever the input says.
void write_with_cursors(Input input, int wake) {
  RingMemory memory({.size_bytes = RingMemory::smallest_size_bytes});
  const auto file = ReaderPages::make_file(1);
  const ReaderPages pages(file.number(), 1);
  const RingSeat seat = memory.join({}, ReaderPages(file.number(), 1), 0, wake);
  RingProducer producer(memory);
  producer.publish();
  std::uint64_t reserved = 0;
  for (int i = 0; i < 1000 && input.size > 0; ++i) {
    pages[0].cursor = input.take<std::uint64_t>();
    pages[0].waiting = input.size % 2;
    if (const auto lead = input.take<std::uint8_t>(); lead % 2 == 0)  // mostly one that is possible
      pages[0].cursor = reserved - lead * std::uint64_t{64};
    const auto captured_length = input.take<std::uint16_t>();
    while (Record* record = producer.reserve(captured_length)) {
      require(within(memory, record, record->length));
      std::memset(record->data(), 0x55, captured_length);
      reserved += record->length;
      require(reserved - memory.header().positions.published <= memory.header().batch_limit);
      if (record->captured_length % 3 == 0) break;
    }
    producer.publish();
    require(memory.header().positions.published == reserved);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static RingMemory memory({.size_bytes = RingMemory::smallest_size_bytes});
  static const auto file = ReaderPages::make_file(1);
  static const ReaderPages pages(file.number(), 1);
  static const ixcap::pci::FileDescriptor wake(eventfd(0, EFD_NONBLOCK));
  std::memset(memory.records(), 0, memory.size_bytes());  // an input means the same whatever came before it
  Input input = {data, size};
  const auto start = input.take<std::uint64_t>();
  const auto ahead = input.take<std::uint64_t>();
  const auto kind = input.take<std::uint64_t>();
  const std::uint64_t aligned = ~std::uint64_t{15};
  // Often possible positions: those drawn at random would hardly ever let a record be read.
  const std::uint64_t position = kind % 2 == 0 ? start & aligned : start;
  auto& positions = memory.header().positions;
  positions.published = position + (kind % 4 == 0 ? ahead % memory.size_bytes() & aligned : ahead);
  if (input.take<std::uint8_t>() % 2 != 0) positions.published = positions.published | ring_closed;
  positions.oldest = kind % 8 < 4 ? 0 : position + kind % 4096 / 8 * 16;
  pages[0].start = position | ring_admitted;
  for (unsigned i = 0; i < 4; ++i) {
    pages[0].marks[i].position = kind % 16 < 8 ? positions.oldest.load() : input.take<std::uint64_t>();
    pages[0].marks[i].frames = input.take<std::uint8_t>();
  }

  const std::size_t count = input.size < memory.size_bytes() ? input.size : memory.size_bytes();
  if (count != 0) std::memcpy(memory.records() + (position & aligned) % memory.size_bytes(), input.data, count);
  read_everything(memory, pages[0], ReaderPolicy::lossless, wake.number());
  read_everything(memory, pages[0], ReaderPolicy::lossy, wake.number());
  write_with_cursors(input, wake.number());
  return 0;
}
