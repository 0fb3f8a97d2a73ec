#pragma once

/// JSON (RFC 8259) for the subcommands that have --json.
///
/// Threads: any.

#include <string>
#include <string_view>

namespace ixcap::tools {

/// `text` as a JSON string, with its quotes. Bytes that are no UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

/// The same, but null for what is empty.
std::string json_string_or_null(std::string_view text);

}  // namespace ixcap::tools
