// What is asked of the kernel reaches its files, and what it refuses comes back as a sentence.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/kernel.hpp>

#include "tests/files.hpp"
#include "tests/process.hpp"

namespace ixcap::pci {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class KernelTest : public testing::Test {
 protected:
  void put(const std::string& path, const std::string& text) {
    const fs::path file = folder.file(path);
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  test::TemporaryFolder folder;
  Kernel kernel{{.sysfs = folder.file("sys"),
                 .procfs = folder.file("proc"),
                 .dev = folder.file("dev"),
                 .modules = folder.file("modules"),
                 .state = folder.file("state")}};
};

TEST_F(KernelTest, WritesToSysfs) {
  put("sys/a/b", "");
  kernel.write("a/b", "0000:03:00.0");
  EXPECT_EQ(test::read_file(folder.file("sys/a/b")), "0000:03:00.0");
}

TEST_F(KernelTest, ARefusedWriteSaysWhatAndWhere) {
  try {
    kernel.write("a/missing", "x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("/sys/a/missing': No such file or directory"));
  }
  fs::create_directories(folder.file("sys"));
  fs::create_symlink("/dev/full", folder.file("sys/full"));
  try {
    kernel.write("full", "text\n");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot write 'text' to"));
    EXPECT_THAT(error.what(), HasSubstr("No space left on device"));
  }
}

TEST_F(KernelTest, ReadsAnInterface) {
  put("sys/class/net/enp3s0f0/mtu", "9000\n");
  put("sys/class/net/enp3s0f0/flags", "0x1003\n");
  put("sys/class/net/enp3s0f0/address", "a0:36:9f:00:00:01\n");
  const auto network = kernel.network("enp3s0f0");
  ASSERT_TRUE(network.has_value());
  EXPECT_EQ(network->mtu, 9000u);
  EXPECT_TRUE(network->up);
  EXPECT_EQ(network->mac, "a0:36:9f:00:00:01");
  EXPECT_EQ(kernel.network(""), std::nullopt);
  EXPECT_EQ(kernel.network("enp3s0f1"), std::nullopt);
}

TEST_F(KernelTest, KnowsModulesThatAreLoadedBuiltInOrThere) {
  utsname running{};
  ASSERT_EQ(::uname(&running), 0);
  const std::string modules = std::string("modules/") + running.release;
  EXPECT_FALSE(kernel.has_module("vfio-pci"));
  put(modules + "/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n");
  EXPECT_TRUE(kernel.has_module("vfio-pci"));
  EXPECT_TRUE(kernel.has_module("vfio_pci"));
  EXPECT_FALSE(kernel.has_module("vfio"));  // only needed by one
  put(modules + "/modules.builtin", "kernel/drivers/vfio/vfio.ko\n");
  EXPECT_TRUE(kernel.has_module("vfio"));
  fs::create_directories(folder.file("sys/module/ixgbe"));
  EXPECT_TRUE(kernel.has_module("ixgbe"));
}

TEST_F(KernelTest, HandsAGroupToItsUser) {
  put("dev/vfio/7", "");
  EXPECT_EQ(kernel.group_file(7), folder.file("dev/vfio/7"));
  kernel.hand_over(7, ::getuid());
  EXPECT_EQ(fs::status(folder.file("dev/vfio/7")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_FALSE(kernel.group_in_use(7));
  EXPECT_THROW(kernel.hand_over(8, ::getuid()), Error);
}

TEST_F(KernelTest, AModuleThatThereIsNotIsASentence) {
  try {
    kernel.load_module("ixcap-no-such-module");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot load kernel module 'ixcap-no-such-module'"));
  }
}

}  // namespace
}  // namespace ixcap::pci
