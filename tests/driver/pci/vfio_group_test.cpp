// What stands between a card and VFIO is named together with the command that removes it. What comes after that needs
// VFIO itself: tests/vm/jobs/vfio.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include <ixcap/driver/pci/vfio_device.hpp>

#include "tests/files.hpp"

namespace ixcap::pci {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

/// A machine as sysfs shows it: one card, in group 7 and with vfio-pci, until a test changes that.
class VfioGroupTest : public testing::Test {
 protected:
  static constexpr const char* address = "0000:03:00.0";

  VfioGroupTest() {
    fs::create_directories(function_);
    fs::create_directories(paths_.dev + "/vfio");
    fs::create_directories(paths_.sysfs + "/kernel/iommu_groups/7");
    fs::create_directory_symlink("../../../../kernel/iommu_groups/7", function_ / "iommu_group");
    fs::create_symlink("../../drivers/vfio-pci", function_ / "driver");
    write(function_ / "vendor", "0x8086\n");
    write(function_ / "device", "0x10fb\n");
  }

  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

  std::string refusal(const std::string& of = address) {
    try {
      const VfioDevice device(of, paths_);
    } catch (const Error& error) {
      EXPECT_FALSE(error.mend().empty());
      return error.what();
    }
    return "opened";
  }

  test::TemporaryFolder folder_;
  VfioPaths paths_{folder_.file("sys"), folder_.file("dev")};
  fs::path function_ = fs::path(paths_.sysfs) / "bus/pci/devices" / address;
};

TEST_F(VfioGroupTest, IdentifiesAFunctionWithoutOpeningIt) {
  const Identity id = VfioGroup::identify(address, paths_);
  EXPECT_EQ(id.address, address);
  EXPECT_EQ(id.vendor, 0x8086);
  EXPECT_EQ(id.device, 0x10fb);
  EXPECT_EQ(id.description, "PCI device 8086:10fb");
  EXPECT_THROW(VfioGroup::identify("0000:03:00.1", paths_), Error);
}

TEST_F(VfioGroupTest, NamesWhoKeepsTheGroupFromBeingUsed) {
  const fs::path members = fs::path(paths_.sysfs) / "kernel/iommu_groups/7/devices";
  const auto add = [&](const char* name, const char* driver, const char* class_code) {
    fs::create_directories(members / name);
    write(members / name / "class", class_code);
    if (driver != nullptr) fs::create_symlink(fs::path("../../drivers") / driver, members / name / "driver");
  };
  EXPECT_EQ(VfioGroup::others_in_use(address, paths_), "");
  add(address, "vfio-pci", "0x020000\n");
  add("0000:03:00.3", nullptr, "0x020000\n");
  add("0000:03:00.2", "vfio-pci", "0x020000\n");
  add("0000:00:1c.0", "pcieport", "0x060400\n");
  EXPECT_EQ(VfioGroup::others_in_use(address, paths_), "");
  add("0000:04:00.0", "nvme", "0x010802\n");
  add("0000:03:00.1", "ixgbe", "0x020000\n");
  EXPECT_EQ(VfioGroup::others_in_use(address, paths_), "0000:03:00.1 (driver ixgbe), 0000:04:00.0 (driver nvme)");
}

TEST_F(VfioGroupTest, RefusesWhatIsNotThere) {
  EXPECT_THAT(refusal("0000:04:00.0"), AllOf(HasSubstr("no PCI device"), HasSubstr("ixcap devices")));
}

TEST_F(VfioGroupTest, RefusesACardThatNoIommuConfines) {
  write(function_ / "iommu_group/name", "vfio-noiommu\n");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("no IOMMU"), HasSubstr("VT-d"), HasSubstr("intel_iommu=on")));
  fs::remove(function_ / "iommu_group");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("no IOMMU"), HasSubstr("ixcap doctor 0000:03:00.0")));
}

TEST_F(VfioGroupTest, RefusesACardThatAnotherDriverHas) {
  fs::remove(function_ / "driver");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("no driver has the card"), HasSubstr("sudo ixcap bind 0000:03:00.0")));
  fs::create_symlink("../../drivers/ixgbe", function_ / "driver");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("driver ixgbe has the card"), HasSubstr("sudo ixcap bind 0000:03:00.0")));
}

TEST_F(VfioGroupTest, RefusesAKernelWithoutVfio) {
  EXPECT_THAT(refusal(), AllOf(HasSubstr("/vfio/vfio"), HasSubstr("modprobe vfio-pci")));
  write(paths_.dev + "/vfio/vfio", "");
  EXPECT_THAT(refusal(), HasSubstr("no VFIO"));
}

}  // namespace
}  // namespace ixcap::pci
