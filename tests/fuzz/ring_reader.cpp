// Arbitrary bytes in the shared memory - positions, cursor, closed flag, records - never lead the reader or the
// producer to an address outside the ring. The input's first 25 bytes become header and cursor; the rest become
// records, and after that the cursors that a producer sees.

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

void read_everything(RingMemory& memory) {
  RingReader reader(memory);
  [[maybe_unused]] volatile std::uint8_t sink = 0;
  std::uint64_t bytes = 0;
  while (const Record* record = reader.next()) {
    require(within(memory, record, record->length));
    require(within(memory, record->data(), record->captured_length));
    bytes += record->length;
    require(bytes <= memory.size_bytes());
    for (std::uint32_t i = 0; i < record->captured_length; i += 64) sink = record->data()[i];
    if (record->captured_length != 0) sink = record->data()[record->captured_length - 1];
  }
  reader.release();
  require(reader.next() == nullptr);
}

// Between records the reader's cursor becomes whatever the input says.
void write_with_cursors(RingMemory& memory, Input input) {
  RingProducer producer(memory);
  std::uint64_t reserved = 0;
  for (int i = 0; i < 1000 && input.size > 0; ++i) {
    memory.reader_page(0).cursor = input.take<std::uint64_t>();
    if (const auto lead = input.take<std::uint8_t>(); lead % 2 == 0)  // mostly one that is possible
      memory.reader_page(0).cursor = reserved - lead * std::uint64_t{64};
    const auto captured_length = input.take<std::uint16_t>();
    while (Record* record = producer.reserve(captured_length)) {
      require(within(memory, record, record->length));
      std::memset(record->data(), 0x55, captured_length);
      reserved += record->length;
      require(reserved - memory.header().published <= memory.header().batch_limit);
      if (record->captured_length % 3 == 0) break;
    }
    producer.publish();
    require(memory.header().published == reserved);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static RingMemory memory({.size_bytes = RingMemory::smallest_size_bytes});
  std::memset(memory.records(), 0, memory.size_bytes());  // an input means the same whatever came before it
  Input input = {data, size};
  const auto cursor = input.take<std::uint64_t>();
  const auto ahead = input.take<std::uint64_t>();
  const auto kind = input.take<std::uint64_t>();
  // Often possible positions: those drawn at random would hardly ever let a record be read.
  memory.reader_page(0).cursor = kind % 2 == 0 ? cursor & ~std::uint64_t{15} : cursor;
  memory.header().published =
      memory.reader_page(0).cursor + (kind % 4 == 0 ? ahead % memory.size_bytes() & ~std::uint64_t{15} : ahead);
  memory.header().closed = input.take<std::uint8_t>();

  const std::size_t count = input.size < memory.size_bytes() ? input.size : memory.size_bytes();
  const std::size_t start = memory.reader_page(0).cursor % memory.size_bytes();
  if (count != 0) std::memcpy(memory.records() + start, input.data, count);
  read_everything(memory);

  memory.header().published = 0;
  write_with_cursors(memory, input);
  return 0;
}
