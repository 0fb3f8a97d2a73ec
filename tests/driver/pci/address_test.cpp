// One place reads PCI addresses: what people write becomes what the kernel writes, and nothing else gets past it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/address.hpp>

#include "tests/files.hpp"

namespace ixcap::pci {
namespace {

using testing::HasSubstr;

TEST(Address, IsWrittenAsTheKernelWritesIt) {
  EXPECT_EQ(canonical_address("0000:03:00.0"), "0000:03:00.0");
  EXPECT_EQ(canonical_address("03:00.0"), "0000:03:00.0");
  EXPECT_EQ(canonical_address("3B:1F.7"), "0000:3b:1f.7");
  EXPECT_EQ(canonical_address("ABCD:ff:00.1"), "abcd:ff:00.1");
  EXPECT_EQ(canonical_address("10000:e1:00.0"), "10000:e1:00.0");
}

TEST(Address, NothingElseIsOne) {
  for (const char* text : {"", "0", "03:00", "3:00.0", "03:00.8", "03:20.0", "03:00.00", "000:03:00.0", "0000:03:00.0 ",
                           " 03:00.0", "0000:03:00.0\n", "0000:0g:00.0", "0000-03-00.0", "../../etc", "0000:03:00.0/..",
                           "123456789:03:00.0", "::::::", "03.00:0", "enp3s0f0"}) {
    EXPECT_EQ(canonical_address(text), std::nullopt) << text;
  }
}

std::string refusal(const std::string& text, const std::string& sysfs) {
  try {
    return "accepted as " + parse_address(text, sysfs);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Address, GarbageIsRefusedWithASentence) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(
      refusal("3:0.0", folder.file("sys")),
      "cannot take the card '3:0.0': that is no PCI address; give one like 0000:03:00.0 or 03:00.0; 'ixcap devices' "
      "lists the cards");
  EXPECT_THAT(refusal("../x", folder.file("sys")), HasSubstr("that is no PCI address"));
}

TEST(Address, ANetworkInterfaceHasOne) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directories(folder.file("sys/class/net/enp3s0f0"));
  std::filesystem::create_directory_symlink("../../../0000:03:00.0", folder.file("sys/class/net/enp3s0f0/device"));
  EXPECT_THAT(refusal("enp3s0f0", folder.file("sys")), HasSubstr("give the address: 0000:03:00.0"));
  EXPECT_THAT(refusal("enp3s0f1", folder.file("sys")), HasSubstr("that is no PCI address"));
}

TEST(Address, PortsOfACardShareASlot) {
  EXPECT_TRUE(same_slot("0000:03:00.0", "0000:03:00.1"));
  EXPECT_FALSE(same_slot("0000:03:00.0", "0000:03:01.0"));
  EXPECT_FALSE(same_slot("0000:03:00.0", "0001:03:00.0"));
}

}  // namespace
}  // namespace ixcap::pci
