// The interpreter gives what libpcap's bpf_filter gives: on compiled expressions, on random programs, on real traffic,
// and on every frame cut short anywhere. What bpf_filter leaves undefined is 0.

#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/interpreter.hpp>
#include <ixcap/filter/listing.hpp>

#include "tests/files.hpp"
#include "tests/filter/oracle.hpp"
#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

Frame whole(const Bytes& bytes) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  return {bytes.data(), length, length};
}

std::uint32_t result(std::vector<Instruction> instructions, const Bytes& bytes = {}) {
  return Interpreter(Program::verify(std::move(instructions))).run(whole(bytes));
}

constexpr Instruction return_a = {BPF_RET | BPF_A, 0, 0, 0};

Instruction statement(int code, std::uint32_t k = 0) {
  return {static_cast<std::uint16_t>(code), 0, 0, k};
}

// Cuts the frame at every length; each cut is copied, so that AddressSanitizer sees a read beyond it.
void expect_agreement_at_every_length(const Program& program, const Bytes& frame, const std::string& name) {
  const Interpreter interpreter(program);
  const Oracle oracle(program.instructions());
  for (std::size_t length = 0; length <= frame.size(); ++length) {
    const Bytes cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length));
    for (const std::size_t wire_length : {length, frame.size()}) {
      const Frame lent = {cut.data(), static_cast<std::uint32_t>(length), static_cast<std::uint32_t>(wire_length)};
      ASSERT_EQ(interpreter.run(lent), oracle.run(lent)) << name << " on " << length << " of " << wire_length;
    }
  }
}

TEST(Interpreter, AgreesWithLibpcapOnExpressionsOverFramesCutAtEveryLength) {
  Random random(1);
  // engine_test.cpp takes all of them, through the engine.
  std::vector<Bytes> frames;
  for (const Bytes& frame : sample_frames()) {
    if (frame.size() < 200 && random() % 4 == 0) frames.push_back(frame);
  }
  for (int count = 0; count < 8; ++count) frames.push_back(random_frame(random));
  for (const std::string_view expression : sample_expressions()) {
    for (const bool optimize : {true, false}) {
      const Program program = compile(expression, 262144, optimize);
      for (const Bytes& frame : frames) {
        ASSERT_NO_FATAL_FAILURE(expect_agreement_at_every_length(program, frame, std::string(expression)));
      }
    }
  }
}

TEST(Interpreter, AgreesWithLibpcapOnRandomPrograms) {
  constexpr std::uint32_t seed = 20240229;
  RecordProperty("seed", seed);
  Random random(seed);
  for (int count = 0; count < 50'000; ++count) {
    const Program program = Program::verify(random_instructions(random));
    const Interpreter interpreter(program);
    const Oracle oracle(program.instructions());
    for (int frames = 0; frames < 3; ++frames) {
      const Bytes bytes = random_frame(random);
      Frame frame = whole(bytes);
      frame.wire_length += random() % 4;
      ASSERT_EQ(interpreter.run(frame), oracle.run(frame)) << "seed " << seed << ", program " << count << ":\n"
                                                           << list(program, Listing::assembly);
    }
  }
}

// Calls visit(frame) for every Ethernet frame of a capture file; other files have none.
template <typename Visit>
void for_each_frame(const std::string& file, Visit visit) {
  char message[PCAP_ERRBUF_SIZE] = {};
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> handle(pcap_open_offline(file.c_str(), message), pcap_close);
  if (!handle || pcap_datalink(handle.get()) != DLT_EN10MB) return;
  pcap_pkthdr* header = nullptr;
  const std::uint8_t* bytes = nullptr;
  while (pcap_next_ex(handle.get(), &header, &bytes) == 1) visit(Frame{bytes, header->caplen, header->len});
}

TEST(Interpreter, AgreesWithLibpcapOnCapturedTraffic) {
  const std::vector<std::string> files = test::real_captures();
  if (files.empty()) GTEST_SKIP() << "IXCAP_CAPTURES names no folder of capture files";

  std::vector<Interpreter> interpreters;
  std::vector<Oracle> oracles;
  for (const std::string_view expression : sample_expressions()) {
    const Program program = compile(expression);
    interpreters.emplace_back(program);
    oracles.emplace_back(program.instructions());
  }
  std::size_t disagreements = 0;
  for (const std::string& file : files) {
    for_each_frame(file, [&](const Frame& frame) {
      for (std::size_t i = 0; i < interpreters.size(); ++i) {
        disagreements += interpreters[i].run(frame) != oracles[i].run(frame) ? 1 : 0;
      }
    });
    EXPECT_EQ(disagreements, 0U) << file;
  }
}

