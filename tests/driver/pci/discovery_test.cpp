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

}  // namespace
}  // namespace ixcap::pci
