// What the kernel tells of an IOMMU is understood, and nonsense in its place is refused rather than believed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/vfio.h>

#include <cstring>
#include <random>
#include <vector>

#include <ixcap/driver/pci/vfio_capabilities.hpp>

namespace ixcap::pci {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;

using Bytes = std::vector<std::uint8_t>;

template <typename Structure>
void put(Bytes& bytes, std::size_t offset, const Structure& structure) {
  if (bytes.size() < offset + sizeof structure) bytes.resize(offset + sizeof structure);
  std::memcpy(bytes.data() + offset, &structure, sizeof structure);
}

constexpr std::uint32_t ranges_at = sizeof(vfio_iommu_type1_info);

vfio_iommu_type1_info head(std::uint32_t capabilities) {
  vfio_iommu_type1_info info = {};
  info.argsz = sizeof info;
  info.flags = VFIO_IOMMU_INFO_PGSIZES | (capabilities != 0 ? VFIO_IOMMU_INFO_CAPS : 0u);
  info.iova_pgsizes = 0x40201000;
  info.cap_offset = capabilities;
  return info;
}

/// As a kernel answers: migration, of which nothing is used, then two ranges, then the mappings left.
Bytes answer() {
  Bytes bytes;
  put(bytes, 0, head(ranges_at));
  const std::uint32_t available_at =
      ranges_at + sizeof(vfio_iommu_type1_info_cap_iova_range) + 2 * sizeof(vfio_iova_range);
  const std::uint32_t migration_at = available_at + sizeof(vfio_iommu_type1_info_dma_avail);
  put(bytes, ranges_at, vfio_info_cap_header{VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, available_at});
  put(bytes, ranges_at + sizeof(vfio_info_cap_header), std::uint32_t{2});
  put(bytes, ranges_at + sizeof(vfio_iommu_type1_info_cap_iova_range), vfio_iova_range{0, 0xfedfffff});
  put(bytes, ranges_at + sizeof(vfio_iommu_type1_info_cap_iova_range) + sizeof(vfio_iova_range),
      vfio_iova_range{0xfef00000, 0x7fffffffff});
  put(bytes, available_at, vfio_info_cap_header{3, 1, migration_at});
  put(bytes, available_at + sizeof(vfio_info_cap_header), std::uint32_t{77});
  vfio_iommu_type1_info_cap_migration migration = {};
  migration.header = {VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, 1, 0};
  put(bytes, migration_at, migration);
  return bytes;
}

TEST(IommuInfo, IsWhatTheKernelTells) {
  const auto info = parse_iommu_info(answer());
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->page_sizes, 0x40201000u);
  EXPECT_THAT(info->usable, ElementsAre(FieldsAre(0u, 0xfedfffffu), FieldsAre(0xfef00000u, 0x7fffffffffu)));
  EXPECT_EQ(info->mappings_left, 77u);
}

TEST(IommuInfo, HasUsualValuesWhereTheKernelTellsNone) {
  Bytes bytes;
  put(bytes, 0, head(0));
  const auto info = parse_iommu_info(bytes);
  ASSERT_TRUE(info.has_value());
  EXPECT_THAT(info->usable, ElementsAre(FieldsAre(0u, 0xfedfffffu), FieldsAre(0xfef00000u, 0x7fffffffffu)));
  EXPECT_EQ(info->mappings_left, 65535u);
  bytes.resize(16);  // a kernel whose structure ended there
  EXPECT_TRUE(parse_iommu_info(bytes).has_value());
}

TEST(IommuInfo, IgnoresCapabilitiesOfAnotherVersion) {
  Bytes bytes = answer();
  put(bytes, ranges_at + 2, std::uint16_t{2});
  put(bytes, ranges_at + sizeof(vfio_info_cap_header), std::uint32_t{1'000'000});
  const auto info = parse_iommu_info(bytes);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->usable.size(), 2u) << "the usual";
  EXPECT_EQ(info->mappings_left, 77u);
}

TEST(IommuInfo, IsRefusedWhenItContradictsItself) {
  const auto refuses = [](std::size_t offset, auto value) {
    Bytes bytes = answer();
    put(bytes, offset, value);
    bytes.resize(answer().size());
    return !parse_iommu_info(bytes).has_value();
  };
  constexpr std::size_t next_at = offsetof(vfio_info_cap_header, next);
  EXPECT_TRUE(refuses(offsetof(vfio_iommu_type1_info, iova_pgsizes), std::uint64_t{0}));
  EXPECT_TRUE(refuses(offsetof(vfio_iommu_type1_info, cap_offset), std::uint32_t{0xffffffff}));
  EXPECT_TRUE(refuses(offsetof(vfio_iommu_type1_info, cap_offset), static_cast<std::uint32_t>(answer().size() - 4)));
  EXPECT_TRUE(refuses(ranges_at + next_at, ranges_at)) << "a circle";
  EXPECT_TRUE(refuses(ranges_at + next_at, std::uint32_t{8})) << "backwards";
  EXPECT_TRUE(refuses(ranges_at + next_at, std::uint32_t{0xfffffff8}));
  EXPECT_TRUE(refuses(ranges_at + sizeof(vfio_info_cap_header), std::uint32_t{0}));
  EXPECT_TRUE(refuses(ranges_at + sizeof(vfio_info_cap_header), std::uint32_t{0xffffffff}));
  EXPECT_TRUE(refuses(ranges_at + sizeof(vfio_info_cap_header), std::uint32_t{6})) << "more than there is room for";
  constexpr std::size_t first_range = ranges_at + sizeof(vfio_iommu_type1_info_cap_iova_range);
  EXPECT_TRUE(refuses(first_range, vfio_iova_range{2, 1}));
  EXPECT_TRUE(refuses(first_range, vfio_iova_range{0, 0xffffffff})) << "reaches into the second";
}

TEST(IommuInfo, IsNotReadBeyondItsEnd) {
  const Bytes whole = answer();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    parse_iommu_info(part);
  }
  EXPECT_FALSE(parse_iommu_info({}).has_value());
}

TEST(IommuInfo, SurvivesGarbage) {
  constexpr unsigned seed = 7;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = answer();
    for (unsigned i = 0; i < 1 + round % 4u; ++i) bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    const auto info = parse_iommu_info(bytes);
    if (!info.has_value()) continue;
    EXPECT_FALSE(info->usable.empty());
    for (const IoRange& range : info->usable) EXPECT_LE(range.first, range.last);
  }
}

}  // namespace
}  // namespace ixcap::pci
