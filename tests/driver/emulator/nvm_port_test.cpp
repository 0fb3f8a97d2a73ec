// The NVM word by word and bit by bit: both ways lead to the same words.

#include <gtest/gtest.h>

#include <random>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {
namespace {

using namespace ixgbe;

class NvmPortTest : public ::testing::Test {
 protected:
  std::uint16_t read_word(std::uint32_t address) {
    nic.write(EERD.offset(), address << EERD_ADDR_SHIFT | EERD_START);
    const std::uint32_t eerd = nic.read(EERD.offset());
    EXPECT_NE(eerd & EERD_DONE, 0u);
    return static_cast<std::uint16_t>(eerd >> EERD_DATA_SHIFT);
  }

  std::uint32_t eec() { return nic.read(EEC.offset()); }
  void set(std::uint32_t pin, bool high) { nic.write(EEC.offset(), high ? eec() | pin : eec() & ~pin); }
  void select() {
    set(EEC_REQ, true);
    ASSERT_NE(eec() & EEC_GNT, 0u);
    set(EEC_CS, true);
    set(EEC_SK, false);
    set(EEC_CS, false);
  }
  void release() {
    set(EEC_CS, true);
    set(EEC_REQ, false);
  }
  void send(std::uint32_t value, unsigned bits) {
    while (bits-- != 0) {
      set(EEC_DI, (value >> bits & 1) != 0);
      set(EEC_SK, true);
      set(EEC_SK, false);
    }
  }
  std::uint32_t take(unsigned bits) {
    std::uint32_t value = 0;
    while (bits-- != 0) {
      set(EEC_SK, true);
      value = value << 1 | ((eec() & EEC_DO) != 0 ? 1 : 0);
      set(EEC_SK, false);
    }
    return value;
  }
  std::uint16_t bang_word(std::uint32_t address) {
    select();
    send(0x03, 8);
    send(address * 2, 16);
    const std::uint32_t low = take(8);
    const std::uint32_t high = take(8);
    release();
    return static_cast<std::uint16_t>(high << 8 | low);
  }
  std::uint32_t status() {
    select();
    send(0x05, 8);
    const std::uint32_t value = take(8);
    release();
    return value;
  }

  Nic nic{nullptr, {}, Drive::stepped};
};

TEST_F(NvmPortTest, BitsSayWhatWordsSay) {
  for (std::uint32_t address = 0; address < 0x40; ++address) EXPECT_EQ(bang_word(address), read_word(address));
  EXPECT_EQ(bang_word(8191), 0xFFFF);
}

TEST_F(NvmPortTest, ReadsOnFromAnAddress) {
  select();
  send(0x03, 8);
  send(2 * 0x2D, 16);
  for (std::uint32_t address = 0x2D; address < 0x40; ++address) {
    const std::uint32_t low = take(8);
    EXPECT_EQ(take(8) << 8 | low, read_word(address));
  }
}

TEST_F(NvmPortTest, NothingAnswersWithoutARequest) {
  select();
  set(EEC_REQ, false);
  send(0x03, 8);
  send(2 * 0x2E, 16);
  EXPECT_EQ(take(16), 0u);
}

TEST_F(NvmPortTest, WritesWordsThatOutliveAReset) {
  nic.write(EEWR.offset(), 0xBEEFu << EERD_DATA_SHIFT | 0x300u << EERD_ADDR_SHIFT | EERD_START);
  EXPECT_NE(nic.read(EEWR.offset()) & EERD_DONE, 0u);
  nic.write(CTRL.offset(), CTRL_RST);
  EXPECT_EQ(read_word(0x300), 0xBEEF);
  nic.write(EEWR.offset(), 0x1234u << EERD_DATA_SHIFT | 0x3FFFu << EERD_ADDR_SHIFT | EERD_START);
  EXPECT_EQ(read_word(0x3FFF), 0xFFFF) << "past the end";
}

TEST_F(NvmPortTest, WritesBitsOnlyWhenEnabled) {
  const auto write = [&](std::uint32_t address, std::uint32_t bytes) {
    select();
    send(0x02, 8);
    send(address * 2, 16);
    send(bytes, 16);
    release();
  };
  write(0x300, 0x3412);
  EXPECT_EQ(read_word(0x300), 0xFFFF) << "not enabled";
  select();
  send(0x06, 8);
  release();
  EXPECT_EQ(status(), 0x02u) << "enabled, not busy";
  write(0x300, 0x3412);
  EXPECT_EQ(read_word(0x300), 0x1234);
  EXPECT_EQ(status(), 0u) << "one write, then disabled";
}

TEST_F(NvmPortTest, FlashIsGrantedToWhoRequestsIt) {
  nic.write(FLA.offset(), FLA_FL_REQ);
  EXPECT_EQ(nic.read(FLA.offset()), FLA_FL_REQ | FLA_FL_GNT);
  nic.write(FLA.offset(), 0xFFFFFFFF & ~FLA_FL_REQ);
  EXPECT_EQ(nic.read(FLA.offset()) & (FLA_FL_GNT | 1u << 30), 0u) << "never busy";
}

TEST_F(NvmPortTest, GarbageOnThePinsIsHarmless) {
  std::mt19937 random(1);
  for (int i = 0; i < 200'000; ++i) nic.write(EEC.offset(), static_cast<std::uint32_t>(random()) & 0x4F);
  nic.write(EEC.offset(), 0);
  EXPECT_NE(eec() & EEC_PRES, 0u);
  EXPECT_NE(eec() & EEC_ARD, 0u);
}

}  // namespace
}  // namespace ixcap::emulator
