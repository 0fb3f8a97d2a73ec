// What may_match() denies no frame of the class may do; and it denies what hardware filters are made of.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/frame_class.hpp>
#include <ixcap/filter/vlan_aware.hpp>

#include "tests/filter/oracle.hpp"
#include "tests/filter/packets.hpp"
#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint32_t source_offset = 26;
constexpr std::uint32_t destination_offset = 30;

FrameClass ipv4() {
  FrameClass frames;
  frames.set(12, 0x0800, 2);
  frames.set(14, 0x40, 1, 0xF0);
  return frames;
}

FrameClass ipv4_packets_of(std::uint32_t protocol) {
  FrameClass frames = ipv4();
  frames.set(23, protocol, 1);
  return frames;
}

FrameClass tagged(std::uint32_t vlan) {
  FrameClass frames;
  frames.set(12, 0x8100, 2);
  frames.set(14, vlan, 2, 0x0FFF);
  return frames;
}

bool may_match(const std::string& expression, const FrameClass& frames) {
  return filter::may_match(compile(expression), frames);
}

TEST(FrameClass, KnowsNothingAtFirst) {
  for (const std::string expression : {"ip", "not ip", "greater 100", "tcp port 80", "ether[3] & 1 = 1"}) {
    EXPECT_TRUE(may_match(expression, {})) << expression;
  }
  EXPECT_FALSE(filter::may_match(Program::returning(0), {}));
}

TEST(FrameClass, DecidesByEthertype) {
  EXPECT_TRUE(may_match("ip", ipv4()));
  EXPECT_FALSE(may_match("arp", ipv4()));
  EXPECT_FALSE(may_match("ip6 and tcp port 443", ipv4()));
  EXPECT_TRUE(may_match("tcp port 443", ipv4()));
  EXPECT_TRUE(may_match("not arp", ipv4()));
}

TEST(FrameClass, DecidesByProtocol) {
  EXPECT_FALSE(may_match("udp port 53", ipv4_packets_of(6)));
  EXPECT_TRUE(may_match("udp port 53", ipv4_packets_of(17)));
  EXPECT_TRUE(may_match("port 53", ipv4_packets_of(6)));
  EXPECT_TRUE(may_match("not udp", ipv4_packets_of(6)));
}

TEST(FrameClass, DecidesByVlan) {
  EXPECT_FALSE(may_match("tcp", tagged(5)));
  EXPECT_TRUE(may_match("not tcp", tagged(5)));
  EXPECT_TRUE(may_match("vlan 5", tagged(5)));
  EXPECT_FALSE(may_match("vlan 5", tagged(6)));
  EXPECT_FALSE(may_match("vlan 5 and udp", tagged(4095)));
  EXPECT_TRUE(filter::may_match(compile_vlan_aware("tcp"), tagged(5)));
}

TEST(FrameClass, DecidesByExcludedAddresses) {
  constexpr std::uint32_t host = 0x0A000001;
  FrameClass frames = ipv4();
  frames.exclude(0, source_offset);
  frames.exclude(1, destination_offset);
  const Program program = compile("host 10.0.0.1 and tcp");
  EXPECT_TRUE(filter::may_match(program, frames));
  EXPECT_THAT(compared(program, frames), ElementsAre(ElementsAre(host), ElementsAre(host)));
  frames.exclude(0, source_offset, {host});
  EXPECT_TRUE(filter::may_match(program, frames)) << "by its destination";
  frames.exclude(1, destination_offset, {1, host});
  EXPECT_FALSE(filter::may_match(program, frames));
  EXPECT_TRUE(may_match("host 10.0.0.1 or udp", frames));
  EXPECT_TRUE(may_match("net 10.0.0.0/8", frames)) << "nothing is known of a part of a word";
  EXPECT_THAT(compared(compile("net 10.0.0.0/8"), frames), ElementsAre(IsEmpty(), IsEmpty()));
  EXPECT_THAT(compared(compile("src host 10.0.0.1"), frames), ElementsAre(ElementsAre(host), IsEmpty()));
}

/// A class that `frame` is in: some of its bits.
FrameClass some_class_of(const Bytes& frame, Random& random) {
  FrameClass frames;
  for (std::uint32_t i = 0; i < frame.size() && i < FrameClass::most_bytes; ++i) {
    if (random() % 2 == 0) frames.set(i, frame[i], 1, random() % 4 == 0 ? random() & 0xFF : 0xFF);
  }
  for (std::size_t slot = 0; slot < 2; ++slot) {
    const std::uint32_t offset = slot == 0 ? source_offset : destination_offset;
    if (frame.size() < offset + 4) continue;
    std::uint32_t word = 0;
    for (std::uint32_t i = 0; i < 4; ++i) word = word << 8 | frame[offset + i];
    std::vector<std::uint32_t> others = {word + 1, word - 1, word ^ (1u << random() % 32), 0x0A000001, 0xC0000201};
    std::erase(others, word);
    frames.exclude(slot, offset, others);
  }
  return frames;
}

class Denials {
 public:
  void look(const Program& program, const Bytes& frame, Random& random) {
    const FrameClass frames = some_class_of(frame, random);
    const bool may = filter::may_match(program, frames);
    if (!may) ++denied_;
    ASSERT_TRUE(may || Oracle(program.instructions()).run(frame_of(frame)) == 0);
  }
  unsigned denied() const { return denied_; }

 private:
  unsigned denied_ = 0;
};

TEST(FrameClass, DeniesNoFrameThatAnExpressionMatches) {
  Random random(73);
  Denials denials;
  const std::vector<Bytes> frames = sample_frames();
  for (const std::string_view expression : sample_expressions()) {
    const Program program = compile(std::string(expression));
    for (const Bytes& frame : frames) {
      ASSERT_NO_FATAL_FAILURE(denials.look(program, frame, random)) << expression;
    }
  }
  EXPECT_GT(denials.denied(), 1000u);
}

TEST(FrameClass, DeniesNoFrameThatARandomProgramMatches) {
  constexpr unsigned seed = 79;
  Random random(seed);
  Denials denials;
  for (int count = 0; count < 3000; ++count) {
    const Program program = Program::verify(random_instructions(random));
    for (int i = 0; i < 8; ++i) {
      ASSERT_NO_FATAL_FAILURE(denials.look(program, random_frame(random), random)) << "seed " << seed << ", " << count;
    }
  }
  EXPECT_GT(denials.denied(), 1000u);
}

}  // namespace
}  // namespace ixcap::filter
