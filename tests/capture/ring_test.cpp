// What goes into the ring comes out of it, in order and unharmed, at every position; and neither side is led astray by
// what the other, or a stranger, has written into the shared memory.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/ring.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

constexpr RingOptions smallest = {.size_bytes = RingMemory::smallest_size_bytes};
constexpr std::uint64_t size_bytes = RingMemory::smallest_size_bytes;

std::vector<std::uint8_t> pattern(std::size_t length, std::uint64_t seed) {
  std::vector<std::uint8_t> bytes(length);
  for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<std::uint8_t>(seed * 131 + i * 7);
  return bytes;
}

bool append(RingProducer& producer, const std::vector<std::uint8_t>& bytes, std::uint64_t timestamp_ns = 0) {
  const Frame frame = {bytes.data(), static_cast<std::uint32_t>(bytes.size()),
                       static_cast<std::uint32_t>(bytes.size())};
  return producer.append(frame, timestamp_ns, 1, 0, record_time_software);
}

std::vector<std::uint8_t> data_of(const Record& record) {
  return {record.data(), record.data() + record.captured_length};
}

// A ring with both its ends, and a reader whose page is there to be tampered with.
struct Ring {
  RingMemory memory{smallest};
  RingProducer producer{memory};
  pci::FileDescriptor wake{eventfd(0, EFD_NONBLOCK)};
  pci::FileDescriptor page_file = ReaderPages::make_file(1);
  RingSeat seat = memory.join({}, ReaderPages(page_file.number(), 1), 0, wake.number());
  ReaderPage& page = seat.page();
  RingReader reader{{&memory.header(), memory.records(), size_bytes, &page}, {}, wake.number()};

  // Moves both ends on by `bytes`, a multiple of 16 other than 16.
  void advance(std::uint64_t bytes) {
    while (bytes > 0) {
      std::uint64_t step = std::min<std::uint64_t>(bytes, 8192);
      if (bytes - step == 16) step -= 16;
      ASSERT_NE(producer.reserve(static_cast<std::uint32_t>(step - sizeof(Record))), nullptr);
      producer.publish();
      ASSERT_NE(reader.next(), nullptr);
      reader.release();
      bytes -= step;
    }
  }
};

TEST(Ring, SaysInItsFirstPageWhatItIs) {
  const RingMemory memory(smallest);
  EXPECT_EQ(std::memcmp(&memory.header(), "ixcapbuf", 8), 0);
  EXPECT_EQ(memory.header().version, 2u);
  EXPECT_EQ(memory.header().header_bytes, 128u);
  EXPECT_EQ(memory.header().size_bytes, size_bytes);
  EXPECT_EQ(memory.header().records_start, 4096u);
  EXPECT_EQ(memory.header().batch_limit, size_bytes / 4);
}

TEST(Ring, MapsItsRecordsTwice) {
  const RingMemory memory({.size_bytes = smallest.size_bytes, .populate = true});
  memory.records()[0] = 1;
  memory.records()[2 * size_bytes - 1] = 2;
  EXPECT_EQ(memory.records()[size_bytes], 1);
  EXPECT_EQ(memory.records()[size_bytes - 1], 2);
}

TEST(Ring, RefusesASizeItCannotHaveAndSaysWhatToDo) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{4096}, std::size_t{100000}}) {
    try {
      const RingMemory memory({.size_bytes = size});
      FAIL() << size;
    } catch (const Error& error) {
      EXPECT_THAT(error.mend(), testing::HasSubstr("a power of two")) << size;
    }
  }
  try {
    const RingMemory memory({.size_bytes = std::size_t{1} << 46});
    FAIL() << "mapped twice it is more than an address space";
  } catch (const Error& error) {
    EXPECT_EQ(error.mend(), "ask for a smaller ring or free memory");
  }
}

class NoMoreFiles {
 public:
  NoMoreFiles() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit none = {0, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoMoreFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoMoreFiles(const NoMoreFiles&) = delete;
  NoMoreFiles& operator=(const NoMoreFiles&) = delete;

 private:
  rlimit before_ = {};
};

TEST(Ring, SaysThatThereAreTooManyOpenFiles) {
  // UndefinedBehaviorSanitizer needs a file descriptor when it first sees a type: let it see those of an error now.
  EXPECT_THROW(RingMemory({.size_bytes = std::size_t{1} << 62}), Error);
  try {
    const NoMoreFiles limit;
    const RingMemory memory(smallest);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.mend(), "close files or raise ulimit -n");
  }
}

