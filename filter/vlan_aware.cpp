#include <fmt/format.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ixcap/filter/tokens.hpp>
#include <ixcap/filter/vlan_aware.hpp>

namespace ixcap::filter {
namespace {

constexpr std::uint32_t type_offset = 12;  // of the type field, or of the first tag that stands before it
constexpr std::uint32_t tag_size = 4;
constexpr std::array<std::uint32_t, 3> tag_types = {0x8100, 0x88a8, 0x9100};  // those that libpcap's `vlan` knows

using Instructions = std::vector<Instruction>;

// For no tag, one and two.
using Bodies = std::array<Instructions, 3>;

constexpr Instruction reject_all = {BPF_RET | BPF_K, 0, 0, 0};

// The program behind `tags` tags. Nothing if it matches no frame, which libpcap takes for a mistake.
std::optional<Instructions> compile_behind(std::size_t tags, const std::string& expression, std::uint32_t snaplen,
                                           bool optimize) {
  constexpr std::array<std::string_view, 3> prefixes = {"", "vlan and (", "vlan and vlan and ("};
  const std::string_view prefix = prefixes.at(tags);
  const std::string text = fmt::format("{}{}{}", prefix, expression, tags == 0 ? "" : ")");
  try {
    const Program program = compile(text, snaplen, optimize);
    return Instructions(program.instructions().begin(), program.instructions().end());
  } catch (const ExpressionError& error) {
    if (error.reason() == "expression rejects all packets") return std::nullopt;
    if (tags == 0) throw;
    // What libpcap takes without tags, it takes behind them; the one known reason is a program that grows too long.
    const std::size_t column = error.column() < prefix.size() ? 0 : error.column() - prefix.size();
    throw ExpressionError(expression, std::min(column, expression.size()),
                          fmt::format("behind {} VLAN tag{}: {}", tags, tags == 1 ? "" : "s", error.reason()),
                          error.mend());
  }
}

// `vlan` and its number would count from behind the tags that are looked through, which nobody would guess. A host of
// that name is written \vlan, and stays allowed.
void refuse_vlan(const std::string& expression) {
  for (const Token& token : tokens_of(expression)) {
    if (std::string_view(expression).substr(token.start, token.end - token.start) != "vlan") continue;
    throw ExpressionError(expression, token.start,
                          "a VLAN-aware filter looks behind the tags, so it cannot ask for them",
                          "take 'vlan' out, or leave VLAN-aware mode (--vlan-aware) and ask for every depth yourself");
  }
}

// Whether it does not matter what A was before.
bool sets_a(const Instruction& instruction) {
  return BPF_CLASS(instruction.code) == BPF_LD || instruction.code == (BPF_RET | BPF_K);
}

// Whether the program looks at nothing but the addresses and the length, which tags do not move.
bool is_before_tags(std::span<const Instruction> program) {
  return std::ranges::none_of(program, [](const Instruction& instruction) {
    switch (instruction.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        return instruction.k > type_offset - 4;
      case BPF_LD | BPF_H | BPF_ABS:
        return instruction.k > type_offset - 2;
      case BPF_LD | BPF_B | BPF_ABS:
        return instruction.k > type_offset - 1;
      case BPF_LD | BPF_W | BPF_IND:
      case BPF_LD | BPF_H | BPF_IND:
      case BPF_LD | BPF_B | BPF_IND:
      case BPF_LDX | BPF_B | BPF_MSH:
        return true;
      default:
        return false;
    }
  });
}

// Skips one instruction if there is a tag at `offset`; does not skip it otherwise.
void append_tag_test(Instructions& program, std::uint32_t offset) {
  program.push_back({BPF_LD | BPF_H | BPF_ABS, 0, 0, offset});
  auto past = static_cast<std::uint8_t>(tag_types.size());
  for (const std::uint32_t type : tag_types) program.push_back({BPF_JMP | BPF_JEQ | BPF_K, past--, 0, type});
}

// The body without the test for a tag at `offset` that it begins with, which has been made by then. Behind the test A
// is the type at `offset`. Left as it is if it begins in another way: it is right, only longer.
Instructions without_tag_test(Instructions body, std::uint32_t offset) {
  const Instruction load = {BPF_LD | BPF_H | BPF_ABS, 0, 0, offset};
  std::vector<std::size_t> matched_goes_to;
  std::size_t at = 0;
  for (const std::uint32_t type : tag_types) {
    // Unoptimised programs load it each time.
    if (at < body.size() && body[at] == load) ++at;
    if (at == body.size() || body[at].code != (BPF_JMP | BPF_JEQ | BPF_K) || body[at].k != type) return body;
    matched_goes_to.push_back(at + 1 + body[at].jump_true);
    ++at;
  }
  const bool is_test = body.front() == load && std::ranges::all_of(matched_goes_to, [at](auto to) { return to == at; });
  if (!is_test) return body;
  // Jumps go forward, so what remains is reached only through its first instruction and never jumps out of it.
  body.erase(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(at));
  if (!sets_a(body.front())) body.insert(body.begin(), load);
  return body;
}

// A body is compiled to start with A = 0, and the test has left a type in A. The test touches neither X nor M[].
void append_body(Instructions& program, const Instructions& body) {
  if (!sets_a(body.front())) program.push_back({BPF_LD | BPF_IMM, 0, 0, 0});
  program.insert(program.end(), body.begin(), body.end());
}

// Conditional jumps reach 255 instructions and bodies may be longer, so each test skips a `ja`, which reaches anything.
//
//               tag at 12?  no: ja untagged
//               tag at 16?  no: ja once
//     (twice)   body behind two tags
//     once      body behind one
//     untagged  body of the plain expression
Instructions join(const Bodies& bodies) {
  constexpr Instruction jump = {BPF_JMP | BPF_JA, 0, 0, 0};
  Instructions program;
  const auto land_here = [&program](std::size_t from) {
    program[from].k = static_cast<std::uint32_t>(program.size() - from - 1);
  };
  append_tag_test(program, type_offset);
  const std::size_t to_untagged = program.size();
  program.push_back(jump);
  append_tag_test(program, type_offset + tag_size);
  const std::size_t to_once = program.size();
  program.push_back(jump);
  append_body(program, without_tag_test(without_tag_test(bodies[2], type_offset), type_offset + tag_size));
  land_here(to_once);
  append_body(program, without_tag_test(bodies[1], type_offset));
  land_here(to_untagged);
  append_body(program, bodies[0]);
  return program;
}

}  // namespace

Program compile_vlan_aware(std::string_view expression, std::uint32_t snaplen, bool optimize) {
  const std::string text(expression);
  const std::optional<Instructions> plain = compile_behind(0, text, snaplen, optimize);
  refuse_vlan(text);
  if (plain && is_before_tags(*plain)) return Program::verify(*plain);

  Bodies bodies;
  bool matches_something = false;
  for (std::size_t tags = 0; tags < bodies.size(); ++tags) {
    const std::optional<Instructions> body = tags == 0 ? plain : compile_behind(tags, text, snaplen, optimize);
    matches_something |= body.has_value();
    bodies[tags] = body.value_or(Instructions{reject_all});
  }
  if (!matches_something) return compile(expression, snaplen, optimize);  // which throws, and says why

  Instructions program = join(bodies);
  if (program.size() > longest_program) {
    throw ExpressionError(
        text, 0,
        fmt::format("looking behind VLAN tags takes three programs, of {}, {} and {} instructions, "
                    "together {} and more than {}",
                    bodies[0].size(), bodies[1].size(), bodies[2].size(), program.size(), longest_program),
        "split the filter into several shorter ones, or leave VLAN-aware mode (--vlan-aware)");
  }
  return Program::verify(std::move(program));
}

}  // namespace ixcap::filter
