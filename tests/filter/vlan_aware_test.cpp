// A VLAN-aware program answers for a tagged frame what the plain program answers for the same frame without its tags.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <ixcap/filter/engines.hpp>
#include <ixcap/filter/tokens.hpp>
#include <ixcap/filter/vlan_aware.hpp>

#include "tests/filter/oracle.hpp"
#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

using ::testing::HasSubstr;

using Tags = std::vector<std::uint16_t>;

const std::vector<Tags> all_tags = {
    {}, {0x8100}, {0x88a8}, {0x9100}, {0x8100, 0x8100}, {0x88a8, 0x8100}, {0x9100, 0x88a8}, {0x88a8, 0x9100}};

bool is_tag_type(unsigned type) {
  return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

unsigned type_of(const Bytes& frame) {
  return frame.size() < 14 ? 0 : static_cast<unsigned>(frame[12] << 8 | frame[13]);
}

Bytes with_tags(const Bytes& frame, const Tags& tags) {
  Bytes inserted;
  for (const std::uint16_t tag : tags) {
    inserted.insert(inserted.end(), {static_cast<std::uint8_t>(tag >> 8), static_cast<std::uint8_t>(tag), 0x20, 5});
  }
  Bytes tagged = frame;
  tagged.insert(tagged.begin() + 12, inserted.begin(), inserted.end());
  return tagged;
}

/// Frames of at least 14 bytes that bring no tag of their own.
std::vector<Bytes> untagged_frames() {
  std::vector<Bytes> frames = sample_frames();
  Random random(71);
  for (int count = 0; count < 40; ++count) {
    Bytes frame = random_frame(random);
    frame.resize(std::max<std::size_t>(frame.size(), 14));
    const std::array<int, 4> types = {0x0800, 0x86dd, 0x0806, 0x8847};
    const int type = types[random() % types.size()];
    frame[12] = static_cast<std::uint8_t>(type >> 8);
    frame[13] = static_cast<std::uint8_t>(type);
    frames.push_back(frame);
  }
  std::erase_if(frames, [](const Bytes& frame) { return frame.size() < 14 || is_tag_type(type_of(frame)); });
  return frames;
}

bool has_word(std::string_view expression, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(tokens_of(expression), [&](const Token& token) {
    return std::ranges::find(words, expression.substr(token.start, token.end - token.start)) != words.end();
  });
}

/// The sample expressions that neither ask for tags nor for the frame as it came.
std::vector<std::string> expressions() {
  std::vector<std::string> chosen;
  for (const std::string_view expression : sample_expressions()) {
    if (has_word(expression, {"vlan", "len", "less", "greater"})) continue;
    if (expression.find("ether[") != std::string_view::npos) continue;
    if (expression.find("link[") != std::string_view::npos) continue;
    chosen.emplace_back(expression);
  }
  return chosen;
}

Frame truncated(const Bytes& frame, std::size_t captured) {
  return {frame.data(), static_cast<std::uint32_t>(captured), static_cast<std::uint32_t>(frame.size())};
}

std::uint32_t run(const Program& program, const Bytes& frame, std::size_t captured) {
  return Oracle(program.instructions()).run(truncated(frame, captured));
}

std::uint32_t run(const Program& program, const Bytes& frame) {
  return run(program, frame, frame.size());
}

TEST(VlanAware, AnswersAsIfTheTagsWereNotThere) {
  const std::vector<Bytes> frames = untagged_frames();
  std::size_t matches = 0;
  for (const std::string& expression : expressions()) {
    SCOPED_TRACE(expression);
    for (const bool optimize : {true, false}) {
      const Program plain = compile(expression, 96, optimize);
      if (3 * plain.instructions().size() > longest_program - 100) continue;  // may be refused: a list, not optimised
      const Program aware = compile_vlan_aware(expression, 96, optimize);
      for (const Bytes& frame : frames) {
        const std::uint32_t expected = run(plain, frame);
        matches += expected != 0;
        for (const Tags& tags : all_tags) {
          ASSERT_EQ(run(aware, with_tags(frame, tags)), expected)
              << testing::PrintToString(tags) << " before type " << type_of(frame);
        }
      }
    }
  }
  EXPECT_GT(matches, 1000u);
}

TEST(VlanAware, IsTruncatedLikeTheFrameWithoutTags) {
  const std::vector<Bytes> frames = untagged_frames();
  for (const std::string& expression : expressions()) {
    SCOPED_TRACE(expression);
    const Oracle plain(compile(expression).instructions());
    const Oracle aware(compile_vlan_aware(expression).instructions());
    for (const Bytes& frame : frames) {
      for (const Tags& tags : all_tags) {
        const Bytes tagged = with_tags(frame, tags);
        for (std::size_t captured = 14; captured <= frame.size(); ++captured) {
          ASSERT_EQ(aware.run(truncated(tagged, captured + 4 * tags.size())), plain.run(truncated(frame, captured)))
              << captured << " bytes, " << testing::PrintToString(tags) << " before type " << type_of(frame);
        }
      }
    }
  }
}

TEST(VlanAware, GivesTheSameOnEveryEngine) {
  const std::vector<Bytes> frames = untagged_frames();
  for (const std::string& expression : expressions()) {
    SCOPED_TRACE(expression);
    const Program program = compile_vlan_aware(expression);
    for (const EngineKind kind : available_engines()) {
      SCOPED_TRACE(name_of(kind));
      const auto engine = make_engine(kind, {&program, 1});
      for (const Bytes& frame : frames) {
        for (const Tags& tags : all_tags) {
          const Bytes tagged = with_tags(frame, tags);
          const Frame lent = truncated(tagged, tagged.size());
          std::uint64_t match_set = 0;
          engine->match({&lent, 1}, {&match_set, 1});
          ASSERT_EQ(match_set, run(program, tagged) != 0 ? 1u : 0u) << testing::PrintToString(tags);
        }
      }
    }
  }
}

TEST(VlanAware, DoesNotMatchAFrameWhoseTypeWasNotCaptured) {
  const Bytes tcp = sample_frames().front();
  const Program aware = compile_vlan_aware("not arp");
  const std::vector<Tags> one_of_each = {{}, {0x8100}, {0x88a8, 0x8100}};
  for (const Tags& tags : one_of_each) {
    const std::size_t needed = 14 + 4 * tags.size();
    const Bytes tagged = with_tags(tcp, tags);
    for (std::size_t captured = 0; captured < needed; ++captured)
      EXPECT_EQ(run(aware, tagged, captured), 0u) << captured;
    EXPECT_NE(run(aware, tagged, needed), 0u);
  }
}

TEST(VlanAware, AddsNothingToWhatAsksOnlyForAddressesAndLength) {
  for (const std::string expression : {"", " ", "ether host 02:00:00:00:00:01", "multicast", "greater 100", "len = 60",
                                       "ether[11] = 1", "ether[8:4] = 1", "ether src 02:00:00:00:00:01 and less 64"}) {
    const Program aware = compile_vlan_aware(expression);
    EXPECT_TRUE(std::ranges::equal(aware.instructions(), compile(expression).instructions())) << expression;
  }
  EXPECT_GT(compile_vlan_aware("ether[12] = 1").instructions().size(), compile("ether[12] = 1").instructions().size());
  EXPECT_GT(compile_vlan_aware("ether[9:4] = 1").instructions().size(),
            compile("ether[9:4] = 1").instructions().size());
}

TEST(VlanAware, NegatesWhatIsUnderTheTags) {
  const Bytes http = with_tags(sample_frames().front(), {0x8100});
  EXPECT_NE(run(compile("not tcp port 80"), http), 0u) << "what the plain expression gets wrong";
  EXPECT_EQ(run(compile_vlan_aware("not tcp port 80"), http), 0u);
  EXPECT_NE(run(compile_vlan_aware("not udp port 80"), http), 0u);
}

TEST(VlanAware, LooksAtAThirdTagAsWhatItIs) {
  const Bytes http = with_tags(sample_frames().front(), {0x88a8, 0x8100, 0x8100});
  EXPECT_EQ(run(compile_vlan_aware("tcp port 80"), http), 0u);
  EXPECT_NE(run(compile_vlan_aware("ether proto 0x8100"), http), 0u);
  EXPECT_EQ(run(compile_vlan_aware("ether proto 0x8100"), with_tags(sample_frames().front(), {0x8100})), 0u);
}

TEST(VlanAware, LeavesRawOffsetsAndLengthsAsTheyAre) {
  const Bytes plain = sample_frames().front();
  const Bytes tagged = with_tags(plain, {0x8100});
  EXPECT_EQ(run(compile_vlan_aware("ether[12:2] = 0x0800"), tagged), 0u);
  EXPECT_NE(run(compile_vlan_aware("ether[12:2] = 0x8100"), tagged), 0u);
  EXPECT_NE(run(compile_vlan_aware("ether[12:2] = 0x8100 and tcp port 80"), tagged), 0u)
      << "false without tags, which libpcap notices";
  EXPECT_EQ(run(compile_vlan_aware("ether[12:2] = 0x8100 and tcp port 80"), plain), 0u);
  EXPECT_NE(run(compile_vlan_aware("len = " + std::to_string(tagged.size()) + " and tcp"), tagged), 0u);
}

TEST(VlanAware, TestsForEachTagOnce) {
  for (const bool optimize : {true, false}) {
    const Program aware = compile_vlan_aware("tcp port 80", 96, optimize);
    for (const std::uint32_t type : {0x8100u, 0x88a8u, 0x9100u}) {
      const auto asks = [type](const Instruction& i) { return i.code == (BPF_JMP | BPF_JEQ | BPF_K) && i.k == type; };
      EXPECT_EQ(std::ranges::count_if(aware.instructions(), asks), 2) << std::hex << type;
    }
  }
}

TEST(VlanAware, ReturnsTheSnapshotLength) {
  EXPECT_EQ(run(compile_vlan_aware("tcp", 77), with_tags(sample_frames().front(), {0x88a8, 0x8100})), 77u);
}

TEST(VlanAware, ReachesBodiesOfAnyLength) {
  std::string expression = "tcp and (port 1";
  for (int port = 2; port < 100; ++port) expression += " or port " + std::to_string(2 * port);
  expression += ")";
  const Program aware = compile_vlan_aware(expression);
  ASSERT_GT(aware.instructions().size(), 3 * 255u);
  for (const Tags& tags : all_tags) {
    EXPECT_NE(run(aware, with_tags(sample_frames().front(), tags)), 0u) << testing::PrintToString(tags);
    EXPECT_EQ(run(aware, with_tags(sample_frames().at(2), tags)), 0u) << testing::PrintToString(tags);
  }
}

ExpressionError mistake_in(const std::string& expression) {
  try {
    compile_vlan_aware(expression);
  } catch (const ExpressionError& error) {
    return error;
  }
  ADD_FAILURE() << expression << " compiles";
  return {"", 0, "", ""};
}

TEST(VlanAware, RefusesToAskForTags) {
  for (const std::string expression : {"tcp and vlan 5", "udp or vlan", "not(vlan)and ip"}) {
    const ExpressionError error = mistake_in(expression);
    EXPECT_EQ(error.column(), expression.find("vlan"));
    EXPECT_THAT(error.what(), HasSubstr("it cannot ask for them"));
    EXPECT_THAT(error.mend(), HasSubstr("take 'vlan' out"));
  }
}

TEST(VlanAware, SaysAboutOtherMistakesWhatTheCompilerSays) {
  for (const std::string expression : {"tcp prot 80", "port 99999", "vlan foo", "tcp and inbound", "(tcp",
                                       "tcp port 80 and udp", "tcp) or (udp", "1 = 0"}) {
    const ExpressionError error = mistake_in(expression);
    try {
      compile(expression);
      ADD_FAILURE() << expression << " compiles";
    } catch (const ExpressionError& plain) {
      EXPECT_STREQ(error.what(), plain.what());
      EXPECT_EQ(error.picture(), plain.picture());
    }
  }
  EXPECT_EQ(mistake_in(std::string("ip\0tcp", 6)).column(), 2u);
}

TEST(VlanAware, SaysHowLongTheThreeProgramsAre) {
  std::string expression = "ip[0] = 1";
  for (int value = 0; value < 1000; ++value) expression += " or ip[" + std::to_string(value) + "] = 7";
  ASSERT_NO_THROW(compile(expression));
  const ExpressionError error = mistake_in(expression);
  EXPECT_THAT(error.reason(), HasSubstr("takes three programs, of "));
  EXPECT_THAT(error.reason(), HasSubstr("more than 4096"));
}

TEST(VlanAware, DoesNotTakeANameForTheKeyword) {
  EXPECT_THAT(mistake_in("port \\vlan").reason(), HasSubstr("unknown port 'vlan'"));
  EXPECT_THAT(mistake_in("port vlan-gateway").reason(), HasSubstr("unknown port 'vlan-gateway'"));
}

}  // namespace
}  // namespace ixcap::filter