TEST(Interpreter, StartsWithEverythingZero) {
  EXPECT_EQ(result({return_a}), 0U);
  EXPECT_EQ(result({statement(BPF_MISC | BPF_TXA), return_a}), 0U);
  for (std::uint32_t word = 0; word < scratch_words; ++word) {
    EXPECT_EQ(result({statement(BPF_LD | BPF_MEM, word), return_a}), 0U);
  }
}

TEST(Interpreter, ForgetsScratchMemoryBetweenFrames) {
  const Interpreter interpreter(Program::verify({statement(BPF_LDX | BPF_MEM, 3), statement(BPF_LD | BPF_IMM, 7),
                                                 statement(BPF_ST, 3), statement(BPF_MISC | BPF_TXA), return_a}));
  EXPECT_EQ(interpreter.run(whole({})), 0U);
  EXPECT_EQ(interpreter.run(whole({})), 0U);
}

TEST(Interpreter, GivesZeroForShiftsOfThirtyTwoAndMore) {
  for (const int shift : {BPF_LSH, BPF_RSH}) {
    for (const std::uint32_t bits : {32U, 33U, 64U, 0xffffffffU}) {
      EXPECT_EQ(result({statement(BPF_LD | BPF_IMM, ~0U), statement(BPF_ALU | shift | BPF_K, bits), return_a}), 0U);
      EXPECT_EQ(result({statement(BPF_LD | BPF_IMM, ~0U), statement(BPF_LDX | BPF_IMM, bits),
                        statement(BPF_ALU | shift | BPF_X), return_a}),
                0U);
    }
  }
}

TEST(Interpreter, RejectsDivisionByAZeroX) {
  for (const int division : {BPF_DIV, BPF_MOD}) {
    EXPECT_EQ(result({statement(BPF_ALU | division | BPF_X), statement(BPF_RET | BPF_K, 1)}), 0U);
  }
}

TEST(Interpreter, RejectsIndirectLoadsWhoseOffsetWouldWrap) {
  const Bytes frame(16, 0xff);
  for (const int size : {BPF_W, BPF_H, BPF_B}) {
    EXPECT_EQ(result({statement(BPF_LDX | BPF_IMM, ~0U), statement(BPF_LD | size | BPF_IND, 4),
                      statement(BPF_RET | BPF_K, 1)},
                     frame),
              0U);
    EXPECT_EQ(result({statement(BPF_LDX | BPF_IMM, 4), statement(BPF_LD | size | BPF_IND, ~0U),
                      statement(BPF_RET | BPF_K, 1)},
                     frame),
              0U);
  }
}

TEST(Interpreter, LoadsAHeaderLengthFromOneByteAndLeavesAAlone) {
  const Bytes frame = {0x00, 0xf6};
  EXPECT_EQ(result({statement(BPF_LD | BPF_IMM, 9), statement(BPF_LDX | BPF_B | BPF_MSH, 1), return_a}, frame), 9U);
  EXPECT_EQ(result({statement(BPF_LDX | BPF_B | BPF_MSH, 1), statement(BPF_MISC | BPF_TXA), return_a}, frame), 24U);
  EXPECT_EQ(result({statement(BPF_LDX | BPF_B | BPF_MSH, 2), statement(BPF_RET | BPF_K, 1)}, frame), 0U);
}

TEST(Interpreter, CountsTheLengthOnTheWire) {
  const Bytes bytes(10);
  const Frame cut = {bytes.data(), 10, 1500};
  EXPECT_EQ(Interpreter(Program::verify({statement(BPF_LD | BPF_W | BPF_LEN), return_a})).run(cut), 1500U);
  EXPECT_EQ(
      Interpreter(Program::verify({statement(BPF_LDX | BPF_W | BPF_LEN), statement(BPF_MISC | BPF_TXA), return_a}))
          .run(cut),
      1500U);
}

TEST(Interpreter, FollowsJumpsIntoTheMiddleOfALoadAndCompare) {
  // A = 5, then over the load to the jeq behind it.
  EXPECT_EQ(result({statement(BPF_LD | BPF_IMM, 5), statement(BPF_JMP | BPF_JA, 1),
                    statement(BPF_LD | BPF_B | BPF_ABS, 0), Instruction{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 5},
                    statement(BPF_RET | BPF_K, 1), statement(BPF_RET | BPF_K, 2)},
                   {0}),
            1U);
}

TEST(Interpreter, JumpsAcrossTheLongestProgram) {
  std::vector<Instruction> longest(longest_program, statement(BPF_RET | BPF_K, 1));
  longest.front() = statement(BPF_JMP | BPF_JA, longest_program - 2);
  longest.back() = statement(BPF_RET | BPF_K, 2);
  EXPECT_EQ(result(longest), 2U);
}

}  // namespace
}  // namespace ixcap::filter
