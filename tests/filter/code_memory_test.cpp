// Native code lies in memory that is never writable and executable at once, begins where an indirect call may land, and
// has no more than two bytes in a row of a program's choosing.
//
// The latter is what keeps an untrusted program from writing instructions of its own: offsets and constants up to
// 0xffff are displacements and immediates, both of them in one instruction only where each has one byte; everything
// longer lies behind the code, on pages that are not executable. Jumps and references to constants have distances of
// four bytes, of which a program, by its size, chooses no more than two and some bits of the third.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <pcap/bpf.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ixcap/filter/engines.hpp>
#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/listing.hpp>

#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

struct Mapping {
  std::uintptr_t start = 0;
  std::uintptr_t end = 0;
  std::string permissions;
  bool anonymous = false;

  bool writable() const { return permissions[1] == 'w'; }
  bool executable() const { return permissions[2] == 'x'; }
};

std::vector<Mapping> mappings() {
  std::vector<Mapping> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping;
    const char* const end = line.data() + line.size();
    const char* at = std::from_chars(line.data(), end, mapping.start, 16).ptr;
    at = std::from_chars(at + 1, end, mapping.end, 16).ptr;
    mapping.permissions.assign(at + 1, 4);
    mapping.anonymous = line.find_first_of("/[") == std::string::npos;
    found.push_back(mapping);
  }
  return found;
}

std::string permissions_at(const std::uint8_t* address) {
  const auto place = reinterpret_cast<std::uintptr_t>(address);
  for (const Mapping& mapping : mappings()) {
    if (mapping.start <= place && place < mapping.end) return mapping.permissions;
  }
  return "none";
}

// Of memory that no file has given: nobody makes any but the compilers.
std::size_t executable_bytes() {
  std::size_t bytes = 0;
  for (const Mapping& mapping : mappings()) {
    if (mapping.anonymous && mapping.executable()) bytes += mapping.end - mapping.start;
  }
  return bytes;
}

class CodeMemoryTest : public testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (GetParam() == EngineKind::interpreter) GTEST_SKIP() << "it has no code of its own";
  }
};

TEST_P(CodeMemoryTest, IsNeverWritableAndExecutable) {
  constexpr std::size_t page = 4096;
  const std::vector programs = {compile("host 10.1.2.3 or host 10.4.5.6"), compile("tcp port 80")};
  const std::size_t before = executable_bytes();
  auto engine = make_engine(GetParam(), programs);
  EXPECT_GT(executable_bytes(), before);
  for (const Mapping& mapping : mappings()) EXPECT_FALSE(mapping.writable() && mapping.executable());
  const std::span<const std::uint8_t> code = engine->native_code().bytes;
  ASSERT_FALSE(code.empty());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(code.data()) % page, 0U);
  const std::size_t pages = (code.size() + page - 1) / page;
  for (std::size_t i = 0; i < pages; ++i) EXPECT_EQ(permissions_at(code.data() + i * page), "r-xp");
  EXPECT_EQ(permissions_at(code.data() + pages * page), "r--p");  // constants
  engine.reset();
  EXPECT_EQ(executable_bytes(), before);
}

TEST_P(CodeMemoryTest, BeginsWhereAnIndirectCallMayLand) {
  constexpr std::array<std::uint8_t, 4> endbr64 = {0xf3, 0x0f, 0x1e, 0xfa};
  for (const char* const expression : {"ip", "tcp port 80", "ether[ether[14] & 0x3f : 4] / 3 = len", "len > 60"}) {
    const auto engine = make_engine(GetParam(), std::vector{compile(expression)});
    const std::span<const std::uint8_t> code = engine->native_code().bytes;
    ASSERT_GE(code.size(), endbr64.size());
    EXPECT_TRUE(std::ranges::equal(code.first(endbr64.size()), endbr64)) << expression;
  }
}

// Programs full of numbers, in every kind of instruction that has one.
class HostilePrograms {
 public:
  explicit HostilePrograms(std::uint32_t seed) : random_(seed) {}

  // Twice the same program, but no byte of any number is the same.
  std::array<Program, 2> make() {
    std::array<std::vector<Instruction>, 2> both;
    for (std::size_t count = 1 + random_() % 8; count > 0; --count) {
      add_test(both[0]);
    }
    both[1] = both[0];
    for (Instruction& instruction : both[1]) {
      const bool is_load = BPF_CLASS(instruction.code) == BPF_LD || BPF_CLASS(instruction.code) == BPF_LDX;
      instruction.k = is_load ? other_offset(instruction.k) : other_constant(instruction.k);
    }
    const bool swaps = random_() % 2 == 0;
    for (std::vector<Instruction>& program : both) {
      program.push_back({BPF_RET | BPF_K, 0, 0, 0});
      program.push_back({BPF_RET | BPF_K, 0, 0, 1});
      // Every test, or its opposite, accepts.
      for (std::size_t i = 0; i < program.size(); ++i) {
        if (BPF_CLASS(program[i].code) != BPF_JMP) continue;
        std::uint8_t& jump = swaps ? program[i].jump_false : program[i].jump_true;
        jump = static_cast<std::uint8_t>(program.size() - 2 - i);
      }
    }
    return {Program::verify(std::move(both[0])), Program::verify(std::move(both[1]))};
  }

