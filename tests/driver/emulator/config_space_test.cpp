// Configuration space is an X520-2's: a host that walks it finds what it needs, and can change only what a card allows.

#include <gtest/gtest.h>

#include <array>
#include <random>

#include <ixcap/driver/emulator/config_space.hpp>

namespace ixcap::emulator {
namespace {

class ConfigSpaceTest : public ::testing::Test {
 protected:
  std::uint32_t read(std::uint32_t offset, unsigned size = 4) {
    std::array<std::uint8_t, 4> bytes{};
    config.read(offset, std::span(bytes).first(size));
    return bytes[0] | std::uint32_t{bytes[1]} << 8 | std::uint32_t{bytes[2]} << 16 | std::uint32_t{bytes[3]} << 24;
  }
  void write(std::uint32_t offset, std::uint32_t value, unsigned size = 4) {
    std::array<std::uint8_t, 4> bytes{};
    for (unsigned i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
    config.write(offset, std::span(bytes).first(size));
  }

  ConfigSpace config{{0x02, 0x00, 0x63, 0x78, 0x99, 0x25}};
};

TEST_F(ConfigSpaceTest, IsAnX520) {
  EXPECT_EQ(read(0x00), 0x10FB8086u);
  EXPECT_EQ(read(0x08), 0x02000001u);
  EXPECT_EQ(read(0x0E, 1), 0u) << "header type 0, one function";
  EXPECT_EQ(read(0x2C), 0x00038086u);
  EXPECT_EQ(read(0x3D, 1), 1u) << "INTA";
}

TEST_F(ConfigSpaceTest, ListsItsCapabilitiesWhereDriversExpectThem) {
  EXPECT_NE(read(0x06, 2) & 0x10, 0u);
  const std::array<std::array<std::uint32_t, 2>, 4> list{{{0x40, 0x01}, {0x50, 0x05}, {0x70, 0x11}, {0xA0, 0x10}}};
  std::uint32_t place = read(0x34, 1);
  for (const auto& [offset, id] : list) {
    EXPECT_EQ(place, offset);
    EXPECT_EQ(read(place, 1), id);
    place = read(place + 1, 1);
  }
  EXPECT_EQ(place, 0u) << "the end";
  const std::array<std::array<std::uint32_t, 2>, 3> extended{{{0x100, 0x0001}, {0x140, 0x0003}, {0x150, 0x000E}}};
  place = 0x100;
  for (const auto& [offset, id] : extended) {
    EXPECT_EQ(place, offset);
    EXPECT_EQ(read(place, 2), id);
    place = read(place) >> 20;
  }
  EXPECT_EQ(place, 0u);
}

TEST_F(ConfigSpaceTest, TellsWhatLinuxReadsAtFixedPlaces) {
  EXPECT_EQ((read(0x72, 2) & 0x7FF) + 1, 64u) << "MSI-X vectors";
  EXPECT_EQ(read(0x74), 0x4u) << "table at the start of BAR 4";
  EXPECT_EQ(read(0x78), 0x2004u) << "pending bits";
  EXPECT_EQ(read(0xAA, 2) & 0x20, 0u) << "no transactions pending";
  EXPECT_EQ(read(0xB2, 2) & 0x3FF, 0x82u) << "5 GT/s, x8";
  EXPECT_EQ(read(0x144), 0xFF789925u);
  EXPECT_EQ(read(0x148), 0x020063FFu);
}

TEST_F(ConfigSpaceTest, SizesItsBars) {
  for (std::uint32_t bar = 0x10; bar <= 0x24; bar += 4) write(bar, 0xFFFFFFFF);
  write(0x30, 0xFFFFFFFF);
  EXPECT_EQ(read(0x10), 0xFFF80004u) << "512 KiB, 64 bits wide";
  EXPECT_EQ(read(0x14), 0xFFFFFFFFu);
  EXPECT_EQ(read(0x18), 0u);
  EXPECT_EQ(read(0x1C), 0u);
  EXPECT_EQ(read(0x20), 0xFFFFC004u) << "16 KiB";
  EXPECT_EQ(read(0x24), 0xFFFFFFFFu);
  EXPECT_EQ(read(0x30), 0u) << "no expansion ROM";
}

TEST_F(ConfigSpaceTest, CommandRegisterEnablesMemoryAndBusMaster) {
  EXPECT_FALSE(config.memory_enabled());
  EXPECT_FALSE(config.bus_master());
  write(0x04, 0x0006, 2);
  EXPECT_TRUE(config.memory_enabled());
  EXPECT_TRUE(config.bus_master());
  config.set_bus_master(false);
  EXPECT_EQ(read(0x04, 2), 0x0002u);
  write(0x04, 0xFFFF, 2);
  EXPECT_EQ(read(0x04, 2), 0x0546u) << "no I/O space";
  EXPECT_TRUE(config.intx_disabled());
}

TEST_F(ConfigSpaceTest, ShowsInterruptModesAndStates) {
  EXPECT_FALSE(config.msi_enabled());
  write(0x52, 1, 2);
  write(0x60, 1);
  EXPECT_TRUE(config.msi_enabled());
  EXPECT_TRUE(config.msi_masked());
  write(0x72, 0xC000, 2);
  EXPECT_TRUE(config.msix_enabled());
  EXPECT_TRUE(config.msix_masked());
  EXPECT_EQ(read(0x72, 2), 0xC03Fu) << "the size stays";
  config.set_intx_status(true);
  config.set_msi_pending(true);
  EXPECT_NE(read(0x06, 2) & 0x8, 0u);
  EXPECT_EQ(read(0x64), 1u);
}

TEST_F(ConfigSpaceTest, AsksForResetByFunctionLevelResetAndByPowerState) {
  EXPECT_NE(read(0xA4) & 1u << 28, 0u) << "capable of it";
  EXPECT_FALSE(config.take_reset_request());
  write(0xA8, 0xA810, 2);
  EXPECT_EQ(read(0xA8, 2), 0x2810u) << "the bit reads 0";
  EXPECT_TRUE(config.take_reset_request());
  EXPECT_FALSE(config.take_reset_request());
  write(0x44, 3, 2);
  EXPECT_FALSE(config.take_reset_request());
  write(0x44, 0, 2);
  EXPECT_TRUE(config.take_reset_request());
}

TEST_F(ConfigSpaceTest, GarbageChangesOnlyWhatACardAllows) {
  std::array<std::uint8_t, ConfigSpace::bytes> before{};
  config.read(0, before);
  std::mt19937 random(1);
  for (int i = 0; i < 100'000; ++i)
    write(static_cast<std::uint32_t>(random() % 5000), static_cast<std::uint32_t>(random()),
          1 + static_cast<unsigned>(i % 4));
  for (const std::uint32_t fixed :
       {0x00u, 0x08u, 0x2Cu, 0x34u, 0x74u, 0x78u, 0xA4u, 0xACu, 0x100u, 0x140u, 0x148u, 0x150u}) {
    std::uint32_t was = 0;
    for (unsigned i = 0; i < 4; ++i) was |= std::uint32_t{before[fixed + i]} << (8 * i);
    EXPECT_EQ(read(fixed), was) << std::hex << fixed;
  }
  config.reset();
  std::array<std::uint8_t, ConfigSpace::bytes> after{};
  config.read(0, after);
  EXPECT_EQ(before, after);
}

TEST_F(ConfigSpaceTest, ReadsZeroBeyondTheEnd) {
  std::array<std::uint8_t, 4> bytes{1, 2, 3, 4};
  config.read(ConfigSpace::bytes - 2, bytes);
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 4>{}));
  bytes.fill(0xFF);
  config.read(0xFFFFFFFF, bytes);
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 4>{}));
  config.write(0xFFFFFFFF, bytes);
}

}  // namespace
}  // namespace ixcap::emulator
