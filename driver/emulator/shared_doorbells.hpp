#pragma once

/// The server's side of doorbells over vfio-user (pci::vfio_user::DoorbellPage): a page that the client stores to, and
/// that is looked at whenever the server has nothing else to do.
///
/// The client may write anything there at any time. A slot's register is taken once and must be within BAR0; values are
/// written to BAR0 as a message would write them, so the client does nothing here that it could not do anyway.
///
/// Threads: one at a time.

#include <array>
#include <cstdint>

#include <ixcap/driver/emulator/pci_function.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>
#include <ixcap/driver/pci/vfio_user_protocol.hpp>

namespace ixcap::emulator {

class SharedDoorbells {
 public:
  explicit SharedDoorbells(PciFunction& function) noexcept : function_(function) {}
  ~SharedDoorbells();
  SharedDoorbells(const SharedDoorbells&) = delete;
  SharedDoorbells& operator=(const SharedDoorbells&) = delete;

  /// The page as a file for the client (borrowed), made at the first call; -1 if it cannot be had.
  int file() noexcept;

  /// Whether there is a page to look at.
  bool active() const noexcept { return page_ != nullptr; }

  /// Writes to the registers whose words have changed; whether there were any.
  bool forward() noexcept;

  /// A message has written `value` to BAR0 at `offset`.
  void written(std::uint64_t offset, std::uint64_t value) noexcept;

 private:
  using Page = pci::vfio_user::DoorbellPage;

  struct Seen {
    std::uint32_t offset;
    std::uint32_t value;
    bool valid;
  };

  PciFunction& function_;
  pci::FileDescriptor file_;
  Page* page_ = nullptr;
  std::uint32_t count_ = 0;  ///< slots taken
  std::array<Seen, Page::slot_count> seen_{};
};

}  // namespace ixcap::emulator
