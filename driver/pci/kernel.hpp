#pragma once

/// What taking a card from the kernel, and giving it back, asks of the kernel: the one seam between binding.hpp and the
/// machine. Tests play the kernel on a tree of files.
///
/// Threads: one at a time.
/// Errors: ixcap::Error.

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ixcap/driver/pci/network.hpp>

namespace ixcap::pci {

/// Where the kernel shows itself, and where ixcap keeps its journals.
struct Roots {
  std::string sysfs = "/sys";
  std::string procfs = "/proc";
  std::string dev = "/dev";
  std::string modules = "/lib/modules";
  std::string state = "/var/lib/ixcap";
};

class Kernel {
 public:
  explicit Kernel(Roots roots = {}) : roots_(std::move(roots)) {}
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  virtual ~Kernel() = default;

  const Roots& roots() const noexcept { return roots_; }

  /// Writes to a file of sysfs; `attribute` is its path below the root. What the kernel does about it is done on
  /// return.
  virtual void write(const std::string& attribute, std::string_view text);

  /// Loads a module and what it needs, as modprobe does; nothing happens if it is there.
  virtual void load_module(const std::string& name);

  virtual std::vector<std::string> addresses(const std::string& interface, bool lasting) const;
  virtual bool default_route(const std::string& interface) const;
  virtual void restore(const std::string& interface, const NetworkState& wanted);

  /// Whether a program has the group open.
  virtual bool group_in_use(unsigned group) const;

  /// Gives the group's file to a user, who alone may then open it.
  virtual void hand_over(unsigned group, uid_t user);

  /// A moment between two looks at something that the kernel does in its own time.
  virtual void pause();

  /// As sysfs has it, with the lasting addresses; nothing if there is no such interface.
  std::optional<NetworkState> network(const std::string& interface) const;

  /// /dev/vfio/GROUP.
  std::string group_file(unsigned group) const;

  /// Whether the running kernel has the module, loaded, built in, or to be loaded.
  bool has_module(const std::string& name) const;

 private:
  Roots roots_;
};

/// How often pause() is called at most before something that should have happened counts as failed: half a minute.
inline constexpr unsigned patience_pauses = 600;

}  // namespace ixcap::pci
