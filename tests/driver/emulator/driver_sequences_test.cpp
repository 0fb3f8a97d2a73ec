// What other people's drivers do to the card's control registers, step for step, ends as it does on a card: no wait
// without an end, no diagnostic that fails.

#include <gtest/gtest.h>

#include <array>
#include <random>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {
namespace {

using namespace ixgbe;

class DriverSequences : public ::testing::Test {
 protected:
  std::uint32_t read(std::uint32_t offset) { return nic.read(offset); }
  void write(std::uint32_t offset, std::uint32_t value) { nic.write(offset, value); }
  std::uint32_t read(const Register& reg) { return nic.read(reg.offset()); }
  void write(const Register& reg, std::uint32_t value) { nic.write(reg.offset(), value); }
  static bool known(std::uint32_t offset) { return RegisterFile().locate(offset).reg != nullptr; }

  Nic nic{nullptr, {}, Drive::stepped};
};

/// A row of the register test of `ethtool -t`, which writes patterns limited to `write` and expects to read what of
/// them lies in `mask`.
struct Pattern {
  std::uint32_t offset, stride, count, mask, write;
};

TEST_F(DriverSequences, EthtoolsRegisterTestPasses) {
  constexpr auto rows = std::to_array<Pattern>({
      {0x03220, 0x40, 1, 0x8007FFF0, 0x8007FFF0},  // FCRTL
      {0x03260, 0x40, 1, 0x8007FFF0, 0x8007FFF0},  // FCRTH
      {0x03008, 0x40, 1, 0xFFFFFFFF, 0xFFFFFFFF},  // PFCTOP
      {0x05088, 0x40, 1, 0x00000000, 0x00000000},  // VLNCTRL
      {0x01000, 0x40, 4, 0xFFFFFF80, 0xFFFFFF80},  // RDBAL
      {0x01004, 0x40, 4, 0xFFFFFFFF, 0xFFFFFFFF},  // RDBAH
      {0x01008, 0x40, 4, 0x000FFF80, 0x000FFFFF},  // RDLEN
      {0x01018, 0x40, 4, 0x0000FFFF, 0x0000FFFF},  // RDT
      {0x03200, 0x40, 1, 0xFFFFFFFF, 0xFFFFFFFF},  // FCTTV
      {0x06000, 0x40, 4, 0xFFFFFF80, 0xFFFFFFFF},  // TDBAL
      {0x06004, 0x40, 4, 0xFFFFFFFF, 0xFFFFFFFF},  // TDBAH
      {0x06008, 0x40, 4, 0x000FFF80, 0x000FFF80},  // TDLEN
      {0x05400, 8, 16, 0xFFFFFFFF, 0xFFFFFFFF},    // RAL
      {0x05404, 8, 16, 0x8001FFFF, 0x800CFFFF},    // RAH
      {0x05200, 4, 128, 0xFFFFFFFF, 0xFFFFFFFF},   // MTA
  });
  for (const Pattern& row : rows) {
    if (!known(row.offset)) continue;
    for (std::uint32_t i = 0; i < row.count; ++i) {
      const std::uint32_t offset = row.offset + i * row.stride;
      for (const std::uint32_t pattern : {0x5A5A5A5Au, 0xA5A5A5A5u, 0u, 0xFFFFFFFFu}) {
        const std::uint32_t before = read(offset);
        write(offset, pattern & row.write);
        EXPECT_EQ(read(offset), pattern & row.write & row.mask) << std::hex << offset;
        write(offset, before);
      }
    }
  }
  constexpr std::uint32_t toggled = 0x7FFFF30F;
  const std::uint32_t status = read(STATUS) & toggled;
  write(STATUS, toggled);
  EXPECT_EQ(read(STATUS) & toggled, status);
  write(RXCTRL, 1);
  EXPECT_EQ(read(RXCTRL) & 1, 1u);
}

TEST_F(DriverSequences, MasterDisableAndResetEndAtOnce) {
  nic.enable_bus_master(true);
  EXPECT_NE(read(STATUS) & STATUS_GIO, 0u);
  write(CTRL, CTRL_GIO_DIS);
  EXPECT_NE(read(CTRL) & CTRL_GIO_DIS, 0u) << "reads back";
  EXPECT_EQ(read(STATUS) & STATUS_GIO, 0u);
  for (const std::uint32_t reset : {CTRL_RST, CTRL_LNK_RST, CTRL_RST | CTRL_LNK_RST}) {
    write(CTRL, read(CTRL) | reset);
    EXPECT_EQ(read(CTRL), 0u);
    EXPECT_NE(read(STATUS) & STATUS_GIO, 0u) << "Linux never takes GIO_DIS back";
  }
}

TEST_F(DriverSequences, EverythingADriverWaitsForIsThere) {
  EXPECT_NE(read(EEC) & EEC_ARD, 0u);
  EXPECT_NE(read(EEC) & EEC_PRES, 0u);
  EXPECT_NE(read(RDRXCTL) & RDRXCTL_DMAIDONE, 0u);
  write(SECRXCTRL, SECRXCTRL_RX_DIS);
  EXPECT_NE(read(SECRXSTAT) & SECRXSTAT_RDY, 0u);
  write(SECTXCTRL, 2);
  EXPECT_NE(read(SECTXSTAT) & 1, 0u);
  EXPECT_NE(read(SECTXSTAT) & 2, 0u) << "no security engine to set up";
  EXPECT_EQ(read(FWSM) & 0x8000, 0x8000u) << "firmware is valid, and manages nothing";
  EXPECT_EQ(read(MMNGC) & 1, 0u) << "no veto";
  EXPECT_EQ(read(HICR) & 1, 0u) << "no commands to the firmware";
}

TEST_F(DriverSequences, NoPhyAnswersOnTheMdioBus) {
  for (std::uint32_t port = 0; port < 32; ++port) {
    for (const std::uint32_t operation : {0u, 3u}) {
      write(MSCA, 2 | 1u << 16 | port << 21 | operation << 26 | MSCA_MDI_CMD);
      EXPECT_EQ(read(MSCA) & MSCA_MDI_CMD, 0u);
    }
    EXPECT_EQ(read(MSRWD) >> MSRWD_READ_DATA_SHIFT, 0xFFFFu);
  }
}

TEST_F(DriverSequences, SemaphoresAreTakenAndGivenBack) {
  EXPECT_EQ(read(SWSM) & SWSM_SMBI, 0u);
  EXPECT_NE(read(SWSM) & SWSM_SMBI, 0u) << "taken";
  write(SWSM, read(SWSM) | SWSM_SWESMBI);
  EXPECT_NE(read(SWSM) & SWSM_SWESMBI, 0u);
  EXPECT_EQ(read(GSSR), 0u) << "the firmware holds nothing";
  write(GSSR, 0x2);
  EXPECT_EQ(read(GSSR), 0x2u);
  write(GSSR, 0);
  write(SWSM, 0);
  EXPECT_EQ(read(SWSM) & SWSM_SMBI, 0u) << "free again";
}

TEST_F(DriverSequences, AnalogRegistersKeepWhatIsWritten) {
  write(CORECTL, 0x24u << CORECTL_ADDR_SHIFT | 0x5A);
  write(CORECTL, 0x25u << CORECTL_ADDR_SHIFT | 0x11);
  write(CORECTL, CORECTL_WRITE_CMD | 0x24u << CORECTL_ADDR_SHIFT);
  EXPECT_EQ(read(CORECTL) & 0xFF, 0x5Au);
}

TEST_F(DriverSequences, TheMacAddressComesFromTheNvmAtEveryReset) {
  const std::uint32_t low = read(RAL);
  const std::uint32_t high = read(RAH);
  EXPECT_EQ(low & 1, 0u) << "unicast";
  EXPECT_NE(high & RAH_AV, 0u);
  write(RAL, 0);
  write(RAH, 0);
  write(CTRL, CTRL_RST);
  EXPECT_EQ(read(RAL), low);
  EXPECT_EQ(read(RAH), high);
}

TEST_F(DriverSequences, NoAddressReadsAllOnesThatNobodyWrote) {
  for (std::uint32_t offset = 0; offset < register_space_bytes; offset += 4) {
    EXPECT_NE(read(offset), 0xFFFFFFFFu) << std::hex << offset;
  }
}

TEST_F(DriverSequences, SurvivesGarbageAndComesBackWithAReset) {
  std::mt19937 random(1);
  for (int i = 0; i < 300'000; ++i) {
    const std::uint32_t offset = static_cast<std::uint32_t>(random()) % register_space_bytes & ~3u;
    if (offset >= EEWR.offset() && offset <= EEC.offset() + 0xC) continue;  // the NVM stays whole
    write(offset, static_cast<std::uint32_t>(random()));
    read(static_cast<std::uint32_t>(random()) % register_space_bytes);
  }
  write(CTRL, CTRL_RST);
  EXPECT_EQ(read(CTRL), 0u);
  EXPECT_NE(read(LINKS) & LINKS_UP, 0u);
  EXPECT_NE(read(RAH) & RAH_AV, 0u);
}

}  // namespace
}  // namespace ixcap::emulator
