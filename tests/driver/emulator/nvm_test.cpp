// The NVM passes the checks that drivers make before they trust a card, read through the registers as they do.

#include <gtest/gtest.h>

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
  std::uint16_t sum = 0;
  for (std::uint32_t address = 0; address <= 0x3F; ++address) sum = static_cast<std::uint16_t>(sum + read(address));
  for (std::uint32_t pointer = 0x03; pointer <= 0x0E; ++pointer)
    EXPECT_EQ(read(pointer), 0xFFFF) << "no section to sum";
  // Twelve empty pointers are in the sum as 0xFFFF each, like every other word.
  EXPECT_EQ(sum, 0xBABA);
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
