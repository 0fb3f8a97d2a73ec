// The software NIC reaches mapped memory and nothing else, whatever address a descriptor holds.

#include <gtest/gtest.h>

#include <array>
#include <limits>
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

TEST(DmaMap, RemovesOnlyWhatIsNamedExactly) {
  DmaMap map;
  std::array<std::uint8_t, 4096> memory{};
  ASSERT_TRUE(map.add(0, 4096, memory.data(), true, true));
  EXPECT_FALSE(map.remove(0, 2048));
  EXPECT_FALSE(map.remove(1, 4095));
  EXPECT_NE(map.translate(0, 4096), nullptr);
  EXPECT_TRUE(map.remove(0, 4096));
  EXPECT_FALSE(map.remove(0, 4096));
  EXPECT_EQ(map.translate(0, 1), nullptr);
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

TEST(DmaMap, AnswersLikeAPageTableAmongManyRanges) {
  constexpr std::uint64_t page = 4096;
  constexpr std::size_t pages = 200'000;
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
