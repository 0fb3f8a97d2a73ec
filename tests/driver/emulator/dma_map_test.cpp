// The software NIC reaches mapped memory and nothing else, whatever address a descriptor holds.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include <ixcap/driver/emulator/dma_map.hpp>

namespace ixcap::emulator {
namespace {

TEST(DmaMap, TranslatesInsideAMapping) {
  DmaMap map;
  std::array<std::uint8_t, 4096> memory{};
  const std::uint64_t base = map.map(memory.data(), memory.size());
  EXPECT_EQ(map.translate(base, 4096), memory.data());
  EXPECT_EQ(map.translate(base + 4095, 1), memory.data() + 4095);
  EXPECT_EQ(map.translate(base + 10, 0), memory.data() + 10);
}

TEST(DmaMap, RefusesWhatReachesOutside) {
  DmaMap map;
  std::array<std::uint8_t, 4096> memory{};
  const std::uint64_t base = map.map(memory.data(), memory.size());
  EXPECT_EQ(map.translate(base, 4097), nullptr);
  EXPECT_EQ(map.translate(base + 4096, 1), nullptr);
  EXPECT_EQ(map.translate(base - 1, 2), nullptr);
  EXPECT_EQ(map.translate(base + 1, std::numeric_limits<std::size_t>::max()), nullptr) << "the end must not wrap";
  EXPECT_EQ(map.translate(0, 1), nullptr);
  EXPECT_EQ(map.translate(std::numeric_limits<std::uint64_t>::max(), 1), nullptr);
}

TEST(DmaMap, JoinsNeighboursWhoseMemoryContinues) {
  DmaMap map;
  std::array<std::uint8_t, 16384> memory{};
  constexpr std::uint64_t base = 0x10000;
  EXPECT_TRUE(map.add(base, 4096, memory.data(), true, true));
  EXPECT_TRUE(map.add(base + 4096, 4096, memory.data() + 4096, true, true));
  EXPECT_TRUE(map.add(base + 8192, 4096, memory.data() + 8192, true, false));
  EXPECT_EQ(map.translate(base + 4000, 200), memory.data() + 4000);
  EXPECT_EQ(map.translate(base, 8192), memory.data());
  EXPECT_EQ(map.translate(base, 12288), nullptr) << "the last is not to be written";
  EXPECT_EQ(map.translate(base, 12288, DmaAccess::read), memory.data());
  EXPECT_EQ(map.translate(base, 12289, DmaAccess::read), nullptr);
  EXPECT_TRUE(map.add(base + 12288, 4096, memory.data(), true, true));
  EXPECT_EQ(map.translate(base + 12000, 400, DmaAccess::read), nullptr) << "its memory is elsewhere";
  EXPECT_TRUE(map.remove(base + 4096, 4096));
  EXPECT_EQ(map.translate(base + 4000, 200), nullptr);
  EXPECT_EQ(map.translate(base, 4096), memory.data());
}

TEST(DmaMap, NeverJoinsTwoMappings) {
  DmaMap map;
  std::array<std::uint8_t, 8192> memory{};
  const std::uint64_t first = map.map(memory.data(), 4096);
  const std::uint64_t second = map.map(memory.data() + 4096, 4096);
  EXPECT_EQ(map.translate(first, 8192), nullptr);
  EXPECT_EQ(map.translate(second, 4096), memory.data() + 4096);
  EXPECT_EQ(map.translate(first, 4096), memory.data());
}

TEST(DmaMap, ForgetsWhatIsUnmapped) {
  DmaMap map;
  std::array<std::uint8_t, 64> memory{};
  const std::uint64_t base = map.map(memory.data(), memory.size());
  ASSERT_NE(map.translate(base, 64), nullptr);
  map.unmap(base);
  EXPECT_EQ(map.translate(base, 1), nullptr);
  map.unmap(base);
}

TEST(DmaMap, TakesTheHostsAddressesAndRefusesOverlaps) {
  DmaMap map;
  std::array<std::uint8_t, 4096> memory{};
  constexpr std::uint64_t base = 0x10000;
  EXPECT_TRUE(map.add(base, 4096, memory.data(), true, true));
  EXPECT_FALSE(map.add(base, 4096, memory.data(), true, true)) << "the same again";
  EXPECT_FALSE(map.add(base + 4095, 1, memory.data(), true, true)) << "its last byte";
  EXPECT_FALSE(map.add(base - 1, 2, memory.data(), true, true)) << "its first byte";
  EXPECT_FALSE(map.add(base - 10, 10000, memory.data(), true, true)) << "all of it";
  EXPECT_FALSE(map.add(0, 0, memory.data(), true, true)) << "empty";
  EXPECT_FALSE(map.add(std::numeric_limits<std::uint64_t>::max(), 2, memory.data(), true, true)) << "wraps around";
  EXPECT_TRUE(map.add(base + 4096, 4096, memory.data(), true, true)) << "a neighbour";
  EXPECT_TRUE(map.add(std::numeric_limits<std::uint64_t>::max(), 1, memory.data(), true, true)) << "the very last byte";
  EXPECT_EQ(map.translate(base + 10, 100), memory.data() + 10);
  EXPECT_EQ(map.translate(base + 4000, 200), nullptr) << "spans two ranges";
}

TEST(DmaMap, RemovesWhatIsNamedAndNothingElse) {
  DmaMap map;
  std::array<std::uint8_t, 8192> memory{};
  ASSERT_TRUE(map.add(0, 4096, memory.data(), true, true));
  EXPECT_FALSE(map.remove(1, 4096)) << "its last byte is not mapped";
  EXPECT_FALSE(map.remove(4096, 1));
  EXPECT_FALSE(map.remove(0, 0));
  EXPECT_NE(map.translate(0, 4096), nullptr);
  EXPECT_TRUE(map.remove(1024, 1024));
  EXPECT_FALSE(map.remove(1024, 1024));
  EXPECT_FALSE(map.remove(0, 4096)) << "not all of it is there";
  EXPECT_EQ(map.translate(0, 1024), memory.data());
  EXPECT_EQ(map.translate(1023, 2), nullptr);
  EXPECT_EQ(map.translate(2047, 1), nullptr);
  EXPECT_EQ(map.translate(2048, 2048), memory.data() + 2048);
  EXPECT_TRUE(map.add(1024, 1024, memory.data() + 4096, true, true)) << "it is free for other memory";
  EXPECT_EQ(map.translate(1024, 1024), memory.data() + 4096);
  EXPECT_TRUE(map.remove(0, 1024));
  EXPECT_TRUE(map.remove(2048, 2048));
  EXPECT_TRUE(map.remove(1024, 1024));
  EXPECT_EQ(map.range_count(), 0u);
}

TEST(DmaMap, TellsThatItChanged) {
  DmaMap map;
  std::array<std::uint8_t, 64> memory{};
  const std::uint64_t empty = map.generation();
  ASSERT_TRUE(map.add(0x1000, 64, memory.data(), true, true));
  const std::uint64_t added = map.generation();
  EXPECT_NE(added, empty);
  EXPECT_FALSE(map.add(0x1000, 64, memory.data(), true, true));
  EXPECT_FALSE(map.remove(0x1000, 65));
  EXPECT_EQ(map.generation(), added);
  ASSERT_TRUE(map.remove(0x1000, 64));
  EXPECT_NE(map.generation(), added);
}

TEST(DmaMap, CopiesToAndFromPieces) {
  DmaMap map;
  std::array<std::uint8_t, 256> memory{};
  ASSERT_TRUE(map.add(0x1000, 64, memory.data() + 128, true, true));
  ASSERT_TRUE(map.add(0x1040, 64, memory.data(), true, true));
  ASSERT_TRUE(map.add(0x1080, 64, memory.data() + 192, true, false));
  std::array<std::uint8_t, 100> bytes{};
  bytes.fill(7);
  memory.fill(9);
  ASSERT_TRUE(map.write(0x1010, bytes, 110));
  EXPECT_EQ(memory[128 + 15], 9);
  EXPECT_EQ(memory[128 + 16], 7);
  EXPECT_EQ(memory[191], 7);
  EXPECT_EQ(memory[0], 7);
  EXPECT_EQ(memory[51], 7);
  EXPECT_EQ(memory[52], 0) << "zeros behind the bytes";
  EXPECT_EQ(memory[61], 0);
  EXPECT_EQ(memory[62], 9);
  std::array<std::uint8_t, 176> back{};
  ASSERT_TRUE(map.read(0x1010, back));
  EXPECT_EQ(back[0], 7);
  EXPECT_EQ(back[99], 7);
  EXPECT_EQ(back[100], 0);
  EXPECT_EQ(back[175], 9);
  EXPECT_FALSE(map.read(0x1011, back)) << "one byte too far";
  EXPECT_FALSE(map.write(0x1040, bytes, 100)) << "the third piece is not to be written";
  EXPECT_TRUE(map.write(0xFFFF, {}, 0));
}

TEST(DmaMap, AllowsOnlyWhatTheHostAllows) {
  DmaMap map;
  std::array<std::uint8_t, 64> memory{};
  ASSERT_TRUE(map.add(0x1000, 64, memory.data(), true, false));
  ASSERT_TRUE(map.add(0x2000, 64, memory.data(), false, true));
  ASSERT_TRUE(map.add(0x3000, 64, nullptr, true, true));
  EXPECT_EQ(map.translate(0x1000, 64, DmaAccess::read), memory.data());
  EXPECT_EQ(map.translate(0x1000, 64, DmaAccess::write), nullptr);
  EXPECT_EQ(map.translate(0x1000, 64), nullptr);
  EXPECT_EQ(map.translate(0x2000, 64, DmaAccess::write), memory.data());
  EXPECT_EQ(map.translate(0x2000, 64, DmaAccess::read), nullptr);
  EXPECT_EQ(map.translate(0x3000, 1, DmaAccess::read), nullptr) << "memory that this process cannot see";
}

// The cost of a mapping is that of a place in a tree of the pieces there are, in whatever order a gigabyte comes.
TEST(DmaMap, MakesOneOfNeighbours) {
  constexpr std::uint64_t page = 4096;
  constexpr std::size_t pages = 262'144;
  std::vector<std::size_t> order(pages);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<std::uint8_t> memory(page);
  std::uint8_t* const base = memory.data();
  for (int round = 0; round < 3; ++round) {
    DmaMap map;
    for (const std::size_t number : order) {
      // Beyond the first page only pointers are looked at.
      std::uint8_t* const at = std::bit_cast<std::uint8_t*>(std::bit_cast<std::uintptr_t>(base) + number * page);
      ASSERT_TRUE(map.add(number * page, page, at, true, true));
    }
    EXPECT_EQ(map.range_count(), 1u);
    EXPECT_EQ(map.translate(1, page * pages - 1), base + 1);
    for (std::size_t number = 0; number < pages; number += 2) ASSERT_TRUE(map.remove(order[number] * page, page));
    std::size_t present = 0;
    for (std::size_t number = 0; number < pages; ++number) present += map.translate(number * page, page) != nullptr;
    EXPECT_EQ(present, pages / 2);
    round == 0 ? std::reverse(order.begin(), order.end()) : std::shuffle(order.begin(), order.end(), std::mt19937(2));
  }
}

TEST(DmaMap, AnswersLikeAPageTableAmongManyRanges) {
  constexpr std::uint64_t page = 4096;
  constexpr std::size_t pages = 262'144;
  DmaMap map;
  std::vector<std::uint8_t> memory(pages);  // one byte stands for a page: only pointers are looked at
  std::vector<bool> mapped(pages, true);
  for (std::size_t i = 0; i < pages; ++i) ASSERT_TRUE(map.add(i * page, page, memory.data() + i, true, true));
  std::mt19937 random(1);
  for (int i = 0; i < 200'000; ++i) {
    const std::size_t number = random() % pages;
    const std::uint64_t offset = random() % page;
    if (i % 3 == 0) {
      EXPECT_EQ(map.remove(number * page, page), mapped[number]);
      mapped[number] = false;
    }
    ASSERT_EQ(map.translate(number * page + offset, 1), mapped[number] ? memory.data() + number + offset : nullptr);
    ASSERT_EQ(map.translate(number * page + offset, page - offset + 1), nullptr);
  }
}

}  // namespace
}  // namespace ixcap::emulator
