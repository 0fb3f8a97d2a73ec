// I/O addresses come from where they may, lowest first and apart from each other, and can be had again.

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <random>
#include <vector>

#include <ixcap/driver/pci/io_address_space.hpp>

namespace ixcap::pci {
namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t gib = 1024 * mib;
constexpr std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();

/// What x86 has: the window of interrupts is in the middle.
constexpr std::array<IoRange, 2> x86 = {{{0, 0xFEDF'FFFF}, {0xFEF0'0000, (std::uint64_t{1} << 39) - 1}}};

TEST(IoAddressSpace, GivesTheLowestButNeverZero) {
  IoAddressSpace space(x86);
  EXPECT_EQ(space.take(4 * kib, 4 * kib), 4 * kib);
  EXPECT_EQ(space.take(4 * kib, 4 * kib), 12 * kib) << "a page is free between them";
  EXPECT_EQ(space.take(4 * mib, 2 * mib), 2 * mib);
  EXPECT_EQ(space.take(4 * kib, 4 * kib), 20 * kib) << "what lies before an aligned piece is not lost";
}

TEST(IoAddressSpace, KeepsOutOfReservedWindows) {
  IoAddressSpace space(x86);
  EXPECT_EQ(space.take(3 * gib, gib), gib + 3 * gib) << "3 GiB and a page do not fit below";
  EXPECT_EQ(space.take(2 * gib, gib), gib);
  EXPECT_EQ(space.take(gib, gib), 8 * gib);
}

TEST(IoAddressSpace, GivesNothingThatIsNotThere) {
  const std::array<IoRange, 1> small = {{{16 * kib, 48 * kib - 1}}};
  IoAddressSpace space(small);
  EXPECT_FALSE(space.take(0, 4 * kib).has_value());
  EXPECT_FALSE(space.take(100, 4 * kib).has_value()) << "no whole page";
  EXPECT_FALSE(space.take(32 * kib, 4 * kib).has_value()) << "the page behind it";
  EXPECT_FALSE(space.take(4 * kib, 64 * kib).has_value());
  EXPECT_FALSE(space.take(highest - 4095, 4 * kib).has_value());
  EXPECT_FALSE(space.take(4 * kib, std::uint64_t{1} << 63).has_value());
  EXPECT_EQ(space.take(28 * kib, 4 * kib), 16 * kib) << "all of it";
  EXPECT_FALSE(space.take(4 * kib, 4 * kib).has_value());
}

TEST(IoAddressSpace, GivesAgainWhatCameBack) {
  const std::array<IoRange, 1> small = {{{16 * kib, 64 * kib - 1}}};
  IoAddressSpace space(small);
  const auto first = space.take(8 * kib, 4 * kib);
  const auto second = space.take(8 * kib, 4 * kib);
  const auto third = space.take(8 * kib, 4 * kib);
  const auto fourth = space.take(8 * kib, 4 * kib);
  ASSERT_TRUE(first && second && third && fourth);
  space.give_back(*third, 8 * kib);
  space.give_back(*first, 8 * kib);
  space.give_back(*second, 8 * kib);
  EXPECT_EQ(space.take(32 * kib, 4 * kib), first) << "the three are one piece again";
  space.give_back(*first, 32 * kib);
  space.give_back(*fourth, 8 * kib);
  EXPECT_EQ(space.take(44 * kib, 4 * kib), first);
}

TEST(IoAddressSpace, MakesSenseOfOddRanges) {
  const std::array<IoRange, 6> odd = {{{highest - 10, highest},
                                       {5000, 9000},          // no whole page
                                       {20 * kib, 10 * kib},  // backwards
                                       {40 * kib, 50 * kib},  // overlap
                                       {44 * kib, 60 * kib - 1},
                                       {60 * kib, 72 * kib - 1}}};  // and touch
  IoAddressSpace space(odd);
  EXPECT_EQ(space.take(28 * kib, 4 * kib), 40 * kib);
  EXPECT_FALSE(space.take(4 * kib, 4 * kib).has_value());
  IoAddressSpace none({});
  EXPECT_FALSE(none.take(4 * kib, 4 * kib).has_value());
}

TEST(IoAddressSpace, TheLastPageOfSixtyFourBitsStaysOut) {
  const std::array<IoRange, 1> all = {{{0, highest}}};
  IoAddressSpace space(all);
  EXPECT_FALSE(space.take(highest - 8191, 4 * kib).has_value());
  EXPECT_EQ(space.take(std::uint64_t{1} << 63, std::uint64_t{1} << 62), std::uint64_t{1} << 62);
}

TEST(IoAddressSpace, PiecesNeverOverlapWhateverComesAndGoes) {
  constexpr unsigned seed = 1;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  IoAddressSpace space(x86);
  std::vector<IoRange> taken;
  for (int step = 0; step < 5000; ++step) {
    if (!taken.empty() && random() % 2 == 0) {
      const std::size_t victim = random() % taken.size();
      space.give_back(taken[victim].first, taken[victim].last - taken[victim].first + 1);
      taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(victim));
      continue;
    }
    const std::uint64_t alignment = std::array{4 * kib, 2 * mib, gib}[random() % 3];
    const std::uint64_t bytes = (1 + random() % 64) * alignment;
    const auto address = space.take(bytes, alignment);
    if (!address) continue;
    ASSERT_EQ(*address % alignment, 0u);
    const IoRange range{*address, *address + bytes - 1};
    bool inside = false;
    for (const IoRange& usable : x86) inside = inside || (range.first >= usable.first && range.last <= usable.last);
    ASSERT_TRUE(inside);
    for (const IoRange& other : taken) ASSERT_TRUE(range.last + 4096 < other.first || other.last + 4096 < range.first);
    taken.push_back(range);
  }
  for (const IoRange& range : taken) space.give_back(range.first, range.last - range.first + 1);
  EXPECT_EQ(space.take(0xFEDF'F000 - 4 * kib, 4 * kib), 4 * kib) << "in the end it is whole again";
}

}  // namespace
}  // namespace ixcap::pci
