// A client's memory is reached where it has mapped it and nowhere else, it cannot be pulled from under the server, and
// a quarter of a million ranges are as good as one.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/driver/emulator/vfio_user_session_fixture.hpp"

namespace ixcap::emulator {
namespace {

using ClientMemoryTest = VfioUserSessionTest;

TEST_F(ClientMemoryTest, MapsAFileOfTheClient) {
  const FileDescriptor file = memory_file(16);
  EXPECT_EQ(map(0x100000, 0x4000, &file, 0x2000), 0);
  EXPECT_EQ(page_at(0x100000), 2u);
  EXPECT_EQ(page_at(0x103000), 5u);
  EXPECT_EQ(page_at(0x104000), std::nullopt);
  const auto range = function_.ranges().at(0x100000);
  EXPECT_TRUE(range.readable);
  EXPECT_TRUE(range.writable);
  *function_.at(0x100000) = 99;
  std::uint8_t seen = 0;
  EXPECT_EQ(::pread(file.number(), &seen, 1, 0x2000), 1);
  EXPECT_EQ(seen, 99) << "it is the client's memory and no copy";
}

TEST_F(ClientMemoryTest, KeepsToTheRightsOfARange) {
  const FileDescriptor file = memory_file(4);
  EXPECT_EQ(map(0, 0x1000, &file, 0, wire::dma_map_read), 0);
  EXPECT_EQ(map(0x1000, 0x1000, &file, 0, wire::dma_map_write), 0);
  EXPECT_FALSE(function_.ranges().at(0).writable);
  EXPECT_FALSE(function_.ranges().at(0x1000).readable);
  EXPECT_EQ(map(0x2000, 0x1000, &file, 0, 0), EINVAL);
}

TEST_F(ClientMemoryTest, KnowsRangesWithoutAFileAndReachesNothingThere) {
  EXPECT_EQ(map(0x100000, 0x4000), 0);
  EXPECT_EQ(session_->memory().range_count(), 1u);
  EXPECT_EQ(function_.at(0x100000), nullptr);
  EXPECT_EQ(unmap(0x100000, 0x4000), 0);
}

TEST_F(ClientMemoryTest, TakesTheSameRangeTwice) {
  const FileDescriptor file = memory_file(4);
  EXPECT_EQ(map(0x100000, 0x4000, &file), 0);
  const std::uint8_t* const memory = function_.at(0x100000);
  EXPECT_EQ(map(0x100000, 0x4000, &file), 0);
  EXPECT_EQ(function_.at(0x100000), memory);
  EXPECT_EQ(session_->memory().range_count(), 1u);
}

TEST_F(ClientMemoryTest, LetsARangeReplaceWhatItOverlaps) {
  const FileDescriptor file = memory_file(16);
  EXPECT_EQ(map(0x100000, 0x8000, &file), 0);
  EXPECT_EQ(map(0x102000, 0x2000, &file, 0xa000), 0);
  EXPECT_EQ(page_at(0x100000), 0u);
  EXPECT_EQ(page_at(0x101000), 1u);
  EXPECT_EQ(page_at(0x102000), 10u);
  EXPECT_EQ(page_at(0x103000), 11u);
  EXPECT_EQ(page_at(0x104000), 4u);
  EXPECT_EQ(page_at(0x107000), 7u);
  EXPECT_EQ(session_->memory().range_count(), 3u);
  EXPECT_EQ(map(0xff000, 0x10000, &file), 0);
  EXPECT_EQ(page_at(0x100000), 1u);
  EXPECT_EQ(session_->memory().range_count(), 1u);
}

TEST_F(ClientMemoryTest, UnmapsWhatLiesWithinAndNothingElse) {
  const FileDescriptor file = memory_file(16);
  EXPECT_EQ(map(0x100000, 0x4000, &file), 0);
  EXPECT_EQ(map(0x104000, 0x4000, &file, 0x4000), 0);
  const Answer answer = ask(Command::dma_unmap, payload_of(wire::DmaUnmap{24, 0, 0x102000, 0x3000}));
  EXPECT_EQ(answer.error, 0);
  EXPECT_EQ(answer.payload, payload_of(wire::DmaUnmap{24, 0, 0x102000, 0x3000}));
  EXPECT_EQ(page_at(0x101000), 1u);
  EXPECT_EQ(page_at(0x102000), std::nullopt);
  EXPECT_EQ(page_at(0x104000), std::nullopt);
  EXPECT_EQ(page_at(0x105000), 5u);
  EXPECT_EQ(unmap(0x100000, 0x8000), 0);
  EXPECT_EQ(session_->memory().range_count(), 0u);
  EXPECT_EQ(session_->memory().file_count(), 0u) << "the last range takes the file with it";
}

TEST_F(ClientMemoryTest, UnmapsWhatWasNeverMapped) {
  EXPECT_EQ(unmap(0x100000, 0x1000), 0);
  EXPECT_EQ(unmap(std::uint64_t{1} << 63, std::uint64_t{1} << 63), 0);
  EXPECT_EQ(unmap(0x1000, huge - 0xfff), 0);
  EXPECT_EQ(unmap(0x1000, 0), 0);
}

TEST_F(ClientMemoryTest, UnmapsEverything) {
  const FileDescriptor file = memory_file(4);
  for (const std::uint32_t flags : {0u, wire::dma_unmap_all}) {
    EXPECT_EQ(map(0x1000, 0x1000, &file), 0);
    EXPECT_EQ(map(huge - 0xfff, 0x1000, &file), 0) << "the last page of all";
    EXPECT_EQ(unmap(0, 0, flags), 0) << "2^64 in 64 bits is 0";
    EXPECT_EQ(session_->memory().range_count(), 0u);
  }
  EXPECT_EQ(unmap(0x1000, 0, wire::dma_unmap_all), EINVAL);
}

TEST_F(ClientMemoryTest, RefusesRangesOutsideTheFile) {
  const FileDescriptor file = memory_file(4);
  EXPECT_EQ(map(0x100000, 0x5000, &file), EINVAL);
  EXPECT_EQ(map(0x100000, 0x1000, &file, 0x4000), EINVAL);
  EXPECT_EQ(map(0x100000, 0x1000, &file, huge - 0xfff), EINVAL);
  EXPECT_EQ(map(0x100000, huge - 0xfff, &file, 0x1000), EINVAL);
  EXPECT_EQ(session_->memory().range_count(), 0u);
  EXPECT_EQ(session_->memory().file_count(), 0u);
}

TEST_F(ClientMemoryTest, RefusesRangesThatAreNone) {
  const FileDescriptor file = memory_file(4);
  EXPECT_EQ(map(0x100000, 0, &file), EINVAL);
  EXPECT_EQ(map(0x100001, 0x1000, &file), EINVAL);
  EXPECT_EQ(map(0x100000, 0x1001, &file), EINVAL);
  EXPECT_EQ(map(0x100000, 0x1000, &file, 8), EINVAL);
  EXPECT_EQ(map(huge - 0xfff, 0x2000), EINVAL);
  EXPECT_EQ(unmap(0x100001, 0x1000), EINVAL);
  EXPECT_EQ(unmap(0x100000, 0x1000, wire::dma_unmap_dirty_pages), ENOTSUP);
}

TEST_F(ClientMemoryTest, RefusesFilesThatCouldBePulledFromUnderIt) {
  const FileDescriptor shrinkable = memory_file(4, F_SEAL_SEAL);
  EXPECT_EQ(map(0x100000, 0x4000, &shrinkable), EPERM);
  const FileDescriptor unsealed = memory_file(4, 0);
  EXPECT_EQ(map(0x100000, 0x4000, &unsealed), 0) << "it is sealed here";
  EXPECT_NE(::ftruncate(unsealed.number(), 0), 0);
  EXPECT_EQ(page_at(0x103000), 3u);
  FILE* const on_disk = std::tmpfile();
  ASSERT_NE(on_disk, nullptr);
  const FileDescriptor ordinary(::dup(::fileno(on_disk)));
  std::fclose(on_disk);
  ASSERT_EQ(::ftruncate(ordinary.number(), 0x4000), 0);
  EXPECT_EQ(map(0x200000, 0x4000, &ordinary), EPERM);
}

TEST_F(ClientMemoryTest, RefusesFilesThatAreNoMemory) {
  const FileDescriptor counter = event_counter();
  EXPECT_EQ(map(0x100000, 0x1000, &counter), EINVAL);
  const FileDescriptor zeros(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(map(0x100000, 0x1000, &zeros), EINVAL);
  const FileDescriptor folder(::open("/", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(map(0x100000, 0x1000, &folder), EINVAL);
  std::vector<FileDescriptor> two;
  two.push_back(memory_file(1));
  two.push_back(memory_file(1));
  EXPECT_EQ(ask(Command::dma_map, payload_of(wire::DmaMap{32, 3, 0, 0, 0x1000}), std::move(two)).error, EINVAL);
}

TEST_F(ClientMemoryTest, RefusesToWriteToAFileThatIsReadOnly) {
  const FileDescriptor file = memory_file(4);
  const std::string path = "/proc/self/fd/" + std::to_string(file.number());
  const FileDescriptor read_only(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(map(0x100000, 0x1000, &read_only), EACCES);
  EXPECT_EQ(map(0x100000, 0x1000, &read_only, 0, wire::dma_map_read), 0);
}

TEST_F(ClientMemoryTest, FollowsAFileThatGrows) {
  const FileDescriptor file = memory_file(2);
  EXPECT_EQ(map(0x100000, 0x2000, &file), 0);
  ASSERT_EQ(::ftruncate(file.number(), 0x8000), 0);
  EXPECT_EQ(map(0x102000, 0x6000, &file, 0x2000), 0);
  EXPECT_EQ(page_at(0x101000), 1u) << "the old range stays where it was";
  EXPECT_NE(function_.at(0x107000), nullptr);
}

TEST_F(ClientMemoryTest, MapsAGigabytePageByPage) {
  constexpr std::uint64_t pages = 262'144;
  const FileDescriptor file = memory_file(pages);
  for (std::uint64_t page = 0; page < pages; ++page) {
    ASSERT_EQ(map((page ^ 1) << 12, 0x1000, &file, page << 12), 0) << "no two in a row";
  }
  EXPECT_EQ(session_->memory().range_count(), pages);
  EXPECT_EQ(session_->memory().file_count(), 1u);
  EXPECT_EQ(page_at(std::uint64_t{6} << 12), 7u);
  for (std::uint64_t page = 0; page < pages; page += 2) ASSERT_EQ(unmap(page << 12, 0x1000), 0);
  EXPECT_EQ(session_->memory().range_count(), pages / 2);
  EXPECT_EQ(unmap(0, std::uint64_t{1} << 40), 0);
  EXPECT_EQ(session_->memory().range_count(), 0u);
}

TEST_F(ClientMemoryTest, RefusesMoreFilesThanItMayMap) {
  for (std::size_t i = 0; i < ClientMemory::most_files; ++i) {
    const FileDescriptor file = memory_file(1);
    ASSERT_EQ(map(i << 12, 0x1000, &file), 0);
  }
  const FileDescriptor file = memory_file(1);
  EXPECT_EQ(map(std::uint64_t{1} << 40, 0x1000, &file), ENOSPC);
  EXPECT_EQ(unmap(0, 0x1000), 0);
  EXPECT_EQ(map(std::uint64_t{1} << 40, 0x1000, &file), 0);
}

}  // namespace
}  // namespace ixcap::emulator