TEST(Ring, KeepsEveryFieldOfARecord) {
  Ring ring;
  const std::vector<std::uint8_t> bytes = pattern(61, 1);
  ASSERT_TRUE(ring.producer.append({bytes.data(), 61, 1500}, 123456789, 0x8000000000000001, 7, record_time_nic_clock));
  ASSERT_TRUE(ring.producer.append_loss(std::uint64_t{1} << 40, 123456790, 7));
  ring.producer.publish();

  const Record* record = ring.reader.next();
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->length, 96u);
  EXPECT_EQ(record->captured_length, 61u);
  EXPECT_EQ(record->wire_length, 1500u);
  EXPECT_EQ(record->queue, 7);
  EXPECT_EQ(record->flags & record_time_mask, record_time_nic_clock);
  EXPECT_EQ(record->timestamp_ns, 123456789u);
  EXPECT_EQ(record->match_set, 0x8000000000000001u);
  EXPECT_FALSE(record->is_loss());
  EXPECT_EQ(data_of(*record), bytes);

  record = ring.reader.next();
  ASSERT_NE(record, nullptr);
  EXPECT_TRUE(record->is_loss());
  EXPECT_EQ(record->lost_frames, std::uint64_t{1} << 40);
  EXPECT_EQ(record->captured_length, 0u);
  EXPECT_EQ(record->length, 32u);
}

TEST(Ring, TakesFramesOfEveryLength) {
  Ring ring;
  for (std::uint32_t length = 0; length <= 200; ++length) {
    ASSERT_TRUE(append(ring.producer, pattern(length, length)));
    ring.producer.publish();
    const Record* record = ring.reader.next();
    ASSERT_NE(record, nullptr);
    EXPECT_EQ(data_of(*record), pattern(length, length));
  }
}

TEST(Ring, WrapsAtEveryPosition) {
  Ring ring;
  const std::vector<std::uint8_t> bytes = pattern(1514, 3);
  const std::uint64_t step = record_length(1514);
  for (std::uint64_t offset = 0; offset < size_bytes; offset += record_alignment) {
    // A lap later the record starts one alignment further on.
    ring.advance(size_bytes - step + record_alignment);
    ASSERT_TRUE(append(ring.producer, bytes));
    ring.producer.publish();
    const Record* record = ring.reader.next();
    ASSERT_NE(record, nullptr);
    ASSERT_EQ(data_of(*record), bytes) << "offset " << offset;
    ring.reader.release();
  }
}

TEST(Ring, IsEmptyUntilTheProducerPublishes) {
  Ring ring;
  EXPECT_EQ(ring.reader.next(), nullptr);
  ASSERT_TRUE(append(ring.producer, pattern(60, 1)));
  EXPECT_EQ(ring.reader.next(), nullptr);
  EXPECT_EQ(ring.reader.state(), RingState::open);
  ring.producer.publish();
  EXPECT_NE(ring.reader.next(), nullptr);
  EXPECT_EQ(ring.reader.next(), nullptr);
}

TEST(Ring, TellsTheProducerThatItIsFullAndLosesNothing) {
  Ring ring;
  const std::uint64_t fits = size_bytes / record_length(64);
  std::uint64_t written = 0;
  while (append(ring.producer, pattern(64, written), written)) ++written;
  EXPECT_EQ(written, fits);
  EXPECT_FALSE(append(ring.producer, pattern(64, 0)));

  // Reading alone makes no room: only release() does.
  for (std::uint64_t i = 0; i < written; ++i) {
    const Record* record = ring.reader.next();
    ASSERT_NE(record, nullptr);
    EXPECT_EQ(record->timestamp_ns, i);
    EXPECT_EQ(data_of(*record), pattern(64, i));
  }
  EXPECT_FALSE(append(ring.producer, pattern(64, 0)));
  ring.reader.release();
  EXPECT_TRUE(append(ring.producer, pattern(64, 0)));
  EXPECT_EQ(ring.producer.cursor_faults(), 0u);
}

TEST(Ring, FillsToItsLastByte) {
  Ring ring;
  for (int lap = 0; lap < 3; ++lap) {
    for (int i = 0; i < 4; ++i) ASSERT_NE(ring.producer.reserve(ring.producer.longest_captured_length()), nullptr);
    EXPECT_EQ(ring.producer.reserve(0), nullptr);
    for (int i = 0; i < 4; ++i) ASSERT_NE(ring.reader.next(), nullptr);
    ring.reader.release();
  }
}

TEST(Ring, NeverWritesFurtherThanABatchPastWhatIsPublished) {
  Ring ring;
  for (int i = 0; i < 10000; ++i) {
    const Record* record = ring.producer.reserve(100);
    ASSERT_NE(record, nullptr);
    const std::uint64_t end = (static_cast<std::uint64_t>(i) + 1) * record->length;
    ASSERT_LE(end - ring.memory.header().positions.published, ring.memory.header().batch_limit);
    while (ring.reader.next() != nullptr) {
    }
    ring.reader.release();
  }
}

TEST(Ring, TakesTheLongestFrameAndNothingBeyondABatch) {
  Ring ring;
  EXPECT_TRUE(append(ring.producer, pattern(longest_frame, 1)));
  EXPECT_EQ(ring.producer.reserve(ring.producer.longest_captured_length() + 1), nullptr);
  EXPECT_EQ(ring.producer.reserve(UINT32_MAX), nullptr);
  EXPECT_TRUE(append(ring.producer, pattern(60, 1)));
}

