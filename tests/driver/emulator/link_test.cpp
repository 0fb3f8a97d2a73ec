// The link is up when all that it needs is there, follows at once what the driver or a hand at the cable does, and
// tells.

#include <gtest/gtest.h>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {
namespace {

using namespace ixgbe;

class LinkTest : public ::testing::Test {
 protected:
  bool up() {
    const std::uint32_t links = nic.read(LINKS.offset());
    EXPECT_EQ((links & LINKS_SPEED_MASK) == LINKS_SPEED_10G, (links & LINKS_UP) != 0);
    return (links & LINKS_UP) != 0;
  }
  std::uint32_t causes() { return nic.read(EICR.offset()); }
  void write(const Register& reg, std::uint32_t value) { nic.write(reg.offset(), value); }
  std::uint32_t read(const Register& reg) { return nic.read(reg.offset()); }

  Nic nic{nullptr, {}, Drive::stepped};
};

TEST_F(LinkTest, IsUpFromTheStart) {
  EXPECT_TRUE(up());
  EXPECT_EQ(causes(), 0u);
}

TEST_F(LinkTest, FollowsTheLaser) {
  write(ESDP, ESDP_SDP3);
  EXPECT_FALSE(up());
  EXPECT_EQ(causes(), EICR_LSC);
  write(ESDP, 0);
  EXPECT_TRUE(up());
  EXPECT_EQ(causes(), EICR_LSC);
  write(ESDP, 1u << 5);
  EXPECT_EQ(causes(), 0u) << "no change";
  EXPECT_NE(read(ESDP) & ESDP_SDP2, 0u) << "an input";
}

TEST_F(LinkTest, FollowsCableAndModule) {
  nic.set_carrier(false);
  EXPECT_FALSE(up());
  nic.set_carrier(true);
  EXPECT_TRUE(up());
  EXPECT_EQ(causes(), EICR_LSC);
  write(GPIE, GPIE_SDP2_GPIEN);
  nic.plug(SfpKind::none);
  EXPECT_FALSE(up());
  EXPECT_EQ(causes(), EICR_LSC | EICR_SDP2);
  nic.plug(SfpKind::long_range);
  EXPECT_TRUE(up());
  EXPECT_EQ(causes(), EICR_LSC | EICR_SDP2);
}

TEST_F(LinkTest, NeedsATenGigabitMode) {
  for (std::uint32_t mode = 0; mode < 8; ++mode) {
    write(AUTOC, mode << AUTOC_LMS_SHIFT | AUTOC_AN_RESTART);
    EXPECT_EQ(up(), mode == 1 || mode == 3) << mode;
    EXPECT_EQ(read(AUTOC) & AUTOC_AN_RESTART, 0u) << "self-clearing";
  }
  write(AUTOC, AUTOC_LMS_10G_SERIAL);
  write(AUTOC2, 1u << 30);
  EXPECT_FALSE(up()) << "disabled";
}

TEST_F(LinkTest, CanBeForcedUp) {
  nic.set_carrier(false);
  write(AUTOC, AUTOC_LMS_10G_PARALLEL | AUTOC_FLU);
  EXPECT_TRUE(up()) << "as the loopback test has it";
}

/// The detour of drivers after they have set up a module: a mode that negotiates, and back.
TEST_F(LinkTest, PipelineResetEnds) {
  const std::uint32_t autoc = read(AUTOC);
  write(AUTOC, (autoc ^ 4u << AUTOC_LMS_SHIFT) | AUTOC_AN_RESTART);
  EXPECT_NE(read(ANLP1) & ANLP1_AN_STATE_MASK, 0u);
  write(AUTOC, autoc | AUTOC_AN_RESTART);
  EXPECT_TRUE(up());
}

TEST_F(LinkTest, ResetBringsItBackWithoutACause) {
  write(ESDP, ESDP_SDP3);
  write(CTRL, CTRL_LNK_RST);
  EXPECT_TRUE(up());
  EXPECT_EQ(causes(), 0u);
  nic.plug(SfpKind::none);
  write(CTRL, CTRL_RST);
  EXPECT_FALSE(up()) << "the cage is still empty";
  EXPECT_EQ(read(ESDP) & ESDP_SDP2, 0u);
}

}  // namespace
}  // namespace ixcap::emulator
