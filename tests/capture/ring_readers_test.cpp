// Several readers at one ring: each gets what it is due by its policy and mask, a lossy one learns to the frame what it
// has lost, sleepers are woken, and who leaves holds nobody up.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <ixcap/capture/ring.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

constexpr RingOptions smallest = {.size_bytes = RingMemory::smallest_size_bytes};
constexpr std::chrono::milliseconds for_ever{-1};
constexpr std::chrono::milliseconds not_at_all{0};

/// Record n has n as its time, and the match set given.
bool append(RingProducer& producer, std::uint64_t number, std::uint64_t match_set = 1) {
  std::uint8_t bytes[64];
  for (std::size_t i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<std::uint8_t>(number + i);
  return producer.append({bytes, sizeof bytes, sizeof bytes}, number, match_set, 0, record_time_software);
}

/// The numbers of what can be read now.
std::vector<std::uint64_t> read_all(RingReader& reader) {
  std::vector<std::uint64_t> numbers;
  while (const Record* record = reader.next()) numbers.push_back(record->timestamp_ns);
  reader.release();
  return numbers;
}

TEST(RingReaders, EachGetsWhatIsPublishedFromItsAdmissionOn) {
  RingMemory memory(smallest);
  RingProducer producer(memory);
  RingReader first(memory);
  ASSERT_TRUE(append(producer, 1));
  producer.publish();
  RingReader second(memory, {.policy = ReaderPolicy::lossy});
  EXPECT_THAT(read_all(second), testing::IsEmpty());
  producer.publish();  // admits it
  ASSERT_TRUE(append(producer, 2));
  producer.publish();
  EXPECT_THAT(read_all(first), testing::ElementsAre(1, 2));
  EXPECT_THAT(read_all(second), testing::ElementsAre(2));
  producer.close();
  EXPECT_THAT(read_all(first), testing::IsEmpty());
  EXPECT_THAT(read_all(second), testing::IsEmpty());
  EXPECT_EQ(first.state(), RingState::ended);
  EXPECT_EQ(second.state(), RingState::ended);
}

TEST(RingReaders, WhoWasNeverAdmittedSeesTheEnd) {
  RingMemory memory(smallest);
  RingProducer producer(memory);
  producer.close();
  RingReader late(memory);
  EXPECT_EQ(late.next(), nullptr);
  EXPECT_EQ(late.state(), RingState::ended);
}

TEST(RingReaders, AMaskChoosesFilters) {
  RingMemory memory(smallest);
  RingProducer producer(memory);
  RingReader everything(memory);
  RingReader in_place(memory, {.mask = 2});
  RingReader copying(memory, {.policy = ReaderPolicy::lossy, .mask = 2});
  for (std::uint64_t i = 0; i < 8; ++i) ASSERT_TRUE(append(producer, i, i));
  ASSERT_TRUE(producer.append_loss(3, 100, 0));
  producer.publish();
  EXPECT_EQ(read_all(everything).size(), 9u);
  EXPECT_THAT(read_all(in_place), testing::ElementsAre(2, 3, 6, 7, 100));
  EXPECT_THAT(read_all(copying), testing::ElementsAre(2, 3, 6, 7, 100));
}

TEST(RingReaders, TheSlowestLosslessReaderSetsThePace) {
  RingMemory memory(smallest);
  RingProducer producer(memory);
  RingReader quick(memory);
  auto slow = std::make_unique<RingReader>(memory);
  std::uint64_t written = 0;
  while (append(producer, written)) ++written;
  EXPECT_EQ(read_all(quick).size(), written);
  EXPECT_FALSE(append(producer, 0));
  slow.reset();  // leaves, without having read anything
  EXPECT_TRUE(append(producer, 0));
  EXPECT_EQ(memory.readers(), 1u);
}

TEST(RingReaders, NobodyHoldsUpAProducerWithoutLosslessReaders) {
  RingMemory memory(smallest);
  RingProducer producer(memory);
  const RingReader lossy(memory, {.policy = ReaderPolicy::lossy});
  for (std::uint64_t i = 0; i < 100'000; ++i) ASSERT_TRUE(append(producer, i));
}

TEST(RingReaders, ALossyReaderLearnsExactlyWhatItHasLost) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  RingMemory memory(smallest);
  RingProducer producer(memory);
  RingReader reader(memory, {.policy = ReaderPolicy::lossy, .mask = 1});
  std::uint64_t written = 0;
  std::uint64_t next = 0;  // the lowest number not accounted for
  std::uint64_t told = 0;  // by loss records of the capture
  std::uint64_t losses = 0;
  const auto matching = [](std::uint64_t from, std::uint64_t to) {
    std::uint64_t count = 0;
    for (; from < to; ++from) count += from % 3 == 0 ? 1 : 0;
    return count;
  };
  std::uint64_t missing = 0;  // announced, and not yet seen to be missing
  for (int round = 0; round < 300; ++round) {
    for (auto i = random() % (round % 10 == 0 ? 3000 : 300); i > 0; --i, ++written) {
      ASSERT_TRUE(append(producer, written, written % 3 == 0 ? 1 : 2));
      if (written % 100 == 99) {
        ASSERT_TRUE(producer.append_loss(7, written, 0));
        losses += 7;
      }
    }
    producer.publish();
    for (auto i = random() % 500; i > 0; --i) {
      const Record* record = reader.next();
      if (record == nullptr) break;
      if ((record->flags & record_lost_here) != 0) {
        missing += record->lost_frames;
      } else if (record->is_loss()) {
        told += record->lost_frames;
      } else {
        ASSERT_EQ(matching(next, record->timestamp_ns), missing) << "round " << round;
        ASSERT_EQ(record->data()[5], static_cast<std::uint8_t>(record->timestamp_ns + 5));
        next = record->timestamp_ns + 1;
        missing = 0;
      }
    }
    reader.release();
  }
  producer.close();
  while (reader.state() == RingState::open) {
    while (const Record* record = reader.next()) {
      if ((record->flags & record_lost_here) != 0) {
        missing += record->lost_frames;
      } else if (record->is_loss()) {
        told += record->lost_frames;
      } else {
        ASSERT_EQ(matching(next, record->timestamp_ns), missing);
        next = record->timestamp_ns + 1;
        missing = 0;
      }
    }
    reader.release();
  }
  EXPECT_EQ(reader.state(), RingState::ended);
  EXPECT_EQ(missing, matching(next, written));
  EXPECT_EQ(told, losses);
  EXPECT_GT(reader.lost(), 0u);
}

TEST(RingReaders, ALossyReadersBatchEndsWithItsBuffer) {
  RingMemory memory({.size_bytes = std::size_t{4} << 20});
  RingProducer producer(memory);
  RingReader reader(memory, {.policy = ReaderPolicy::lossy});
  for (std::uint64_t i = 0; i < 10'000; ++i) ASSERT_TRUE(append(producer, i));
  producer.publish();
  std::uint64_t read = 0;
  while (true) {
    const std::vector<std::uint64_t> batch = read_all(reader);
    if (batch.empty()) break;
    EXPECT_EQ(batch.front(), read);
    read += batch.size();
  }
  EXPECT_EQ(read, 10'000u);
  EXPECT_EQ(reader.lost(), 0u);
}

TEST(RingReaders, RefusesMoreThan64AndTakesThemAgainWhenSomeHaveLeft) {
  RingMemory memory(smallest);
  RingProducer producer(memory);
  std::vector<std::unique_ptr<RingReader>> readers;
  for (unsigned i = 0; i < ring_readers; ++i) readers.push_back(std::make_unique<RingReader>(memory));
  EXPECT_THROW(RingReader{memory}, Error);
  producer.publish();
  readers.resize(10);
  producer.publish();
  for (unsigned i = 10; i < ring_readers; ++i) readers.push_back(std::make_unique<RingReader>(memory));
  ASSERT_TRUE(append(producer, 5));
  producer.publish();
  for (const auto& reader : readers) EXPECT_THAT(read_all(*reader), testing::ElementsAre(5));
}

TEST(RingSleep, ASleeperIsWokenOnceAndABusyReaderNever) {
  RingMemory memory(smallest);
  RingProducer producer(memory);
  RingReader reader(memory);
  producer.publish();
  const auto readable = [&] {
    pollfd file = {reader.fd(), POLLIN, 0};
    return poll(&file, 1, 0) == 1;
  };
  EXPECT_EQ(reader.next(), nullptr);
  ASSERT_TRUE(append(producer, 1));
  producer.publish();
  EXPECT_FALSE(readable()) << "nobody slept: there is no system call";
  EXPECT_FALSE(reader.arm()) << "there is something to read";
  EXPECT_EQ(read_all(reader).size(), 1u);
  ASSERT_TRUE(reader.arm());
  EXPECT_FALSE(readable());
  for (std::uint64_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(append(producer, i));
    producer.publish();
  }
  ASSERT_TRUE(readable());
  eventfd_t count = 0;
  eventfd_read(reader.fd(), &count);
  EXPECT_EQ(count, 1u);
}

TEST(RingSleep, WaitsForRecordsForTheEndAndForBreakloop) {
  RingMemory memory(smallest);
  RingProducer producer(memory);
  RingReader reader(memory);
  producer.publish();
  EXPECT_FALSE(reader.wait(not_at_all));
  reader.breakloop();
  EXPECT_FALSE(reader.wait(for_ever)) << "also when it came before";
  std::thread breaking([&] { reader.breakloop(); });
  EXPECT_FALSE(reader.wait(for_ever));
  breaking.join();
  std::thread writing([&] {
    append(producer, 1);
    producer.publish();
  });
  EXPECT_TRUE(reader.wait(for_ever));
  writing.join();
  EXPECT_EQ(read_all(reader).size(), 1u);
  std::thread closing([&] { producer.close(); });
  while (reader.state() == RingState::open) {
    reader.wait(for_ever);
    read_all(reader);
  }
  closing.join();
}

TEST(RingSleep, LosesNoWakeUpInATrickle) {
  // A producer that publishes one record and waits until it has been read: each wake-up counts.
  RingMemory memory(smallest);
  RingProducer producer(memory);
  RingReader reader(memory);
  std::atomic<std::uint64_t> read = 0;
  std::thread writing([&] {
    for (std::uint64_t i = 0; i < 20'000; ++i) {
      append(producer, i);
      producer.publish();
      while (read <= i) std::this_thread::yield();
    }
    producer.close();
  });
  while (reader.state() == RingState::open) {
    read += read_all(reader).size();
    if (reader.state() == RingState::open) reader.wait(for_ever);
  }
  writing.join();
  EXPECT_EQ(read, 20'000u);
}

TEST(RingReaders, ThreadsJoinReadAndLeaveWhileItRuns) {
  constexpr std::uint64_t count = 300'000;
  RingMemory memory(smallest);
  RingProducer producer(memory);
  RingReader whole(memory);
  std::atomic<bool> wrong = false;
  std::atomic<bool> finished = false;
  const auto come_and_go = [&](ReaderPolicy policy, std::uint32_t seed) {
    std::mt19937 random(seed);
    while (!finished) {
      RingReader reader(memory, {.policy = policy});
      std::uint64_t last = 0;
      for (auto left = random() % 5000; left > 0 && reader.state() == RingState::open; --left) {
        const Record* record = reader.next();
        if (record == nullptr) {
          reader.release();
          reader.wait(std::chrono::milliseconds(1));
          continue;
        }
        if (record->is_loss()) {
          if (last != 0) last += record->lost_frames;  // before its first frame it does not know where it is
          continue;
        }
        if (last != 0 && record->timestamp_ns != last + 1) wrong = true;
        last = record->timestamp_ns;
        if (record->data()[3] != static_cast<std::uint8_t>(last + 3)) wrong = true;
        if (left % 64 == 0) reader.release();
      }
    }
  };
  std::thread lossless(come_and_go, ReaderPolicy::lossless, 1);
  std::thread lossy(come_and_go, ReaderPolicy::lossy, 2);
  std::thread writing([&] {
    for (std::uint64_t i = 1; i <= count; ++i) {
      while (!append(producer, i)) std::this_thread::yield();
      if (i % 50 == 0) producer.publish();
    }
    producer.close();
  });
  std::uint64_t next = 1;
  while (whole.state() == RingState::open) {
    for (const std::uint64_t number : read_all(whole)) wrong = number != next++ || wrong;
    std::this_thread::yield();
  }
  finished = true;
  for (std::thread* thread : {&writing, &lossless, &lossy}) thread->join();
  EXPECT_EQ(next, count + 1);
  EXPECT_FALSE(wrong);
  EXPECT_EQ(producer.cursor_faults(), 0u);
}

TEST(RingSeals, NobodyButTheProducerCanWriteOrResizeTheRing) {
  RingMemory memory(smallest);
  RingProducer producer(memory);
  const int file = memory.file_descriptor();
  const std::size_t bytes = ring_page_bytes + memory.size_bytes();
  EXPECT_EQ(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), MAP_FAILED);
  EXPECT_EQ(pwrite(file, "x", 1, 0), -1);
  EXPECT_EQ(ftruncate(file, 0), -1);
  EXPECT_EQ(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
  const std::string again = "/proc/self/fd/" + std::to_string(file);
  const pci::FileDescriptor reopened(open(again.c_str(), O_RDWR));
  ASSERT_TRUE(reopened.valid());
  EXPECT_EQ(pwrite(reopened.number(), "x", 1, 0), -1);
  void* readable = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
  ASSERT_NE(readable, MAP_FAILED);
  EXPECT_EQ(mprotect(readable, bytes, PROT_READ | PROT_WRITE), -1);
  munmap(readable, bytes);
  const pci::FileDescriptor page = ReaderPages::make_file(1);
  EXPECT_EQ(ftruncate(page.number(), 0), -1);
  EXPECT_TRUE(append(producer, 1)) << "the producer still writes";
}

TEST(RingSeals, ReadersRefuseARingThatCouldGoAwayOrIsNone) {
  RingMemory memory(smallest);
  EXPECT_NO_THROW(RingMapping::attach(memory.file_descriptor()));
  const pci::FileDescriptor unsealed(memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_THROW(RingMapping::attach(unsealed.number()), Error);
  ASSERT_EQ(ftruncate(unsealed.number(), ring_page_bytes + RingMemory::smallest_size_bytes), 0);
  EXPECT_THROW(RingMapping::attach(unsealed.number()), Error);
  EXPECT_THROW(ReaderPages(unsealed.number(), 1), Error);
  ASSERT_EQ(fcntl(unsealed.number(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  EXPECT_THROW(RingMapping::attach(unsealed.number()), Error) << "zeros are no header";
  EXPECT_NO_THROW(ReaderPages(unsealed.number(), 1));
  EXPECT_THROW(ReaderPages(unsealed.number(), 100), Error);
}

}  // namespace
}  // namespace ixcap::capture
