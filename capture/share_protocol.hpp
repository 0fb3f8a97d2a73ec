#pragma once

/// What a shared capture and its readers say to each other: one message each way, over a UNIX socket of type
/// SOCK_SEQPACKET (docs/ring.md).
///
///     reader ─► ShareRequest                                         policy and mask
///     reader ◄─ ShareAnswer + files: a ring a queue, then one file   refused, or admitted: ReaderPage i of the last
///     file
///               of ReaderPages                                       belongs to ring i
///
/// After that the connection carries only wake-ups from the producer (eight bytes that mean nothing), and tells each
/// side when the other is gone. Numbers are in the machine's byte order, texts end with a zero byte.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::capture {

inline constexpr std::uint64_t share_magic = 0x7261687370637869;  ///< the bytes "ixcpshar"
inline constexpr std::uint32_t share_version = 1;
inline constexpr unsigned most_shared_rings = 64;

struct ShareRequest {
  std::uint64_t magic;    ///< share_magic
  std::uint32_t version;  ///< share_version
  std::uint32_t policy;   ///< ReaderPolicy
  std::uint64_t mask;     ///< ReaderOptions::mask
  std::uint64_t reserved[5];
};
static_assert(sizeof(ShareRequest) == 64);

enum class ShareStatus : std::uint32_t {
  admitted = 0,
  other_version = 1,
  malformed = 2,
  no_place = 3,  ///< as many readers as there can be, or no memory for another
};

struct ShareAnswer {
  std::uint64_t magic;    ///< share_magic
  std::uint32_t version;  ///< share_version
  std::uint32_t status;   ///< ShareStatus; what follows is 0 unless admitted
  std::uint64_t speed_bits_per_second;
  std::uint32_t rings;
  std::uint32_t snaplen;
  std::uint8_t mac[6];
  std::uint8_t fcs_bytes;
  std::uint8_t reserved[25];
  char interface[256];
  char description[256];
  char hardware[256];
  char filter[4096];
};
static_assert(offsetof(ShareAnswer, speed_bits_per_second) == 16);
static_assert(offsetof(ShareAnswer, rings) == 24);
static_assert(offsetof(ShareAnswer, mac) == 32);
static_assert(offsetof(ShareAnswer, interface) == 64);
static_assert(sizeof(ShareAnswer) == 64 + 3 * 256 + 4096);
static_assert(std::is_trivially_copyable_v<ShareRequest> && std::is_trivially_copyable_v<ShareAnswer>);

/// The socket of a shared capture: NAME itself if there is a slash in it; otherwise NAME.sock in /run/ixcap for root,
/// in $XDG_RUNTIME_DIR/ixcap for others, or in /tmp/ixcap-UID where that is not set. Throws Error for an empty name, or
/// one too long.
std::string share_path(std::string_view name);

/// A connection to that socket, on which a receive waits for `patience`. Throws Error, whose action is `action` and
/// whose mend for a connect that failed is `mend`'s for its errno.
pci::FileDescriptor connect_to_share(const std::string& path, const char* action, std::string (*mend)(int),
                                     std::chrono::seconds patience);

}  // namespace ixcap::capture
