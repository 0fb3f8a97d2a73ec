#pragma once

/// What the machine's IOMMU keeps from a card: memory that is not its own, and interrupts that are not its own.
///
/// In what mends it, `sudo` stands before what only root may run: "sudo ", or nothing for root.
///
/// Threads: any. Errors: none are thrown.

#include <optional>
#include <string>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/discovery.hpp>
#include <ixcap/driver/pci/kernel.hpp>

namespace ixcap::pci {

/// Why the machine has no IOMMU that covers the function, and what turns it on. Nothing if it has.
std::optional<Error> why_no_iommu(const Kernel& kernel, const Function& function, const std::string& sudo = "");

/// Whether a card can raise interrupts that are not its own, by writing where messages go. Where it can, VFIO gives it
/// to nobody, unless it is told that cards are trusted.
enum class StrayInterrupts {
  none,     ///< interrupts are remapped
  trusted,  ///< vfio_iommu_type1 allows them
  refused,
  unknown,  ///< the kernel shows no interrupts of a kind that is known
};

/// As /proc/interrupts names the controllers: "IR-" stands before those whose interrupts are remapped.
StrayInterrupts stray_interrupts(const Roots& roots);

/// What is done about StrayInterrupts::refused. The command stands last, after ": ".
std::string mend_of_stray_interrupts(const std::string& sudo);

}  // namespace ixcap::pci
