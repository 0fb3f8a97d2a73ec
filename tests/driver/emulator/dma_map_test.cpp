// The software NIC reaches mapped memory and nothing else, whatever address a descriptor holds.

#include <gtest/gtest.h>

#include <array>
#include <limits>

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

}  // namespace
}  // namespace ixcap::emulator
