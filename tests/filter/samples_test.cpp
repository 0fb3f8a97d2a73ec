// The samples are worth something: many expressions, all different, about the same traffic as the frames; and random
// programs of all kinds, which the verifier accepts.

#include "tests/filter/samples.hpp"

#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/listing.hpp>

#include "tests/filter/oracle.hpp"

namespace ixcap::filter {
namespace {

Frame whole(const Bytes& bytes) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  return {bytes.data(), length, length};
}

TEST(Samples, HaveManyDifferentExpressions) {
  const std::set<std::string_view> different(sample_expressions().begin(), sample_expressions().end());
  EXPECT_GE(different.size(), 300U);
  EXPECT_EQ(different.size(), sample_expressions().size());
}

TEST(Samples, MatchSomeFrameAndNotAnother) {
  const std::set<std::string_view> match_all = {"", "1 = 1", "3 * 5 - 1 = 14"};
  // Offsets around 2^32: what libpcap makes of them does not wrap.
  const std::set<std::string_view> match_none = {"ether[0xfffffff0 + ip[8]] = 0", "ether[0xffffffff + ip[9]] != 0"};
  const std::vector<Bytes> frames = sample_frames();
  for (const std::string_view expression : sample_expressions()) {
    const Oracle oracle(compile(expression).instructions());
    const auto matches = [&](const Bytes& bytes) { return oracle.run(whole(bytes)) != 0; };
    EXPECT_EQ(std::ranges::any_of(frames, matches), !match_none.contains(expression)) << expression;
    EXPECT_EQ(std::ranges::all_of(frames, matches), match_all.contains(expression)) << expression;
  }
}

TEST(Samples, HaveRandomProgramsOfEveryOpcodeAndLength) {
  Random random(7);
  std::set<std::uint16_t> codes;
  std::size_t longest = 0, matching = 0, reached_far = 0;
  const std::vector<Bytes> frames = sample_frames();
  constexpr std::size_t programs = 20'000;
  for (std::size_t count = 0; count < programs; ++count) {
    const Program program = Program::verify(random_instructions(random));
    longest = std::max(longest, program.instructions().size());
    for (const Instruction& instruction : program.instructions()) {
      codes.insert(instruction.code);
      reached_far += instruction.code == (BPF_JMP | BPF_JA) && instruction.k > 256 ? 1 : 0;
    }
    matching += Oracle(program.instructions()).run(whole(frames[count % frames.size()])) != 0 ? 1 : 0;
  }
  EXPECT_EQ(codes.size(), 49U) << "opcodes of classic BPF";
  EXPECT_GT(longest, longest_program - 100);
  EXPECT_GT(reached_far, 100U);
  EXPECT_GT(matching, programs / 4) << "most random programs end in a load outside the frame";
}

TEST(Samples, CompareAWhereTheyWouldReturnIt) {
  Random random(8);
  for (int count = 0; count < 5000; ++count) {
    const std::vector<Instruction> original = random_instructions(random);
    if (original.back().code != (BPF_RET | BPF_A)) continue;
    const Bytes bytes = random_frame(random);
    const std::uint32_t value = Oracle(original).run(whole(bytes));
    const std::vector<Instruction> compared = comparing(original, 0xff, value);
    if (value == 0 || compared.empty()) continue;
    ASSERT_NE(Oracle(Program::verify(compared).instructions()).run(whole(bytes)), 0U)
        << list(Program::verify(original), Listing::assembly);
  }
}

}  // namespace
}  // namespace ixcap::filter
