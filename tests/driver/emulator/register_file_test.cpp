// Every access mode of the register table behaves on the bus as the table says, and what the table does not know is
// harmless.

#include <gtest/gtest.h>

#include <random>

#include <ixcap/driver/emulator/register_file.hpp>

namespace ixcap::emulator {
namespace {

using namespace ixgbe;

TEST(RegisterFile, StartsAtResetValues) {
  RegisterFile registers;
  for (const Register* reg : register_table) EXPECT_EQ(registers.get(*reg, reg->count - 1), reg->reset) << reg->name;
}

TEST(RegisterFile, ReadWriteReadsBack) {
  RegisterFile registers;
  registers.write(FCTRL.offset(), 0x12345678);
  EXPECT_EQ(registers.read(FCTRL.offset()), 0x12345678u);
}

TEST(RegisterFile, ReadOnlyIgnoresWrites) {
  RegisterFile registers;
  registers.write(FWSM.offset(), 0);
  EXPECT_EQ(registers.read(FWSM.offset()), FWSM.reset);
}

TEST(RegisterFile, ReadOnlyBitsKeepTheirValueBesideWritableOnes) {
  RegisterFile registers;
  registers.write(RDRXCTL.offset(), 0x2);
  EXPECT_EQ(registers.read(RDRXCTL.offset()), 0xAu) << "DMAIDONE stays, CRCSTRIP is written";
}

TEST(RegisterFile, ReadClears) {
  RegisterFile registers;
  registers.set(TPR, 42);
  EXPECT_EQ(registers.read(TPR.offset()), 42u);
  EXPECT_EQ(registers.read(TPR.offset()), 0u);
}

TEST(RegisterFile, WritingOneClearsACause) {
  RegisterFile registers;
  registers.set(EICR, 0xF0);
  registers.write(EICR.offset(), 0x30);
  EXPECT_EQ(registers.get(EICR), 0xC0u);
}

TEST(RegisterFile, WritingOneSetsAMask) {
  RegisterFile registers;
  registers.write(EIMS.offset(), 0x1);
  registers.write(EIMS.offset(), 0x4);
  EXPECT_EQ(registers.read(EIMS.offset()), 0x5u);
}

TEST(RegisterFile, SemaphoreIsTakenByReading) {
  RegisterFile registers;
  EXPECT_EQ(registers.read(SWSM.offset()) & 1, 0u) << "free, and now taken";
  EXPECT_EQ(registers.read(SWSM.offset()) & 1, 1u);
  registers.write(SWSM.offset(), 0);
  EXPECT_EQ(registers.read(SWSM.offset()) & 1, 0u);
}

TEST(RegisterFile, AliasesShareStorage) {
  RegisterFile registers;
  registers.write(0x05400 + 8, 0xAABBCCDD);
  EXPECT_EQ(registers.read(RAL.offset(1)), 0xAABBCCDDu);
  registers.write(SRRCTL.offset(3), 0x10000402);
  EXPECT_EQ(registers.read(0x02100 + 4 * 3), 0x10000402u);
}

TEST(RegisterFile, GarbageAddressesAreHarmlessAndNeverReadAllOnes) {
  RegisterFile registers;
  constexpr std::uint32_t seed = 1;
  std::mt19937 random(seed);
  for (int i = 0; i < 200'000; ++i) {
    const auto offset = static_cast<std::uint32_t>(random());
    registers.write(offset, static_cast<std::uint32_t>(random()));
    if (registers.locate(offset).reg == nullptr) {
      EXPECT_EQ(registers.read(offset), 0u) << std::hex << offset;
    }
  }
  EXPECT_EQ(registers.read(register_space_bytes), 0u);
  EXPECT_EQ(registers.read(CTRL.offset() + 1), 0u) << "misaligned";
}

}  // namespace
}  // namespace ixcap::emulator
