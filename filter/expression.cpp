#include <fmt/format.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/tokens.hpp>

namespace ixcap::filter {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, ' ');
  return text;
}

// libpcap's compiler for one snapshot length. Its parser is not re-entrant in every version, and what it looks names up
// with (getprotobyname, getnetbyname) never is.
class Compiler {
 public:
  explicit Compiler(std::uint32_t snaplen)
      : alone_(one_at_a_time()), handle_(pcap_open_dead(DLT_EN10MB, static_cast<int>(snaplen)), pcap_close) {
    if (!handle_) {
      throw Error("cannot compile filter expression", "", "out of memory", "free some memory and try again");
    }
  }

  // Nothing if libpcap refuses; message() then says why.
  std::optional<std::vector<Instruction>> compile(const std::string& expression, bool optimize) {
    bpf_program raw = {};
    if (pcap_compile(handle_.get(), &raw, expression.c_str(), optimize ? 1 : 0, PCAP_NETMASK_UNKNOWN) != 0) {
      return std::nullopt;
    }
    const std::unique_ptr<bpf_program, decltype(&pcap_freecode)> owner(&raw, pcap_freecode);
    std::vector<Instruction> instructions;
    instructions.reserve(raw.bf_len);
    for (const bpf_insn& instruction : std::span(raw.bf_insns, raw.bf_len)) {
      instructions.push_back({instruction.code, instruction.jt, instruction.jf, instruction.k});
    }
    return instructions;
  }

  // Why libpcap refused, on one line.
  std::string message() {
    std::string text = one_line(pcap_geterr(handle_.get()));
    while (text.ends_with(' ')) text.pop_back();
    return text;
  }

 private:
  static std::unique_lock<std::mutex> one_at_a_time() {
    static std::mutex mutex;
    return std::unique_lock(mutex);
  }

  std::unique_lock<std::mutex> alone_;
  std::unique_ptr<pcap_t, decltype(&pcap_close)> handle_;
};

// How many of the expression's tokens libpcap takes before it finds the mistake; all of them if it finds it only at the
// end.
//
// libpcap does not say where it stopped, so this asks it about prefixes. Each is followed by a number too large for the
// scanner, whose complaint about that number means that the parser came as far as this and liked all it saw. A mistake
// in the prefix, of grammar or of meaning, is reported before the number is read.
std::size_t tokens_accepted(Compiler& compiler, std::string_view text, const std::vector<Token>& tokens) {
  constexpr std::string_view too_large = "77777777777777777777";
  std::size_t good = 0;
  std::size_t bad = tokens.size() + 1;
  while (bad - good > 1) {
    const std::size_t middle = good + (bad - good) / 2;
    compiler.compile(fmt::format("{} {}", text.substr(0, tokens[middle - 1].end), too_large), false);
    const bool reached = compiler.message().find(too_large) != std::string::npos;
    (reached ? good : bad) = middle;
  }
  return good;
}

// What the message is about, if it says so: unknown host 'x', illegal port number 99999 > 65535. The numbers in "must
// be" messages are those allowed.
std::string_view named_in(std::string_view message) {
  const std::size_t open = message.find_first_of("'\"");
  if (open != std::string_view::npos) {
    const std::size_t close = message.find(message[open], open + 1);
    return close == std::string_view::npos ? "" : message.substr(open + 1, close - open - 1);
  }
  const auto blank =
      std::ranges::adjacent_find(message, [](char left, char right) { return left == ' ' && is_digit(right); });
  if (blank == message.end() || message.find("must be") != std::string_view::npos) return {};
  return {blank + 1, std::find_if_not(blank + 1, message.end(), is_digit)};
}

// Starts of the whole words of `text` that read `word`.
std::vector<std::size_t> occurrences(std::string_view text, std::string_view word) {
  std::vector<std::size_t> starts;
  if (word.empty()) return starts;
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_in_word(text[at - 1])) && (end == text.size() || !is_in_word(text[end]))) starts.push_back(at);
  }
  return starts;
}

// Nothing if it is the expression as a whole that is at fault.
std::optional<std::size_t> column_of(Compiler& compiler, std::string_view text, std::string_view message) {
  const std::vector<std::size_t> named = occurrences(text, named_in(message));
  if (named.size() == 1) return named.front();  // without asking a name server again

  const std::vector<Token> tokens = tokens_of(text);
  std::size_t at = tokens_accepted(compiler, text, tokens);
  const bool grammar = message.find("syntax error") != std::string_view::npos;
  if (at == tokens.size()) return grammar ? std::optional(text.size()) : std::nullopt;
  if (grammar) return tokens[at].start;
  for (auto start = named.rbegin(); start != named.rend(); ++start) {
    if (*start < tokens[at].end) return *start;
  }
  // What a bracket closes is judged when the bracket is read.
  const char token = text[tokens[at].start];
  if ((token == ']' || token == ')') && at > 0) --at;
  return tokens[at].start;
}

std::string mend_at(std::string_view text, std::optional<std::size_t> column) {
  constexpr std::string_view manual = "man pcap-filter has the syntax";
  if (!column) return "no one word is at fault, drop or change one of its conditions";
  if (*column == text.size()) return fmt::format("complete it, something is missing at the end; {}", manual);
  const std::vector<Token> tokens = tokens_of(text);
  const auto at = std::ranges::find_if(tokens, [&](const Token& token) { return *column < token.end; });
  return fmt::format("look at '{}' in column {}; {}", text.substr(at->start, at->end - at->start), *column + 1, manual);
}

// The word that made libpcap generate what the verifier refuses; the start if there is no such word.
std::size_t column_of_unsupported(std::string_view text) {
  for (const std::string_view word : {"protochain", "inbound", "outbound", "ifindex"}) {
    const std::vector<std::size_t> starts = occurrences(text, word);
    if (!starts.empty()) return starts.front();
  }
  return 0;
}

}  // namespace

ExpressionError::ExpressionError(std::string expression, std::size_t column, std::string reason, std::string mend)
    : Error("cannot compile filter expression", one_line(expression), std::move(reason), std::move(mend)),
      expression_(one_line(std::move(expression))),
      column_(column) {}

std::string ExpressionError::picture() const {
  // A character of several bytes takes one column; only its first byte is not of the form 10xxxxxx.
  const auto before = expression_.begin() + static_cast<std::ptrdiff_t>(column_);
  const auto width = std::count_if(expression_.begin(), before, [](char c) { return (c & 0xc0) != 0x80; });
  return fmt::format("{}\n{:{}}^", expression_, "", width);
}

Program compile(std::string_view expression, std::uint32_t snaplen, bool optimize) {
  const std::string text(expression);
  if (const std::size_t zero = text.find('\0'); zero != std::string::npos) {
    throw ExpressionError(text, zero, "it contains a zero byte", "take the zero byte out");
  }
  Compiler compiler(snaplen);
  std::optional<std::vector<Instruction>> instructions = compiler.compile(text, optimize);
  if (!instructions) {
    const std::string reason = compiler.message();
    const std::optional<std::size_t> column = column_of(compiler, text, reason);
    throw ExpressionError(text, column.value_or(0), reason, mend_at(text, column));
  }
  try {
    return Program::verify(std::move(*instructions));
  } catch (const Error& refusal) {
    const std::string where = refusal.subject().empty() ? "" : fmt::format(" at '{}'", refusal.subject());
    throw ExpressionError(text, column_of_unsupported(text),
                          fmt::format("the program for it is refused{}: {}", where, refusal.reason()), refusal.mend());
  }
}

}  // namespace ixcap::filter
