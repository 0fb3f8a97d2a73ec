#pragma once

/// The words and signs of a filter expression, for pointing at one of them. Only libpcap's scanner is exact.
///
/// Threads: any. Errors: none but std::bad_alloc.

#include <cstddef>
#include <string_view>
#include <vector>

namespace ixcap::filter {

/// Bytes [start, end) of the expression.
struct Token {
  std::size_t start;
  std::size_t end;
};

/// Splits as libpcap's scanner does, as near as a caret needs. Words hold addresses (10.0.0.1, ::1, 0:1:2:3:4:5),
/// except between brackets, where a colon separates offset and size; a name that libpcap takes literally keeps its
/// backslash.
std::vector<Token> tokens_of(std::string_view text);

/// Whether `c` may stand inside a word. Bytes of a multi-byte character do, so that none is cut in two.
bool is_in_word(char c) noexcept;

}  // namespace ixcap::filter