TEST(Ring, EndsWhenItIsClosedAndDrained) {
  Ring ring;
  ASSERT_TRUE(append(ring.producer, pattern(60, 1)));
  ring.producer.close();
  EXPECT_EQ(ring.reader.state(), RingState::open);
  EXPECT_NE(ring.reader.next(), nullptr);
  EXPECT_EQ(ring.reader.state(), RingState::open);
  EXPECT_EQ(ring.reader.next(), nullptr);
  EXPECT_EQ(ring.reader.state(), RingState::ended);
  EXPECT_EQ(ring.reader.next(), nullptr);
}

TEST(RingDistrust, ProducerDisregardsAnImpossibleCursor) {
  Ring ring;
  ring.advance(3 * size_bytes);
  while (append(ring.producer, pattern(60, 1))) {
  }
  const std::uint64_t published = ring.memory.header().positions.published;
  const std::uint64_t before = ring.producer.cursor_faults();
  for (const std::uint64_t cursor : {published + 16, std::uint64_t{0}, 2 * size_bytes, ~std::uint64_t{0}}) {
    ring.page.cursor = cursor;
    EXPECT_FALSE(append(ring.producer, pattern(60, 1))) << cursor;
  }
  EXPECT_EQ(ring.producer.cursor_faults(), before + 4);
  ring.page.cursor = published;
  EXPECT_TRUE(append(ring.producer, pattern(60, 1)));
}

TEST(RingDistrust, ReaderStopsAtAnImpossibleRecord) {
  struct Lengths {
    std::uint32_t length, captured_length;
  };
  for (const Lengths bad : {Lengths{0, 0}, Lengths{16, 0}, Lengths{33, 0}, Lengths{128, 60}, Lengths{96, 65},
                            Lengths{96, UINT32_MAX}, Lengths{UINT32_MAX, 0}, Lengths{0x80000000, 0x7fffffff}}) {
    Ring ring;
    ASSERT_TRUE(append(ring.producer, pattern(60, 1)));
    ring.producer.publish();
    auto* record = reinterpret_cast<Record*>(ring.memory.records());
    record->length = bad.length;
    record->captured_length = bad.captured_length;
    EXPECT_EQ(ring.reader.next(), nullptr) << bad.length << " " << bad.captured_length;
    EXPECT_EQ(ring.reader.state(), RingState::broken);
    ring.producer.close();
    EXPECT_EQ(ring.reader.next(), nullptr);
    EXPECT_EQ(ring.reader.state(), RingState::broken);
  }
}

TEST(RingDistrust, ReaderStopsAtAnImpossiblePosition) {
  const std::uint64_t here = 2 * size_bytes;
  for (const std::uint64_t published :
       {here - 16, here + size_bytes + 16, here + 8, ~std::uint64_t{0}, std::uint64_t{0}}) {
    Ring ring;
    ring.advance(here);
    ring.memory.header().positions.published = published;
    EXPECT_EQ(ring.reader.next(), nullptr) << published;
    EXPECT_EQ(ring.reader.state(), RingState::broken) << published;
  }
}

TEST(RingDistrust, ReaderStopsAtAnImpossibleStart) {
  Ring ring;
  ring.page.start = 8 | ring_admitted;
  EXPECT_EQ(ring.reader.next(), nullptr);
  EXPECT_EQ(ring.reader.state(), RingState::broken);
}

// Both threads draw the same lengths and bytes from the same seed.
class Script {
 public:
  explicit Script(std::uint32_t seed) : random_(seed) {}
  std::vector<std::uint8_t>& next() {
    const auto draw = static_cast<std::uint32_t>(random_());
    bytes_.assign(draw % 8 == 0 ? draw / 8 % 1515 : draw / 8 % 65, static_cast<std::uint8_t>(draw >> 24));
    if (!bytes_.empty()) bytes_.back() = static_cast<std::uint8_t>(draw >> 16);
    return bytes_;
  }

 private:
  std::mt19937 random_;
  std::vector<std::uint8_t> bytes_;
};

TEST(Ring, CarriesAMillionRecordsFromThreadToThread) {
  constexpr std::uint64_t count = 1'000'000;
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Ring ring;
  std::thread producer([&] {
    Script script(seed);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::vector<std::uint8_t>& bytes = script.next();
      while (!append(ring.producer, bytes, i)) std::this_thread::yield();
      if (i % 61 == 0) ring.producer.publish();
    }
    ring.producer.close();
  });
  Script script(seed);
  std::uint64_t read = 0;
  std::uint64_t wrong = 0;
  while (ring.reader.state() == RingState::open) {
    const Record* record = nullptr;
    for (int i = 0; i < 64 && (record = ring.reader.next()) != nullptr; ++i) {
      const std::vector<std::uint8_t>& expected = script.next();
      if (record->timestamp_ns != read || !std::ranges::equal(data_of(*record), expected)) ++wrong;
      ++read;
    }
    ring.reader.release();
    if (record == nullptr) std::this_thread::yield();
  }
  producer.join();
  EXPECT_EQ(ring.reader.state(), RingState::ended);
  EXPECT_EQ(read, count);
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(ring.producer.cursor_faults(), 0u);
}

}  // namespace
}  // namespace ixcap::capture
