#pragma once

/// What the messages of one vfio-user client do to a PCI function, and the answers to them. Knows nothing of sockets.
///
/// Nothing that a client sends is trusted: a message is refused with an errno value, and changes nothing, when any of
/// its sizes, offsets, counts or files is not in order. The order of arrival is the order of effect.
///
/// Not supported, and answered with ENOTSUP: migration, dirty pages, I/O regions as files, device features, and memory
/// of the client reached by messages (a range that is mapped without a file is known and cannot be reached).
///
/// Ownership: the client's memory, interrupts and doorbells, which end with the session, as does the state of the
/// function: it is reset. The function is the session's alone.
/// Threads: one at a time.

#include <cstdint>
#include <span>
#include <vector>

#include <ixcap/driver/emulator/client_interrupts.hpp>
#include <ixcap/driver/emulator/client_memory.hpp>
#include <ixcap/driver/emulator/pci_function.hpp>
#include <ixcap/driver/emulator/shared_doorbells.hpp>
#include <ixcap/driver/pci/vfio_user_protocol.hpp>
#include <ixcap/driver/pci/vfio_user_socket.hpp>

namespace ixcap::emulator {

class VfioUserSession {
 public:
  explicit VfioUserSession(PciFunction& function);
  ~VfioUserSession();
  VfioUserSession(const VfioUserSession&) = delete;
  VfioUserSession& operator=(const VfioUserSession&) = delete;

  enum class Next { reply, no_reply, hang_up };

  /// Does what the message says, whose files it may take. With Next::reply, reply() and reply_file() are the answer;
  /// with Next::hang_up the client is not one to talk to.
  Next handle(pci::VfioUserMessage& message);

  /// The last answer, until the next message.
  std::span<const std::uint8_t> reply() const noexcept { return reply_; }
  int reply_file() const noexcept { return reply_file_; }

  /// Why the last message was refused; error 0 if it was not.
  const Refusal& refusal() const noexcept { return refusal_; }

  const ClientMemory& memory() const noexcept { return memory_; }
  SharedDoorbells& doorbells() noexcept { return doorbells_; }

 private:
  using Bytes = std::span<const std::uint8_t>;

  Refusal dispatch(pci::VfioUserMessage& message);
  Refusal negotiate(Bytes payload);
  Refusal map_dma(Bytes payload, std::vector<pci::FileDescriptor>& files);
  Refusal unmap_dma(Bytes payload);
  Refusal tell_device(Bytes payload);
  Refusal tell_region(Bytes payload);
  Refusal tell_irq(Bytes payload);
  Refusal set_irqs(Bytes payload, std::vector<pci::FileDescriptor>& files);
  Refusal attach_irqs(const pci::vfio_user::SetIrqs& request, std::vector<pci::FileDescriptor>& files);
  void act_on_irq(const pci::vfio_user::SetIrqs& request, std::uint32_t vector);
  Refusal read_region(Bytes payload);
  Refusal write_region(Bytes payload);
  Refusal write_many(Bytes payload);
  Refusal reset(Bytes payload);

  bool within_region(std::uint32_t region, std::uint64_t offset, std::uint64_t count) const noexcept;
  void read_bytes(std::uint32_t region, std::uint64_t offset, std::span<std::uint8_t> bytes) noexcept;
  void write_bytes(std::uint32_t region, std::uint64_t offset, Bytes bytes) noexcept;
  bool intx_asserted() noexcept;

  template <typename Structure>
  void answer(const Structure& structure) {
    const Bytes bytes = pci::vfio_user::bytes_of(structure);
    reply_.insert(reply_.end(), bytes.begin(), bytes.end());
  }

  PciFunction& function_;
  ClientInterrupts interrupts_;
  ClientMemory memory_;
  SharedDoorbells doorbells_;
  bool negotiated_ = false;
  std::vector<std::uint8_t> reply_;  ///< keeps its memory from message to message
  int reply_file_ = -1;
  Refusal refusal_;
};

}  // namespace ixcap::emulator
