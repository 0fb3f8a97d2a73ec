// The NVM passes the checks that drivers make before they trust a card, read through the registers as they do.

#include <gtest/gtest.h>

#include <string>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {
namespace {

class NvmTest : public ::testing::Test {
 protected:
  std::uint16_t read(std::uint32_t address) {
    nic.write(ixgbe::EERD.offset(), address << ixgbe::EERD_ADDR_SHIFT | ixgbe::EERD_START);
    const std::uint32_t eerd = nic.read(ixgbe::EERD.offset());
    EXPECT_NE(eerd & ixgbe::EERD_DONE, 0u);
    return static_cast<std::uint16_t>(eerd >> ixgbe::EERD_DATA_SHIFT);
  }

  Nic nic{nullptr, {}, Drive::stepped};
};

TEST_F(NvmTest, ChecksumHolds) {
  std::uint32_t sum = 0;
  for (std::uint32_t address = 0; address <= 0x3F; ++address) sum += read(address);
  for (std::uint32_t pointer = 0x03; pointer <= 0x0E; ++pointer) {
    const std::uint32_t section = read(pointer);
    ASSERT_TRUE(section != 0 && section != 0xFFFF) << pointer;
    const std::uint32_t words = read(section);
    ASSERT_TRUE(words != 0 && words != 0xFFFF) << pointer;
    for (std::uint32_t i = 1; i <= words; ++i) sum += read(section + i);
  }
  EXPECT_EQ(sum & 0xFFFF, 0xBABAu);
}

TEST_F(NvmTest, HoldsTheMacAddressInTheSectionOfLanCore0) {
  const std::uint32_t section = read(0x09);
  EXPECT_EQ(std::uint32_t{read(section + 2)} << 16 | read(section + 1), nic.read(ixgbe::RAL.offset()));
  EXPECT_EQ(read(section + 3), nic.read(ixgbe::RAH.offset()) & 0xFFFF);
}

TEST_F(NvmTest, NamesItsPartAndVersions) {
  ASSERT_EQ(read(0x15), 0xFAFA);
  std::uint32_t block = read(0x16);
  std::string part;
  const std::uint32_t words = read(block);
  ASSERT_LT(words, 16u);
  for (std::uint32_t i = 1; i < words; ++i) {
    part.push_back(static_cast<char>(read(block + i) >> 8));
    part.push_back(static_cast<char>(read(block + i) & 0xFF));
  }
  EXPECT_EQ(part, "E10067-006");
  EXPECT_EQ(std::uint32_t{read(0x2E)} << 16 | read(0x2D), 0x80000001u);
  block = read(0x17);
  const std::uint32_t low = read(block + 0x83);
  const std::uint32_t high = read(block + 0x84);
  EXPECT_EQ(low >> 8, 1u) << "option ROM 1.949.0";
  EXPECT_EQ((low << 8 | high >> 8) & 0xFFFF, 949u);
  EXPECT_EQ(high & 0xFF, 0u);
}

TEST_F(NvmTest, FirmwareVersionIsAboveTheLeastThatDriversTake) {
  const std::uint32_t block = read(0x0Fu);
  EXPECT_GT(read(read(block + 4) + 7u), 5);
}

TEST_F(NvmTest, ListsEveryKindOfModule) {
  std::uint32_t entry = read(0x2B) + 1u;
  for (std::uint16_t kind = 3; kind <= 6; ++kind, entry += 2) EXPECT_EQ(read(entry), kind);
  EXPECT_EQ(read(entry), 0xFFFF);
}

TEST_F(NvmTest, ReadsPastTheEndAsErased) {
  EXPECT_EQ(read(0x3FFF), 0xFFFF);
}

}  // namespace
}  // namespace ixcap::emulator
