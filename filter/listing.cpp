#include <fmt/format.h>
#include <pcap/pcap.h>

#include <iterator>
#include <mutex>

#include <ixcap/filter/listing.hpp>

namespace ixcap::filter {

std::string image(const Instruction& instruction, std::size_t number) {
  static std::mutex one_at_a_time;  // bpf_image returns a buffer of its own, one for the whole process
  const std::lock_guard lock(one_at_a_time);
  const bpf_insn raw = {instruction.code, instruction.jump_true, instruction.jump_false, instruction.k};
  return bpf_image(&raw, static_cast<int>(number));
}

std::string list(const Program& program, Listing form) {
  std::string text;
  const auto out = std::back_inserter(text);
  if (form == Listing::decimal) fmt::format_to(out, "{}\n", program.instructions().size());
  std::size_t number = 0;
  for (const Instruction& instruction : program.instructions()) {
    const auto& [code, jump_true, jump_false, k] = instruction;
    switch (form) {
      case Listing::assembly:
        fmt::format_to(out, "{}\n", image(instruction, number++));
        break;
      case Listing::c:
        fmt::format_to(out, "{{ {:#x}, {}, {}, 0x{:08x} }},\n", code, jump_true, jump_false, k);
        break;
      case Listing::decimal:
        fmt::format_to(out, "{} {} {} {}\n", code, jump_true, jump_false, k);
        break;
    }
  }
  return text;
}

}  // namespace ixcap::filter
