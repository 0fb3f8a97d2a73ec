// What explain() says is what the compilers do: exact text for small filters, the deciding lines of larger ones.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <string>
#include <vector>

#include <ixcap/filter/explain.hpp>
#include <ixcap/filter/expression.hpp>

#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string explained(const std::vector<std::string>& expressions) {
  std::vector<Program> programs;
  for (const std::string& expression : expressions) programs.push_back(compile(expression));
  return explain(programs);
}

TEST(Explain, ShowsTheNodesAndTheWindowOfASmallFilter) {
  EXPECT_EQ(explained({"ip"}),
            "scalar, one frame at a time: fields of up to 8 bytes\n"
            "  program 0: node 1; without branches if length >= 14\n"
            "  node 1: length >= 14    <- (000)  ? node 2 : reject\n"
            "  node 2: [12:2] = 0x800  <- (001)  ? accept : reject\n"
            "\n"
            "avx2 and avx512, 8 or 16 frames at a time: fields of up to 4 bytes\n"
            "  the same nodes\n"
            "  window of avx2: bytes 0 to 15, of which the words at 12\n"
            "  reach of avx2: the first 24 bytes of a frame\n"
            "  window of avx512: bytes 0 to 15, of which the words at 12\n"
            "  reach of avx512: the first 24 bytes of a frame\n"
            "  tests in lanes: 2 of 2\n");
}

TEST(Explain, ShowsLengthsAndAssumptions) {
  EXPECT_EQ(explained({"ip and tcp port 80"}),
            "scalar, one frame at a time: fields of up to 8 bytes\n"
            "  program 0: node 1; without branches if length >= 24 and length >= 4*([14]&0xf) + 18\n"
            "  node 1: length >= 24                 <- (000) (002)  ? node 2 : reject\n"
            "  node 2: [12:2] = 0x800               <- (001)        ? node 3 : reject\n"
            "  node 3: [20:4] & 0x1fff00ff = 0x6    <- (003) (005)  ? node 4 : reject\n"
            "  node 4: length >= 4*([14]&0xf) + 16  <- (007)        ? node 5 : reject\n"
            "  node 5: [4*([14]&0xf)+14:2] = 0x50   <- (008)        ? accept : node 6\n"
            "  node 6: length >= 4*([14]&0xf) + 18  <- (009)        ? node 7 : reject\n"
            "  node 7: [4*([14]&0xf)+16:2] = 0x50   <- (010)        ? accept : reject\n"
            "\n"
            "avx2 and avx512, 8 or 16 frames at a time: fields of up to 4 bytes\n"
            "  the same nodes\n"
            "  window of avx2: bytes 8 to 23, of which the words at 12, 20\n"
            "  window of avx2: bytes 22 to 37, of which the words at 34\n"
            "  reach of avx2: the first 50 bytes of a frame\n"
            "  window of avx512: bytes 6 to 37, of which the words at 12, 20, 34\n"
            "  reach of avx512: the first 38 bytes of a frame\n"
            "  tests in lanes: 7 of 7\n"
            "  assumed: 4*([14]&0xf) = 20, by 4 tests; where it is not, scalar code decides\n");
}

TEST(Explain, ShowsAListOfHostsAsTestsForMembership) {
  std::string hosts = "src host 10.0.0.1";
  for (int last = 2; last <= 32; ++last) hosts += fmt::format(" or src host 10.0.0.{}", last);
  const std::string text = explained({"ip and (" + hosts + ")"});
  EXPECT_THAT(text, HasSubstr("[26:4] in {32 constants}"));
  EXPECT_THAT(text, Not(HasSubstr("[26:4] =")));
}

TEST(Explain, ShowsWhatIsLeftToScalarCode) {
  const std::string text = explained({"ether[ether[0]] = 1"});
  EXPECT_THAT(text, HasSubstr("program 0: node 1; with branches\n"));
  EXPECT_THAT(text, HasSubstr("\n  tests in lanes: 1 of 3\n"));
  EXPECT_THAT(text, HasSubstr("\n  left to scalar code: [[0:1]+0:1] = 0x1\n"));
}

TEST(Explain, ShowsWhatTwoFiltersShareOnce) {
  const std::string text = explained({"ip", "ip or ip6"});
  EXPECT_THAT(text, HasSubstr("  node 1: length >= 14     <- (0:000) (1:000)  ? node 2 : reject\n"));
  EXPECT_THAT(text, HasSubstr(": [12:2] = 0x800   <- (0:001) (1:001)  ? accept : "));
  EXPECT_THAT(text, HasSubstr("\n  tests in lanes: 3 of 3\n"));
  EXPECT_THAT(explained({"ip", "ip"}), HasSubstr("  program 1: node 1; without branches if length >= 14\n  node 1: "));
}

TEST(Explain, ShowsTheNodesTwiceWhereWiderFieldsDiffer) {
  const std::string text = explained({"ether src 01:02:03:04:05:06"});
  EXPECT_THAT(text, HasSubstr("[4:8] & 0xffffffffffff = 0x10203040506"));
  EXPECT_THAT(text, Not(HasSubstr("the same nodes")));
}

TEST(Explain, SaysThatAProgramNeverLooksAtTheFrame) {
  EXPECT_EQ(explained({""}),
            "scalar, one frame at a time: fields of up to 8 bytes\n"
            "  program 0: accept\n");
}

TEST(Explain, SaysWhatIsLeftToTheInterpreter) {
  // A is squared a hundred times: more operations than a graph holds.
  std::vector<Instruction> instructions = {{BPF_LD | BPF_B | BPF_ABS, 0, 0, 0}};
  for (int i = 0; i < 100; ++i) {
    instructions.push_back({BPF_MISC | BPF_TAX, 0, 0, 0});
    instructions.push_back({BPF_ALU | BPF_MUL | BPF_X, 0, 0, 0});
  }
  instructions.push_back({BPF_RET | BPF_A, 0, 0, 0});
  const std::vector<Program> programs = {compile("ip"), Program::verify(instructions), compile("ip6")};
  const std::string text = explain(programs);
  EXPECT_THAT(text, HasSubstr("\n  program 1: too complicated for a graph, left to the interpreter\n"));
  EXPECT_THAT(text, HasSubstr("[12:2] = 0x86dd  <- (2:001)"));
}

TEST(Explain, SaysSomethingAboutEveryExpression) {
  for (const std::string_view expression : sample_expressions()) {
    EXPECT_THAT(explained({std::string(expression)}), HasSubstr("\n  program 0: ")) << expression;
  }
}

}  // namespace
}  // namespace ixcap::filter
