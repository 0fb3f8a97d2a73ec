#pragma once

/// Takes a card from the kernel's driver for vfio-pci, and gives it back as it was.
///
/// What the hardware cannot keep apart (an IOMMU group) changes hands together. Before anything is changed, a journal
/// says what was (journal.hpp); it stays until everything is as it was again. Whoever is interrupted, by SIGKILL or by
/// a power loss, leaves a journal that give_back() and describe() understand.
///
/// Threads: one at a time; processes wait for each other.
/// Errors: ixcap::Error. After a failed bind() the card is with its old driver again, as far as the kernel allows it;
/// after a failed give_back() the journal is still there, and it can be tried again.

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/discovery.hpp>
#include <ixcap/driver/pci/journal.hpp>
#include <ixcap/driver/pci/kernel.hpp>

namespace ixcap::pci {

inline constexpr const char* vfio_driver = "vfio-pci";

struct BindOptions {
  std::optional<uid_t> user = {};     ///< who may use the group afterwards; nobody named: root
  bool force = false;                 ///< also what would cost the machine its network or another device
  std::optional<Holder> holder = {};  ///< the process that gives it back by itself
};

struct Bound {
  unsigned group = 0;
  std::vector<std::string> functions;  ///< that were taken; empty if vfio-pci had the card already
};

/// Binds the function at `address`, and what is in its IOMMU group: the other ports of the same card, and cards of the
/// same model. Refuses, unless forced: a default route or something built upon the network interface (a bridge, a
/// VLAN), and a foreign device in the group that some driver uses. Refuses always: no such function, no IOMMU, virtual
/// functions in use.
Bound bind(Kernel& kernel, const std::string& address, const BindOptions& options);

struct GivenBack {
  std::string address;
  std::string driver;             ///< empty: it has none, as before
  std::string network_interface;  ///< empty: it has none
};

/// Gives the function at `address`, and what was taken with it, back to the drivers that had them, restores their
/// network interfaces and waits for them. Without a journal the kernel chooses the driver. Refuses while a program uses
/// the group, or, unless `self` is it, while the journal's holder lives. Empty if there was nothing to give back.
std::vector<GivenBack> give_back(Kernel& kernel, const std::string& address, const std::optional<Holder>& self = {});

/// Whose hands a function is in.
enum class Hands {
  kernel,       ///< with a driver of the kernel
  nobody,       ///< without a driver
  bound,        ///< with vfio-pci, taken by bind()
  lent,         ///< with vfio-pci, for a process that gives it back by itself
  foreign,      ///< with vfio-pci, and ixcap has no journal of it
  interrupted,  ///< there is a journal, and the machine is not what it leads to
  damaged,      ///< there is a journal that cannot be read
};

Hands hands_of(const Kernel& kernel, const Function& function);

/// The error of a function that a capture cannot open as it is: there is no such one, or vfio-pci does not have it.
/// Nothing if it can.
std::optional<Error> why_not_open(const Kernel& kernel, const std::string& address);

/// What taking the function would cost without --force, as bind() refuses it: the machine its network, or another
/// device its driver. Nothing if it costs nothing. `sudo` stands before what only root may run.
std::optional<Error> network_obstacle(const Kernel& kernel, const Function& function, const std::string& sudo = "");
std::optional<Error> group_obstacle(const Kernel& kernel, const Function& function, const std::string& sudo = "");

/// What bind() takes with `function` from its IOMMU group, itself among it.
std::vector<Function> taken_along(const Kernel& kernel, const Function& function, bool force);

}  // namespace ixcap::pci
