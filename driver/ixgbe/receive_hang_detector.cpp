#include <ixcap/driver/ixgbe/receive_hang_detector.hpp>

namespace ixcap::ixgbe {

std::optional<ReceiveHang> ReceiveHangDetector::look(std::span<const QueueLook> queues, const Statistics& card) {
  std::optional<ReceiveHang> hang;
  suspects_.resize(queues.size());
  for (std::uint32_t i = 0; i < queues.size(); ++i) {
    if (suspects_[i].hangs(queues[i]) && !hang) hang = ReceiveHang{i};
  }
  if (port_hangs(card) && !hang) hang = ReceiveHang{};
  return hang;
}

bool ReceiveHangDetector::Suspect::hangs(const QueueLook& now) noexcept {
  const bool had_descriptors = last.head != last.tail;
  const bool stood_still = had_descriptors && now.head == last.head && now.written == last.written;
  const bool dropped = now.dropped != last.dropped;
  losses = stood_still ? losses + (dropped ? 1 : 0) : 0;
  last = now;
  return losses >= patience;
}

bool ReceiveHangDetector::port_hangs(const Statistics& now) noexcept {
  const auto got_through = [](const Statistics& card) {
    const QueueStatistics all = card.all_queues();
    return all.packets + all.no_descriptor;
  };
  if (looks_ == 0 || got_through(now) != got_through(last_sign_)) {
    last_sign_ = last_ = now;
    looks_ = 1;
    return false;
  }
  const bool more_came = now.good_packets != last_.good_packets || now.missed != last_.missed;
  looks_ += more_came ? 1 : 0;
  last_ = now;
  const bool lost = now.missed != last_sign_.missed || now.good_packets - last_sign_.good_packets > most_in_card;
  return lost && looks_ > patience;
}

}  // namespace ixcap::ixgbe
