#pragma once

/// How the owner of a shared capture changes it: requests and answers over the socket that its readers use, too
/// (share_protocol.hpp). The first eight bytes of a connection tell which of the two it is for.
///
///     owner ─► ControlMessage + text     what to do, with which filter; the expression
///     owner ◄─ ControlMessage + text     whether it is done; what was asked for, or why not
///
/// One answer a request, and any number of requests a connection. Each is one message of the SOCK_SEQPACKET socket:
/// 64 bytes, then exactly `text_bytes` of text, at most `longest_control_text`. Whoever sends anything else is
/// answered `malformed` and disconnected. Numbers are in the machine's byte order, what is not named is 0.
///
/// Who may: processes whose user, as the kernel tells it, is the one the capture was started by, or root. Access to the
/// socket is enough for reading, and not for this.

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace ixcap::capture {

inline constexpr std::uint64_t control_magic = 0x6c72746370637869;  ///< the bytes "ixcpctrl"
inline constexpr std::uint32_t control_version = 1;
inline constexpr std::size_t longest_control_text = std::size_t{64} << 10;

struct ControlMessage {
  std::uint64_t magic;       ///< control_magic
  std::uint32_t version;     ///< control_version
  std::uint32_t code;        ///< a request's ControlVerb; an answer's ControlStatus
  std::uint32_t bit;         ///< which filter; of an answer `expression`, the column of the mistake
  std::uint32_t text_bytes;  ///< bytes of text that follow
  std::uint64_t changes;     ///< of an answer: filter changes so far
  std::uint64_t reserved[4];
};
static_assert(sizeof(ControlMessage) == 64);
static_assert(offsetof(ControlMessage, bit) == 16);
static_assert(offsetof(ControlMessage, changes) == 24);
static_assert(std::is_trivially_copyable_v<ControlMessage>);

enum class ControlVerb : std::uint32_t {
  next_filter = 1,     ///< the filter of the lowest bit from `bit` on: its bit and its expression
  add_filter = 2,      ///< the text is its expression; answered with its bit
  replace_filter = 3,  ///< that of `bit`, by the text
  remove_filter = 4,   ///< that of `bit`
  statistics = 5,      ///< answered with the drop ledger as it is now, for people
};

enum class ControlStatus : std::uint32_t {
  done = 0,
  other_version = 1,
  malformed = 2,
  not_allowed = 3,
  busy = 4,        ///< as many connections as there can be
  none = 5,        ///< there is no such filter
  failed = 6,      ///< the text is an Error's four parts, each with a zero byte behind it
  expression = 7,  ///< the expression is wrong: the same, and `bit` says where
};

}  // namespace ixcap::capture
