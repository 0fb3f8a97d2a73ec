#pragma once

/// What a card was before ixcap took it from the kernel, on disk before anything is changed.
///
/// One file for each group of functions that are taken together, in /var/lib/ixcap: what is in /run does not survive a
/// power loss, and after one the journal says what the machine was in the middle of. A file is written beside its final
/// name, flushed, then renamed, so that there is never half a journal. Only root can write it; whoever reads it
/// distrusts it all the same, since what it says is done to the machine.
///
///     ixcap journal 1
///     boot 5c6fe2f1-90f1-4ad4-9ff8-b1a4e1a0f6a3
///     holder 4711 88123456                          only of a capture that gives back by itself
///     function 0000:03:00.0
///     driver ixgbe                                  absent: it had none
///     override ixgbe                                absent: it had none
///     network enp3s0f0                              absent, with what follows: it had no network interface
///     mtu 1500
///     mac a0:36:9f:00:00:01
///     up yes
///     address 192.0.2.2/24                          any number
///     end
///
/// Threads: any; two processes are kept apart by JournalLock.
/// Errors: ixcap::Error.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ixcap/driver/pci/file_descriptor.hpp>
#include <ixcap/driver/pci/network.hpp>

namespace ixcap::pci {

/// A process, and when it started, since numbers are used again.
struct Holder {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  ///< since boot
  bool operator==(const Holder&) const = default;
};

struct JournalEntry {
  std::string address;
  std::string driver;           ///< empty: none
  std::string driver_override;  ///< empty: none
  std::optional<NetworkState> network;
  bool operator==(const JournalEntry&) const = default;
};

struct Journal {
  std::string boot_id;  ///< /proc/sys/kernel/random/boot_id when it was written
  std::optional<Holder> holder;
  std::vector<JournalEntry> functions;
  bool operator==(const Journal&) const = default;

  const JournalEntry* entry(std::string_view address) const noexcept;
  std::string to_string() const;
};

/// Reads what to_string() wrote. `path` is for the sentence. Throws ixcap::Error if anything is not as it should be.
Journal parse_journal(std::string_view text, const std::string& path);

/// The journals in `folder`.
class JournalFolder {
 public:
  explicit JournalFolder(std::string folder) : folder_(std::move(folder)) {}

  /// The file of the journal that names the function, if there is one.
  std::optional<std::string> find(const std::string& address) const;
  std::optional<Journal> read(const std::string& address) const;

  /// On disk when it returns. It replaces one that names the same functions.
  void write(const Journal& journal) const;
  void remove(const std::string& address) const;

  /// Addresses of the functions that journals name, and paths of files that are no journals.
  std::vector<std::string> addresses() const;
  std::vector<std::string> damaged() const;

  const std::string& path() const noexcept { return folder_; }

 private:
  std::vector<std::string> files() const;
  std::string folder_;
};

/// Held while a card changes hands. Waits for another process that holds it.
class JournalLock {
 public:
  explicit JournalLock(const JournalFolder& folder);

 private:
  FileDescriptor file_;
};

/// This boot's id; empty if the kernel does not tell.
std::string boot_id(const std::string& procfs = "/proc");

/// The process with this number as a holder; nothing if there is none.
std::optional<Holder> holder_of(pid_t pid, const std::string& procfs = "/proc");

}  // namespace ixcap::pci
