// Every rule of the verifier refuses what breaks it, by the number of the instruction, and accepts its nearest legal
// neighbour.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <string>
#include <vector>

#include <ixcap/filter/program.hpp>
#include <ixcap/filter/verifier.hpp>

namespace ixcap::filter {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

using Instructions = std::vector<Instruction>;

constexpr Instruction accept = {BPF_RET | BPF_K, 0, 0, 1};

Instruction statement(int code, std::uint32_t k) {
  return {static_cast<std::uint16_t>(code), 0, 0, k};
}

Instruction jump(int code, std::uint8_t jump_true, std::uint8_t jump_false) {
  return {static_cast<std::uint16_t>(code), jump_true, jump_false, 0};
}

void expect_accepted(const Instructions& instructions) {
  EXPECT_NO_THROW(EXPECT_TRUE(std::ranges::equal(Program::verify(instructions).instructions(), instructions)));
}

void expect_refused(const Instructions& instructions, const std::string& subject, const std::string& reason) {
  try {
    check(instructions);
    ADD_FAILURE() << "accepted, and should be refused because " << reason;
  } catch (const Error& error) {
    EXPECT_THAT(error.subject(), StartsWith(subject));
    EXPECT_THAT(error.reason(), HasSubstr(reason));
    EXPECT_THAT(error.mend(), testing::Not(IsEmpty()));
  }
}

TEST(Verifier, RefusesAnEmptyProgram) {
  expect_refused({}, "", "no instructions");
}

TEST(Verifier, TakesTheLongestProgramAndNothingLonger) {
  expect_accepted(Instructions(longest_program, accept));
  expect_refused(Instructions(longest_program + 1, accept), "", "4097 instructions");
}

TEST(Verifier, TakesEveryClassicOpcodeAndNoOther) {
  const auto operand = [](int code) { return BPF_CLASS(code) == BPF_JMP ? 0U : 1U; };
  std::size_t accepted = 0;
  for (int code = 0; code <= 0xffff; ++code) {
    try {
      check(Instructions{statement(code, operand(code)), accept});
      ++accepted;
    } catch (const Error& error) {
      EXPECT_THAT(error.reason(), HasSubstr("opcode")) << code;
    }
  }
  EXPECT_EQ(accepted, 49U);  // 9 LD, 4 LDX, 2 stores, 21 ALU, 9 JMP, 2 RET, 2 MISC
}

TEST(Verifier, RefusesCoprocessorCalls) {
  expect_refused({accept, statement(BPF_MISC | 0x20, 0), accept}, "(001) unimp 0x27", "coprocessor");
  expect_refused({accept, statement(BPF_MISC | 0x40, 0), accept}, "(001) unimp 0x47", "coprocessor");
}

TEST(Verifier, RefusesReturnOfX) {
  expect_refused({statement(BPF_RET | BPF_X, 0)}, "(000)", "opcode 0xe is unknown");
}

TEST(Verifier, RefusesConditionalJumpsPastTheEnd) {
  for (const int code : {BPF_JMP | BPF_JEQ | BPF_K, BPF_JMP | BPF_JSET | BPF_X}) {
    expect_accepted({jump(code, 1, 0), accept, accept});
    expect_refused({jump(code, 2, 0), accept, accept}, "(000)", "jumps 2 ahead, past the end");
    expect_refused({jump(code, 0, 255), accept, accept}, "(000)", "jumps 255 ahead, past the end");
  }
}

TEST(Verifier, RefusesLongJumpsPastTheEndWithoutOverflow) {
  constexpr int ja = BPF_JMP | BPF_JA;
  expect_accepted({statement(ja, 1), accept, accept});
  expect_refused({accept, statement(ja, 1), accept}, "(001) ja", "jumps 1 ahead, past the end");
  expect_refused({accept, statement(ja, 0x7fffffff), accept}, "(001) ja", "past the end");
}

TEST(Verifier, TakesALongJumpAcrossTheWholeProgram) {
  Instructions longest(longest_program, accept);
  longest.front() = statement(BPF_JMP | BPF_JA, longest_program - 2);
  expect_accepted(longest);
}

TEST(Verifier, RefusesBackwardJumps) {
  for (const std::uint32_t k : {0xffffffffU, 0xfffffffeU, 0x80000000U}) {
    expect_refused({accept, statement(BPF_JMP | BPF_JA, k), accept}, "(001) ja", "backwards");
  }
}

TEST(Verifier, RefusesScratchIndicesFromSixteen) {
  for (const int code : {BPF_LD | BPF_MEM, BPF_LDX | BPF_MEM, BPF_ST, BPF_STX}) {
    expect_accepted({statement(code, 15), accept});
    expect_refused({statement(code, 16), accept}, "(000)", "scratch index 16");
    expect_refused({statement(code, 0xffffffff), accept}, "(000)", "scratch index 4294967295");
  }
}

TEST(Verifier, RefusesDivisionByTheConstantZeroOnly) {
  for (const int operation : {BPF_DIV, BPF_MOD}) {
    expect_refused({statement(BPF_ALU | operation | BPF_K, 0), accept}, "(000)", "constant zero");
    expect_accepted({statement(BPF_ALU | operation | BPF_K, 1), accept});
    expect_accepted({statement(BPF_ALU | operation | BPF_X, 0), accept});
  }
}

TEST(Verifier, TakesShiftsByThirtyTwoAndMore) {
  expect_accepted({statement(BPF_ALU | BPF_LSH | BPF_K, 32), statement(BPF_ALU | BPF_RSH | BPF_K, ~0U), accept});
}

TEST(Verifier, RefusesAncillaryOffsetsOfAbsoluteLoadsOnly) {
  for (const int size : {BPF_W, BPF_H, BPF_B}) {
    expect_accepted({statement(BPF_LD | size | BPF_ABS, 0xffffefff), accept});
    expect_refused({statement(BPF_LD | size | BPF_ABS, 0xfffff000), accept}, "(000) ld", "Linux kernel");
    expect_refused({statement(BPF_LD | size | BPF_ABS, 0xffffffff), accept}, "(000) ld", "Linux kernel");
    expect_accepted({statement(BPF_LD | size | BPF_IND, 0xfffff000), accept});
  }
}

TEST(Verifier, RefusesAProgramThatDoesNotEndInAReturn) {
  expect_refused({accept, statement(BPF_LD | BPF_IMM, 1)}, "(001) ld #0x1", "no return");
  expect_accepted({statement(BPF_RET | BPF_A, 0)});
}

TEST(Verifier, TakesUnreachableCode) {
  expect_accepted({accept, statement(BPF_LD | BPF_IMM, 1), accept});
}

TEST(Verifier, PrintsTheInstructionOnOneLine) {
  expect_refused({jump(BPF_JMP | BPF_JEQ | BPF_K, 3, 4), accept}, "(000) jeq #0x0 jt 4 jf 5", "past the end");
}

}  // namespace
}  // namespace ixcap::filter
