#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include <ixcap/driver/emulator/client_interrupts.hpp>

namespace ixcap::emulator {
namespace {

using namespace pci::vfio_user;

std::uint32_t index_of(InterruptKind kind) noexcept {
  switch (kind) {
    case InterruptKind::intx:
      return irq_intx;
    case InterruptKind::msi:
      return irq_msi;
    case InterruptKind::msix:
      return irq_msix;
  }
  return irq_count;
}

}  // namespace

ClientInterrupts::ClientInterrupts(const PciFunction& function) {
  for (const InterruptKind kind : {InterruptKind::intx, InterruptKind::msi, InterruptKind::msix}) {
    lines_[index_of(kind)].resize(std::min(function.interrupt_vectors(kind), most_vectors));
  }
  // Clients expect to be told of errors and of a device that wants to leave; this one has no reason to.
  lines_[irq_error].resize(1);
  lines_[irq_request].resize(1);
}

bool ClientInterrupts::is_event_counter(const pci::FileDescriptor& file) noexcept {
  std::array<char, 64> link{};
  std::array<char, 64> target{};
  *fmt::format_to_n(link.begin(), link.size() - 1, "/proc/self/fd/{}", file.number()).out = '\0';
  const ssize_t length = ::readlink(link.data(), target.data(), target.size());
  return length > 0 && std::string_view(target.data(), static_cast<std::size_t>(length)) == "anon_inode:[eventfd]";
}

void ClientInterrupts::attach(std::uint32_t index, std::uint32_t vector, pci::FileDescriptor counter) noexcept {
  if (counter.valid()) {
    const int flags = ::fcntl(counter.number(), F_GETFL);
    ::fcntl(counter.number(), F_SETFL, flags | O_NONBLOCK);
  }
  const std::scoped_lock lock(mutex_);
  lines_[index][vector] = std::move(counter);
  if (index == irq_intx) intx_masked_ = intx_pending_ = false;
}

void ClientInterrupts::detach_all(std::uint32_t index) noexcept {
  const std::scoped_lock lock(mutex_);
  for (pci::FileDescriptor& counter : lines_[index]) counter.reset();
  if (index == irq_intx) intx_masked_ = intx_pending_ = false;
}

void ClientInterrupts::trigger(std::uint32_t index, std::uint32_t vector) noexcept {
  const std::scoped_lock lock(mutex_);
  signal(index, vector);
}

void ClientInterrupts::mask_intx() noexcept {
  const std::scoped_lock lock(mutex_);
  intx_masked_ = true;
}

void ClientInterrupts::unmask_intx(bool asserted) noexcept {
  const std::scoped_lock lock(mutex_);
  intx_masked_ = false;
  if (std::exchange(intx_pending_, false) || asserted) signal(irq_intx, 0);
}

void ClientInterrupts::raise(InterruptKind kind, std::uint32_t vector) noexcept {
  const std::scoped_lock lock(mutex_);
  signal(index_of(kind), vector);
}

void ClientInterrupts::signal(std::uint32_t index, std::uint32_t vector) noexcept {
  if (vector >= vectors(index)) return;
  const pci::FileDescriptor& counter = lines_[index][vector];
  if (index == irq_intx && intx_masked_) {
    intx_pending_ = true;
    return;
  }
  if (!counter.valid()) return;
  if (index == irq_intx) intx_masked_ = true;
  constexpr std::uint64_t one = 1;
  // A counter that is full says already what this would say.
  [[maybe_unused]] const ssize_t written = ::write(counter.number(), &one, sizeof one);
}

}  // namespace ixcap::emulator