 private:
  static constexpr std::uint32_t least_byte = 0x21;
  static constexpr std::uint32_t byte_values = 0xd0;

  // Of one, two or four bytes.
  std::uint32_t constant() {
    std::uint32_t number = 0;
    const std::uint32_t kind = random_() % 3;
    for (std::uint32_t i = 0; i < 1U << kind; ++i) number = number << 8 | (least_byte + random_() % byte_values);
    return number;
  }

  static std::uint32_t other_constant(std::uint32_t number) {
    std::uint32_t other = 0;
    for (unsigned shift = 0; shift < 32 && number >> shift != 0; shift += 8) {
      const std::uint32_t byte = number >> shift & 0xff;
      other |= (least_byte + (byte - least_byte + byte_values / 3) % byte_values) << shift;
    }
    return other;
  }

  std::uint32_t offset() {
    switch (random_() % 6) {
      case 0:
        return 0xe0000000 - 0x10000 * (random_() % 0x8000);
      case 1:
        return 0x1000 + random_() % 0xd000;
      default:
        return random_() % 0x58;
    }
  }

  // As far from others of its kind as before.
  static std::uint32_t other_offset(std::uint32_t offset) {
    return offset + (offset < 0x100 ? 0x20 : offset < 0x10000 ? 0x1110 : 0x11111110);
  }

  void add_test(std::vector<Instruction>& program) {
    constexpr std::array<std::uint16_t, 3> sizes = {BPF_B, BPF_H, BPF_W};
    constexpr std::array<std::uint16_t, 4> jumps = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
    constexpr std::array<std::uint16_t, 8> operations = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV,
                                                         BPF_OR,  BPF_AND, BPF_XOR, BPF_MOD};
    const auto one_of = [this](const auto& all) { return all[random_() % all.size()]; };
    const auto opcode = [](auto... parts) { return static_cast<std::uint16_t>((parts | ...)); };
    const std::uint16_t size = one_of(sizes);
    switch (random_() % 4) {
      case 0:
        program.push_back({opcode(BPF_LDX, BPF_B, BPF_MSH), 0, 0, offset()});
        program.push_back({opcode(BPF_LD, size, BPF_IND), 0, 0, offset()});
        break;
      case 1:
        program.push_back({opcode(BPF_LD, BPF_W, BPF_LEN), 0, 0, 0});
        break;
      default:
        program.push_back({opcode(BPF_LD, size, BPF_ABS), 0, 0, offset()});
    }
    if (random_() % 2 == 0) program.push_back({opcode(BPF_ALU, one_of(operations), BPF_K), 0, 0, constant()});
    for (std::size_t count = random_() % 8 == 0 ? 10 : 1; count > 0; --count) {
      program.push_back({opcode(BPF_JMP, one_of(jumps), BPF_K), 0, 0, constant()});
    }
  }

  Random random_;
};

// The length of the longest run of bytes that differ.
std::size_t longest_difference(std::span<const std::uint8_t> left, std::span<const std::uint8_t> right) {
  std::size_t longest = 0;
  std::size_t run = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    run = left[i] == right[i] ? 0 : run + 1;
    longest = std::max(longest, run);
  }
  return longest;
}

// Where the code for which instructions begins.
std::vector<std::pair<std::uint32_t, std::string>> structure(const NativeCode& code) {
  std::vector<std::pair<std::uint32_t, std::string>> found;
  for (const CodeMark& mark : code.marks) {
    const std::size_t origins = mark.note.find("<-");
    found.emplace_back(mark.offset, origins == std::string::npos ? "" : mark.note.substr(origins));
  }
  return found;
}

TEST_P(CodeMemoryTest, HoldsAtMostTwoBytesInARowThatAProgramChooses) {
  constexpr std::uint32_t seed = 5;
  constexpr std::size_t pairs = 4000;
  HostilePrograms hostile(seed);
  std::size_t compared = 0;
  std::size_t longest = 0;
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    const std::array<Program, 2> programs = hostile.make();
    const auto left = make_engine(GetParam(), std::span(programs).first(1));
    const auto right = make_engine(GetParam(), std::span(programs).last(1));
    const NativeCode left_code = left->native_code();
    const NativeCode right_code = right->native_code();
    // Now and then the numbers make a difference, for instance if one is a power of two: then there is more to the code
    // than its numbers.
    if (left_code.bytes.size() != right_code.bytes.size() || structure(left_code) != structure(right_code)) continue;
    ++compared;
    longest = std::max(longest, longest_difference(left_code.bytes, right_code.bytes));
    ASSERT_LE(longest, 2U) << fmt::format("{}\n{:02x}\n{:02x}", list(programs[0], Listing::assembly),
                                          fmt::join(left_code.bytes, " "), fmt::join(right_code.bytes, " "));
  }
  EXPECT_EQ(longest, 2U) << "the numbers are not where they are looked for";
  EXPECT_GE(compared, pairs / 3);
}

INSTANTIATE_TEST_SUITE_P(, CodeMemoryTest, testing::ValuesIn(available_engines().begin(), available_engines().end()),
                         [](const auto& engine) { return std::string(name_of(engine.param)); });

}  // namespace
}  // namespace ixcap::filter
