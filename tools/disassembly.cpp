#include "tools/disassembly.hpp"

#ifdef IXCAP_HAS_ZYDIS

#include <Zydis/Zydis.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace ixcap::tools {
namespace {

struct Decoded {
  std::size_t size;
  std::string text;
};

class Decoder {
 public:
  Decoder() noexcept {
    ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisFormatterInit(&formatter_, ZYDIS_FORMATTER_STYLE_INTEL);
    for (const auto property : {ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_FORMATTER_PROP_DISP_PADDING,
                                ZYDIS_FORMATTER_PROP_IMM_PADDING}) {
      ZydisFormatterSetProperty(&formatter_, property, ZYDIS_PADDING_DISABLED);
    }
    ZydisFormatterSetProperty(&formatter_, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
  }

  /// The instruction at `offset`; a byte of data if there is none.
  Decoded decode(std::span<const std::uint8_t> code, std::size_t offset) const {
    ZydisDecodedInstruction instruction;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
    const std::span<const std::uint8_t> rest = code.subspan(offset);
    std::array<char, 256> text{};
    const bool good =
        ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, rest.data(), rest.size(), &instruction, operands.data())) &&
        ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter_, &instruction, operands.data(),
                                                     instruction.operand_count_visible, text.data(), text.size(),
                                                     offset, nullptr));
    if (!good) return {1, fmt::format("db 0x{:02x}", rest.front())};
    return {instruction.length, text.data()};
  }

 private:
  ZydisDecoder decoder_{};
  ZydisFormatter formatter_{};
};

}  // namespace

bool can_disassemble() noexcept {
  return true;
}

std::string disassemble(const filter::NativeCode& code) {
  const Decoder decoder;
  std::string listing;
  std::string_view note;
  auto mark = code.marks.begin();
  for (std::size_t offset = 0; offset < code.bytes.size();) {
    for (; mark != code.marks.end() && mark->offset <= offset; ++mark) note = mark->note;
    const Decoded decoded = decoder.decode(code.bytes, offset);
    const auto bytes = fmt::format("{:02x}", fmt::join(code.bytes.subspan(offset, decoded.size), " "));
    if (note.empty()) {
      listing += fmt::format("{:08x}  {:<32}  {}\n", offset, bytes, decoded.text);
    } else {
      listing += fmt::format("{:08x}  {:<32}  {:<48}  ; {}\n", offset, bytes, decoded.text, note);
    }
    offset += decoded.size;
  }
  return listing;
}

}  // namespace ixcap::tools

#else

namespace ixcap::tools {

bool can_disassemble() noexcept {
  return false;
}

std::string disassemble(const filter::NativeCode&) {
  throw Error("cannot disassemble", "", "this ixcap was built without Zydis",
              "apt-get install libzydis-dev, and configure and build ixcap again");
}

}  // namespace ixcap::tools

#endif
