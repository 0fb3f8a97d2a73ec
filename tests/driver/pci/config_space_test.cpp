// Capabilities are found where the list says they are; a list that a device made up leads nowhere.

#include <gtest/gtest.h>

#include <array>

#include <ixcap/driver/pci/config_space.hpp>

namespace ixcap::pci {
namespace {

using Config = std::array<std::uint8_t, conventional_config_bytes>;

constexpr std::uint8_t power_management = 0x01;

/// Power management at 0x40, then MSI-X at 0xfc, the last place there is.
Config two_capabilities() {
  Config config{};
  config[0x06] = 0x10;
  config[0x34] = 0x40;
  config[0x40] = power_management;
  config[0x41] = 0xfc;
  config[0xfc] = capability_msix;
  return config;
}

TEST(ConfigSpaceOfADriver, FindsCapabilities) {
  const Config config = two_capabilities();
  EXPECT_EQ(find_capability(config, power_management), 0x40u);
  EXPECT_EQ(find_capability(config, capability_msix), 0xfcu);
  EXPECT_EQ(find_capability(config, 0x10), 0u);
}

TEST(ConfigSpaceOfADriver, IgnoresTheBitsThatAPointerDoesNotHave) {
  Config config = two_capabilities();
  config[0x34] |= 3;
  config[0x41] |= 1;
  EXPECT_EQ(find_capability(config, capability_msix), 0xfcu);
}

TEST(ConfigSpaceOfADriver, FindsNothingWhereThereIsNoList) {
  Config config = two_capabilities();
  config[0x06] = 0;
  EXPECT_EQ(find_capability(config, power_management), 0u);
  EXPECT_EQ(find_capability({}, power_management), 0u);
  EXPECT_EQ(find_capability(std::span(config).first(0x3f), power_management), 0u);
}

TEST(ConfigSpaceOfADriver, LeavesAListThatLeadsAstray) {
  Config circle = two_capabilities();
  circle[0x41] = 0x40;
  EXPECT_EQ(find_capability(circle, capability_msix), 0u);
  Config into_the_header = two_capabilities();
  into_the_header[0x34] = 0x04;
  into_the_header[0x04] = capability_msix;
  EXPECT_EQ(find_capability(into_the_header, capability_msix), 0u);
  const Config config = two_capabilities();
  EXPECT_EQ(find_capability(std::span(config).first(0xfc), capability_msix), 0u) << "it ends before";
  Config ones;
  ones.fill(0xff);
  EXPECT_EQ(find_capability(ones, capability_msix), 0u) << "a device that is gone";
}

}  // namespace
}  // namespace ixcap::pci
