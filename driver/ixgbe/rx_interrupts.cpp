#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/rx_interrupts.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {
namespace {

std::vector<pci::FileDescriptor> event_counters(pci::Device& device, std::uint32_t count) {
  constexpr const char* action = "cannot set up interrupts of";
  if (device.interrupt_vectors() < count) {
    throw Error(action, device.identity().address,
                fmt::format("it has {} messages, and {} queues need as many", device.interrupt_vectors(), count),
                "poll without interrupts: --poll busy");
  }
  std::vector<pci::FileDescriptor> counters;
  for (std::uint32_t i = 0; i < count; ++i) {
    counters.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!counters.back().valid()) {
      throw Error::from_errno(action, device.identity().address, errno, "allow more open files: ulimit -n 4096");
    }
  }
  return counters;
}

std::uint32_t interval_of(std::chrono::nanoseconds moderation) {
  constexpr auto longest = EITR_INTERVAL_MASK >> EITR_INTERVAL_SHIFT;
  const auto units = std::clamp<std::int64_t>(moderation.count() / EITR_unit_ns, 0, longest);
  return static_cast<std::uint32_t>(units) << EITR_INTERVAL_SHIFT;
}

/// The queues' bits in the masks of the first 32 messages.
std::uint32_t bits_of(std::size_t queues) noexcept {
  return static_cast<std::uint32_t>((std::uint64_t{1} << queues) - 1);
}

}  // namespace

RxInterrupts::RxInterrupts(pci::Device& device, std::uint32_t queues, std::chrono::microseconds moderation)
    : device_(device), moderation_(interval_of(moderation)), counters_(event_counters(device, queues)) {
  restart();
}

void RxInterrupts::restart() {
  const auto queues = static_cast<std::uint32_t>(counters_.size());
  // Data sheet 7.3.1: a message for each queue, sent once and then masked; its cause is cleared as it goes out.
  device_.write(GPIE.offset(), GPIE_MULTIPLE_MSIX | GPIE_OCD | GPIE_EIAME | GPIE_PBA_SUPPORT);
  device_.write(EIAC.offset(), bits_of(queues));
  device_.write(EIAM_EX.offset(0), bits_of(queues));
  for (std::uint32_t queue = 0; queue < queues; ++queue) {
    const unsigned shift = queue % 2 * 16;  // IVAR: two queues, receive and transmit a byte each
    const std::uint32_t others = device_.read(IVAR.offset(queue / 2)) & ~(std::uint32_t{0xFF} << shift);
    device_.write(IVAR.offset(queue / 2), others | (queue | IVAR_VALID) << shift);
    device_.write(EITR.offset(queue), moderation_ | EITR_CNT_WDIS);
  }
  std::vector<int> numbers;
  for (const pci::FileDescriptor& counter : counters_) numbers.push_back(counter.number());
  device_.enable_interrupts(numbers);
}

RxInterrupts::~RxInterrupts() {
  device_.write(EIMC_EX.offset(0), bits_of(counters_.size()));
  device_.disable_interrupts();
}

void RxInterrupts::arm(std::uint32_t queue) noexcept {
  device_.write(EIMS_EX.offset(0), std::uint32_t{1} << queue);
}

bool RxInterrupts::wait(std::uint32_t queue, std::chrono::nanoseconds longest) noexcept {
  pollfd waiting{counters_[queue].number(), POLLIN, 0};
  const timespec patience{longest.count() / 1'000'000'000, longest.count() % 1'000'000'000};
  if (::ppoll(&waiting, 1, &patience, nullptr) <= 0) return false;
  std::uint64_t messages = 0;
  return ::read(waiting.fd, &messages, sizeof messages) == sizeof messages;
}

}  // namespace ixcap::ixgbe
