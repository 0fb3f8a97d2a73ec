#include <ixcap/filter/tokens.hpp>

namespace ixcap::filter {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

bool is_in_word(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-' ||
         c == ':' || (c & 0x80) != 0;
}

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  bool in_brackets = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    const char first = text[at++];
    if (is_blank(first)) continue;
    const std::string_view pair = text.substr(start, 2);
    if (first == '\\' || (is_in_word(first) && !(in_brackets && first == ':'))) {
      while (at < text.size() && is_in_word(text[at]) && !(in_brackets && text[at] == ':')) ++at;
    } else if (pair == "&&" || pair == "||" || pair == "<<" || pair == ">>" || pair == ">=" || pair == "<=" ||
               pair == "!=" || pair == "==") {
      ++at;
    }
    if (first == '[') in_brackets = true;
    if (first == ']') in_brackets = false;
    tokens.push_back({start, at});
  }
  return tokens;
}

}  // namespace ixcap::filter
