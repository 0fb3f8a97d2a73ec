// A traffic string means what docs/traffic.md says; whatever else is refused with a sentence that mends it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::emulator {
namespace {

using ::testing::HasSubstr;

std::string refusal(std::string_view text) {
  try {
    parse_traffic(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(TrafficSpec, DefaultsAreThoseDocumented) {
  for (const std::string_view text : {"", "mix", "mix?"}) {
    const TrafficSpec spec = parse_traffic(text);
    EXPECT_TRUE(spec.is_mix()) << text;
    EXPECT_EQ(spec.rate.unit, Rate::Unit::as_fast_as_received);
    EXPECT_EQ(spec.loop, 1u);
    EXPECT_EQ(spec.count, TrafficSpec::forever);
    EXPECT_EQ(spec.seed, 1u);
    EXPECT_EQ(spec.sizes, TrafficSpec::Sizes::imix);
    EXPECT_EQ(spec.pad, 0u);
  }
}

TEST(TrafficSpec, TakesEveryOption) {
  const TrafficSpec mix = parse_traffic("mix?rate=10G&count=1000&seed=42&size=64&pad=60");
  EXPECT_EQ(mix.count, 1000u);
  EXPECT_EQ(mix.seed, 42u);
  EXPECT_EQ(mix.sizes, TrafficSpec::Sizes::fixed);
  EXPECT_EQ(mix.fixed_size, 64u);
  EXPECT_EQ(mix.pad, 60u);
  const TrafficSpec file = parse_traffic("some/file.pcap?loop=0&pad=15868");
  EXPECT_EQ(file.source, "some/file.pcap");
  EXPECT_EQ(file.loop, TrafficSpec::forever);
  EXPECT_EQ(file.pad, 15868u);
  EXPECT_EQ(parse_traffic("mix?size=15872").fixed_size, 15872u);
  EXPECT_EQ(parse_traffic("mix?seed=18446744073709551615").seed, std::numeric_limits<std::uint64_t>::max());
}

TEST(TrafficSpec, TakesFaults) {
  const TrafficSpec spec = parse_traffic("mix?fault=crc-errors=0.5,link-flap=1s&count=5");
  EXPECT_EQ(spec.faults.to_string(), "crc-errors=0.5,link-flap=1s");
  EXPECT_EQ(spec.count, 5u);
  EXPECT_FALSE(parse_traffic("some.pcap?fault=none").faults.any());
  EXPECT_THAT(refusal("mix?fault=crc-errors=5"), HasSubstr("cannot use faults 'crc-errors=5'"));
  EXPECT_THAT(refusal("mix?fault="), HasSubstr("a fault is empty"));
}

TEST(TrafficSpec, OptionsStartAtTheLastQuestionMark) {
  EXPECT_EQ(parse_traffic("what?.pcap?loop=2").source, "what?.pcap");
  EXPECT_EQ(parse_traffic("what?.pcap?").source, "what?.pcap");
  EXPECT_EQ(parse_traffic("./mix").is_mix(), false);
  EXPECT_EQ(parse_traffic("-").source, "-");
}

TEST(TrafficSpec, ReadsRates) {
  struct Case {
    std::string_view text;
    Rate::Unit unit;
    double value;
  };
  for (const Case& expected :
       {Case{"max", Rate::Unit::as_fast_as_received, 0}, Case{"10G", Rate::Unit::bits_per_second, 10e9},
        Case{"10g", Rate::Unit::bits_per_second, 10e9}, Case{"2.5G", Rate::Unit::bits_per_second, 2.5e9},
        Case{"500M", Rate::Unit::bits_per_second, 500e6}, Case{"64K", Rate::Unit::bits_per_second, 64e3},
        Case{"1000pps", Rate::Unit::frames_per_second, 1000}, Case{"1Kpps", Rate::Unit::frames_per_second, 1000},
        Case{"0.5PPS", Rate::Unit::frames_per_second, 0.5},
        Case{"14.88Mpps", Rate::Unit::frames_per_second, 14.88e6}}) {
    const Rate rate = parse_traffic("mix?rate=" + std::string(expected.text)).rate;
    EXPECT_EQ(rate.unit, expected.unit) << expected.text;
    EXPECT_DOUBLE_EQ(rate.value, expected.value) << expected.text;
  }
}

TEST(TrafficSpec, RefusesBadValues) {
  for (const std::string_view text : {"mix?rate=",
                                      "mix?rate=10",
                                      "mix?rate=0G",
                                      "mix?rate=-1G",
                                      "mix?rate=infG",
                                      "mix?rate=nan",
                                      "mix?rate=10T",
                                      "mix?rate=1e9",
                                      "mix?rate=10Gbit",
                                      "mix?rate=2000G",
                                      "mix?rate=0pps",
                                      "mix?rate=2Gpps",
                                      "mix?rate=fast",
                                      "mix?rate= 1G",
                                      "mix?size=63",
                                      "mix?size=15873",
                                      "mix?size=",
                                      "mix?size=64.0",
                                      "mix?size=IMIX",
                                      "mix?size=-64",
                                      "mix?count=-1",
                                      "mix?count=1K",
                                      "mix?count=18446744073709551616",
                                      "mix?seed=0x10",
                                      "mix?pad=15869",
                                      "x.pcap?loop=+1",
                                      "x.pcap?loop=forever"}) {
    EXPECT_THAT(refusal(text), HasSubstr("does not take '")) << text;
  }
}

TEST(TrafficSpec, RefusalsSayWhatIsTaken) {
  EXPECT_EQ(
      refusal("mix?size=20"),
      "cannot use traffic 'mix?size=20': option 'size' does not take '20'; give imix, or bytes with FCS from 64 to "
      "15872");
  EXPECT_EQ(
      refusal("mix?loop=2"),
      "cannot use traffic 'mix?loop=2': option 'loop' does not apply to mix; leave it out; mix takes rate, count, "
      "seed, size, pad, fault");
  EXPECT_EQ(
      refusal("a.pcap?seed=2"),
      "cannot use traffic 'a.pcap?seed=2': option 'seed' does not apply to a capture file; leave it out; a capture "
      "file takes rate, loop, count, pad, fault");
  EXPECT_THAT(refusal("a.pcap?size=64"), HasSubstr("does not apply to a capture file"));
  EXPECT_THAT(refusal("mix?rate=1G&rate=1G"), HasSubstr("option 'rate' is given twice"));
  EXPECT_THAT(refusal("?rate=1G"), HasSubstr("nothing stands before the '?'; name a capture file, or mix"));
  EXPECT_THAT(refusal("?"), HasSubstr("nothing stands before the '?'"));
  EXPECT_THAT(refusal("mix?rate"), HasSubstr("option 'rate' has no value; give rate= max, bits per second"));
  EXPECT_THAT(refusal("mix?rate=1G&"), HasSubstr("an option is empty"));
  EXPECT_THAT(refusal("mix?=1"), HasSubstr("an option is empty"));
  EXPECT_THAT(refusal("what?.pcap"), HasSubstr("end a path that holds a '?' with one more '?'"));
}

TEST(TrafficSpec, SuggestsTheNearestKey) {
  struct Case {
    std::string_view typed;
    std::string_view meant;
  };
  for (const Case& typo : {Case{"rat", "rate"}, Case{"Rate", "rate"}, Case{"cuont", "count"}, Case{"sed", "seed"},
                           Case{"sizes", "size"}, Case{"padd", "pad"}, Case{"lop", "loop"}}) {
    EXPECT_THAT(refusal("mix?" + std::string(typo.typed) + "=1"),
                HasSubstr("did you mean " + std::string(typo.meant) + "?"))
        << typo.typed;
  }
  EXPECT_THAT(refusal("mix?snaplen=1"), ::testing::Not(HasSubstr("did you mean")));
  std::string long_key = "mix?";
  long_key.append(100000, 'r');
  EXPECT_THAT(refusal(long_key), HasSubstr("there is no option"));
}

TEST(Rate, SpacesFramesAsTheWireDoes) {
  const Rate ten_gigabit = parse_traffic("mix?rate=10G").rate;
  EXPECT_EQ(ten_gigabit.spacing_ps(60), 67'200u);
  EXPECT_EQ(ten_gigabit.spacing_ps(1514), (1514u + 24u) * 800u);
  EXPECT_EQ(ten_gigabit.spacing_ps(61) - ten_gigabit.spacing_ps(60), 800u);
  EXPECT_EQ(parse_traffic("mix?rate=2.5G").rate.spacing_ps(60), 4 * 67'200u);
  EXPECT_EQ(parse_traffic("mix?rate=500M").rate.spacing_ps(60), 20 * 67'200u);
  EXPECT_EQ(parse_traffic("mix?rate=3G").rate.spacing_ps(60), 224'000u);
}

TEST(Rate, SpacesFramesByTheirNumber) {
  EXPECT_EQ(parse_traffic("mix?rate=1000pps").rate.spacing_ps(60), 1'000'000'000u);
  EXPECT_EQ(parse_traffic("mix?rate=1000pps").rate.spacing_ps(1514), 1'000'000'000u);
  EXPECT_EQ(parse_traffic("mix?rate=14.88Mpps").rate.spacing_ps(60), 67'204u);
  EXPECT_EQ(parse_traffic("mix?rate=max").rate.spacing_ps(60), 0u);
}

TEST(Rate, SaturatesInsteadOfWrapping) {
  const Rate slow{.unit = Rate::Unit::bits_per_second, .value = 1};
  EXPECT_EQ(slow.spacing_ps(0xffffffff), static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
}

}  // namespace
}  // namespace ixcap::emulator
