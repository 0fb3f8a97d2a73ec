// Cards are found as sysfs shows them; what sysfs does not tell is left out, and a missing sysfs is an empty machine.

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>

#include <ixcap/driver/pci/discovery.hpp>

#include "tests/files.hpp"

namespace ixcap::pci {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::uint16_t, 1> x520{0x10FB};

class Discovery : public testing::Test {
 protected:
  fs::path add_function(const std::string& address, const std::string& vendor, const std::string& device) {
    const fs::path path = fs::path(folder.file("bus/pci/devices")) / address;
    fs::create_directories(path);
    std::ofstream(path / "vendor") << vendor << '\n';
    std::ofstream(path / "device") << device << '\n';
    return path;
  }
  std::vector<Function> find() { return find_functions(0x8086, x520, folder.file("")); }

  test::TemporaryFolder folder;
};

TEST_F(Discovery, FindsCardsByTheirIdsInOrder) {
  add_function("0000:03:00.1", "0x8086", "0x10fb");
  add_function("0000:03:00.0", "0x8086", "0x10fb");
  add_function("0000:04:00.0", "0x8086", "0x1572");
  add_function("0000:05:00.0", "0x1234", "0x10fb");
  const auto found = find();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].address, "0000:03:00.0");
  EXPECT_EQ(found[1].address, "0000:03:00.1");
  EXPECT_EQ(found[0].kernel_driver, "");
}

TEST_F(Discovery, TellsDriverAndNetworkInterface) {
  const fs::path path = add_function("0000:03:00.0", "0x8086", "0x10fb");
  fs::create_directory_symlink("../../../../bus/pci/drivers/ixgbe", path / "driver");
  fs::create_directories(path / "net/enp3s0f0");
  const auto found = find();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].kernel_driver, "ixgbe");
  EXPECT_EQ(found[0].network_interface, "enp3s0f0");
}

TEST_F(Discovery, IgnoresGarbage) {
  add_function("0000:03:00.0", "Intel", "");
  fs::create_directories(folder.file("bus/pci/devices/empty"));
  EXPECT_TRUE(find().empty());
  EXPECT_TRUE(find_functions(0x8086, x520, folder.file("absent")).empty());
}

TEST_F(Discovery, TellsWhatAFunctionIsPartOf) {
  const fs::path path = add_function("0000:03:00.0", "0x8086", "0x10fb");
  std::ofstream(path / "class") << "0x020000\n";
  std::ofstream(path / "driver_override") << "vfio-pci\n";
  std::ofstream(path / "numa_node") << "1\n";
  std::ofstream(path / "sriov_numvfs") << "2\n";
  std::ofstream(path / "current_link_speed") << "2.5 GT/s PCIe\n";
  std::ofstream(path / "current_link_width") << "4\n";
  std::ofstream(path / "max_link_speed") << "5.0 GT/s PCIe\n";
  std::ofstream(path / "max_link_width") << "8\n";
  fs::create_directory_symlink("../../../../kernel/iommu_groups/12", path / "iommu_group");
  const auto function = find_function("0000:03:00.0", folder.file(""));
  ASSERT_TRUE(function.has_value());
  EXPECT_TRUE(function->is_ethernet());
  EXPECT_FALSE(function->is_bridge());
  EXPECT_EQ(function->driver_override, "vfio-pci");
  EXPECT_EQ(function->numa_node, 1);
  EXPECT_EQ(function->virtual_functions, 2u);
  EXPECT_EQ(function->iommu_group, 12u);
  EXPECT_EQ(function->link.megabits_per_second(), 8'000u);
  EXPECT_EQ(function->best_link.megabits_per_second(), 32'000u);
  EXPECT_EQ(find_function("0000:03:00.1", folder.file("")), std::nullopt);
  EXPECT_EQ(find_function("..", folder.file("")), std::nullopt);
}

TEST_F(Discovery, WhatTheKernelDoesNotKnowIsZero) {
  const fs::path path = add_function("0000:03:00.0", "0x8086", "0x10fb");
  std::ofstream(path / "driver_override") << "(null)\n";
  std::ofstream(path / "current_link_speed") << "Unknown\n";
  std::ofstream(path / "current_link_width") << "255\n";
  fs::create_directory_symlink("../../../../kernel/iommu_groups/none", path / "iommu_group");
  const auto function = find_function("0000:03:00.0", folder.file(""));
  ASSERT_TRUE(function.has_value());
  EXPECT_EQ(function->driver_override, "");
  EXPECT_EQ(function->link.megabits_per_second(), 0u);
  EXPECT_EQ(function->link.lanes, 0u);
  EXPECT_EQ(function->iommu_group, std::nullopt);
  EXPECT_EQ(function->numa_node, -1);
}

TEST_F(Discovery, FindsWhatIsBuiltUponAnInterface) {
  for (const char* link : {"enp3s0f0/upper_br0", "br0/upper_vlan5", "br0/lower_enp3s0f0", "vlan5/upper_br0"}) {
    fs::create_directories(fs::path(folder.file("class/net")) / link);
  }
  EXPECT_EQ(interfaces_over("enp3s0f0", folder.file("")), (std::vector<std::string>{"enp3s0f0", "br0", "vlan5"}));
  EXPECT_EQ(interfaces_over("eth9", folder.file("")), std::vector<std::string>{"eth9"});
}

}  // namespace
}  // namespace ixcap::pci
