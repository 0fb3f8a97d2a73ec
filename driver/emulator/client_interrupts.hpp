#pragma once

/// Where a client, over vfio-user or in this process, wants interrupts: an event counter (eventfd) for each vector that
/// it listens to.
///
/// INTx masks itself when it is raised and waits to be unmasked (VFIO_IRQ_INFO_AUTOMASKED): what is raised meanwhile is
/// raised then. MSI and MSI-X are messages: one that nobody listens to is lost.
///
/// Ownership: the event counters.
/// Threads: raise() from any thread; it never waits for the client, whose counters are made non-blocking (a client that
/// undoes that and fills them stops its own device). The others one at a time.

#include <array>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include <ixcap/driver/emulator/pci_function.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>
#include <ixcap/driver/pci/vfio_user_protocol.hpp>

namespace ixcap::emulator {

class ClientInterrupts final : public InterruptSink {
 public:
  static constexpr std::uint32_t most_vectors = 2048;  ///< MSI-X has no more

  explicit ClientInterrupts(const PciFunction& function);

  /// Interrupts of this index (pci::vfio_user::irq_intx and following); 0 for an index that there is not.
  std::uint32_t vectors(std::uint32_t index) const noexcept {
    return index < lines_.size() ? static_cast<std::uint32_t>(lines_[index].size()) : 0;
  }

  /// Whether the file is an event counter, and the only kind of file that attach() may be given.
  static bool is_event_counter(const pci::FileDescriptor& file) noexcept;

  /// Has a vector, which there must be, go to `counter` from now on; to none if it is none.
  void attach(std::uint32_t index, std::uint32_t vector, pci::FileDescriptor counter) noexcept;

  /// Forgets all counters of an index, and that it is masked.
  void detach_all(std::uint32_t index) noexcept;

  /// Raises a vector as the function would; one that there is not is ignored.
  void trigger(std::uint32_t index, std::uint32_t vector) noexcept;

  void mask_intx() noexcept;
  /// `asserted`: whether the function's pin is, as its configuration space says.
  void unmask_intx(bool asserted) noexcept;

  void raise(InterruptKind kind, std::uint32_t vector) noexcept override;

 private:
  void signal(std::uint32_t index, std::uint32_t vector) noexcept;

  std::mutex mutex_;  ///< guards all below, but for the sizes of the vectors
  std::array<std::vector<pci::FileDescriptor>, pci::vfio_user::irq_count> lines_;
  bool intx_masked_ = false;
  bool intx_pending_ = false;
};

}  // namespace ixcap::emulator
