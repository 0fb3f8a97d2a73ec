// Native code as text: every byte of it, with the notes of the engine that made it.

#include "tools/disassembly.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace ixcap::tools {
namespace {

using filter::CodeMark;

TEST(Disassembly, OfNoCodeIsEmptyAndWithoutZydisIsRefused) {
  if (can_disassemble()) {
    EXPECT_EQ(disassemble({}), "");
    return;
  }
  try {
    disassemble({});
    ADD_FAILURE() << "nothing is thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.mend(), testing::HasSubstr("libzydis-dev"));
  }
}

TEST(Disassembly, ShowsOffsetBytesInstructionAndNote) {
  if (!can_disassemble()) GTEST_SKIP() << "built without Zydis";
  const std::vector<std::uint8_t> bytes = {
      0x31, 0xc0,                          // xor eax, eax
      0x66, 0x81, 0xf9, 0x08, 0x00,        // cmp cx, 8
      0x74, 0x01,                          // je over the next
      0x90,                                // nop
      0xc3,                                // ret
      0x62, 0xf1, 0x7d, 0x48, 0xfe, 0xc1,  // vpaddd zmm0, zmm0, zmm1
      0x06,                                // nothing in 64-bit code
  };
  const std::vector<CodeMark> marks = {{2, "(000) ldh [12]"}, {2, "(001) jeq #0x8"}, {10, "end"}, {99, "beyond"}};
  const auto line = [](const char* offset, const char* encoding, const char* text, const char* note) {
    std::string result = std::string(offset) + "  " + encoding;
    result.resize(44, ' ');
    result += text;
    if (*note == '\0') return result + "\n";
    result.resize(94, ' ');
    return result + "; " + note + "\n";
  };
  EXPECT_EQ(disassemble({bytes, marks}), line("00000000", "31 c0", "xor eax, eax", "") +
                                             line("00000002", "66 81 f9 08 00", "cmp cx, 0x8", "(001) jeq #0x8") +
                                             line("00000007", "74 01", "jz 0xa", "(001) jeq #0x8") +
                                             line("00000009", "90", "nop", "(001) jeq #0x8") +
                                             line("0000000a", "c3", "ret", "end") +
                                             line("0000000b", "62 f1 7d 48 fe c1", "vpaddd zmm0, zmm0, zmm1", "end") +
                                             line("00000011", "06", "db 0x06", "end"));
}

TEST(Disassembly, EndsAtTheEndOfAnInstructionThatIsCutOff) {
  if (!can_disassemble()) GTEST_SKIP() << "built without Zydis";
  const std::vector<std::uint8_t> bytes = {0xe8, 0x00};
  EXPECT_THAT(disassemble({bytes, {}}), testing::AllOf(testing::HasSubstr("db 0xe8"), testing::EndsWith("db 0x00\n")));
}

}  // namespace
}  // namespace ixcap::tools
