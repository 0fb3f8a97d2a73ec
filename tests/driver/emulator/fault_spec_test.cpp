// A fault specification means what docs/emulator.md says; whatever else is refused with a sentence that mends it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ixcap/driver/emulator/fault_spec.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::emulator {
namespace {

using ::testing::HasSubstr;

std::string refusal(std::string_view text) {
  try {
    parse_faults(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(FaultSpec, TakesEveryFault) {
  const FaultSpec spec = parse_faults(
      "seed=7,crc-errors=0.01,length-errors=0.02,symbol-errors=0.03,error-bytes=0.04,runts=0.05,fragments=0.06,"
      "oversize=0.07,jabber=0.08,dma-faults=0.09,late-write-back=0.5,reordered-write-back=1,starvation=0.25,"
      "lost-interrupts=1e-3,link-flap=500ms,remove-after=100000,receive-hang=2000,ecc-error=3000,stuck-reset=on,"
      "stuck-enable,transmit-hang=on,remove=off");
  EXPECT_EQ(spec.seed, 7u);
  EXPECT_EQ(spec.crc_errors, 0.01);
  EXPECT_EQ(spec.length_errors, 0.02);
  EXPECT_EQ(spec.symbol_errors, 0.03);
  EXPECT_EQ(spec.error_bytes, 0.04);
  EXPECT_EQ(spec.runts, 0.05);
  EXPECT_EQ(spec.fragments, 0.06);
  EXPECT_EQ(spec.oversize, 0.07);
  EXPECT_EQ(spec.jabber, 0.08);
  EXPECT_EQ(spec.dma_faults, 0.09);
  EXPECT_EQ(spec.late_write_back, 0.5);
  EXPECT_EQ(spec.reordered_write_back, 1);
  EXPECT_EQ(spec.starvation, 0.25);
  EXPECT_EQ(spec.lost_interrupts, 0.001);
  EXPECT_EQ(spec.link_flap_ns, 500'000'000u);
  EXPECT_EQ(spec.remove_after, 100'000u);
  EXPECT_EQ(spec.receive_hang, 2000u);
  EXPECT_EQ(spec.ecc_error, 3000u);
  EXPECT_TRUE(spec.stuck_reset);
  EXPECT_TRUE(spec.stuck_enable);
  EXPECT_TRUE(spec.transmit_hang);
  EXPECT_FALSE(spec.remove);
  EXPECT_TRUE(spec.any());
  EXPECT_EQ(parse_faults(spec.to_string()), spec);
}

TEST(FaultSpec, NoneIsNone) {
  EXPECT_EQ(parse_faults("none"), FaultSpec{});
  EXPECT_FALSE(FaultSpec{}.any());
  EXPECT_FALSE(parse_faults("seed=5").any()) << "chance alone is no fault";
  EXPECT_EQ(FaultSpec{}.to_string(), "none");
  EXPECT_EQ(parse_faults("none", parse_faults("jabber=1")), FaultSpec{});
}

TEST(FaultSpec, ComesOnTopOfWhatThereIs) {
  const FaultSpec base = parse_faults("crc-errors=0.5,link-flap=1s");
  EXPECT_EQ(parse_faults("crc-errors=0,runts=0.1", base).to_string(), "runts=0.1,link-flap=1s");
}

TEST(FaultSpec, SpreadsBadFramesOverTheWaysToBeBad) {
  const FaultSpec spec = parse_faults("bad-frames=0.8");
  EXPECT_DOUBLE_EQ(spec.crc_errors, 0.1);
  EXPECT_DOUBLE_EQ(spec.jabber, 0.1);
  EXPECT_EQ(spec.dma_faults, 0);
  EXPECT_DOUBLE_EQ(spec.damaged_frames(), 0.8);
  EXPECT_EQ(parse_faults("bad-frames=1").damaged_frames(), 1);
}

TEST(FaultSpec, ReadsTimes) {
  EXPECT_EQ(parse_faults("link-flap=20us").link_flap_ns, 20'000u);
  EXPECT_EQ(parse_faults("link-flap=3s").link_flap_ns, 3'000'000'000u);
  EXPECT_EQ(parse_faults("link-flap=15ns").to_string(), "link-flap=15ns");
  EXPECT_EQ(parse_faults("link-flap=2000ms").to_string(), "link-flap=2s");
  EXPECT_EQ(parse_faults("link-flap=0").link_flap_ns, 0u);
}

TEST(FaultSpec, RefusesBadValues) {
  for (const std::string_view text : {"crc-errors=",     "crc-errors",
                                      "crc-errors=2",    "crc-errors=-1",
                                      "crc-errors=nan",  "crc-errors=inf",
                                      "crc-errors=1%",   "crc-errors= 1",
                                      "bad-frames=1.5",  "link-flap=5",
                                      "link-flap=5 ms",  "link-flap=-5ms",
                                      "link-flap=3601s", "link-flap=99999999999999999999s",
                                      "link-flap=on",    "remove-after=-1",
                                      "remove-after=1k", "stuck-reset=yes",
                                      "stuck-reset=1",   "seed=x",
                                      "remove="}) {
    EXPECT_THAT(refusal(text), HasSubstr("does not take '")) << text;
  }
}

TEST(FaultSpec, RefusalsSayWhatIsTaken) {
  EXPECT_EQ(refusal("crc-errors=2"),
            "cannot use faults 'crc-errors=2': fault 'crc-errors' does not take '2'; give a share from 0 to 1 (0.01)");
  EXPECT_THAT(refusal("link-flap=5"), HasSubstr("give a time up to an hour (500ms, 20us, 2s), or 0 for never"));
  EXPECT_THAT(refusal("crc=0.1"), HasSubstr("there is no fault 'crc'; give some of bad-frames, crc-errors"));
  EXPECT_THAT(refusal(""), HasSubstr("a fault is empty"));
  EXPECT_THAT(refusal("runts=0.1,"), HasSubstr("a fault is empty"));
  EXPECT_THAT(refusal("none,runts=0.1"), HasSubstr("there is no fault 'none'"));
  EXPECT_THAT(refusal("runts=0.6,jabber=0.6"), HasSubstr("more frames than all would be bad"));
}

}  // namespace
}  // namespace ixcap::emulator
