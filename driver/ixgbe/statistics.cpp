#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/statistics.hpp>

namespace ixcap::ixgbe {
namespace {

struct Counter {
  const Register& reg;
  std::uint64_t Statistics::*member;
};

struct WideCounter {
  const Register& low;
  const Register& high;  // bits 35:32; reading it clears both
  std::uint64_t Statistics::*member;
};

constexpr Counter counters[] = {
    {TPR, &Statistics::total_packets},
    {RXNFGPC, &Statistics::unfiltered_packets},
    {GPRC, &Statistics::good_packets},
    {BPRC, &Statistics::broadcast},
    {MPRC, &Statistics::multicast},
    {CRCERRS, &Statistics::crc_errors},
    {ILLERRC, &Statistics::illegal_symbols},
    {ERRBC, &Statistics::error_bytes},
    {RLEC, &Statistics::length_errors},
    {RUC, &Statistics::undersize},
    {RFC, &Statistics::fragments},
    {ROC, &Statistics::oversize},
    {RJC, &Statistics::jabber},
};

constexpr WideCounter wide_counters[] = {
    {TORL, TORH, &Statistics::total_bytes},
    {GORCL, GORCH, &Statistics::good_bytes},
};

std::uint64_t read_wide(pci::Device& device, std::uint32_t low_offset, std::uint32_t high_offset) {
  const std::uint64_t low = device.read(low_offset);
  return low | std::uint64_t{device.read(high_offset) & 0xF} << 32;
}

}  // namespace

QueueStatistics Statistics::all_queues() const noexcept {
  QueueStatistics sum;
  for (const QueueStatistics& one : queue) {
    sum.packets += one.packets;
    sum.bytes += one.bytes;
    sum.no_descriptor += one.no_descriptor;
  }
  return sum;
}

StatisticsCounter::StatisticsCounter(pci::Device& device) : device_(device) {
  update();
  total_ = {};
}

void StatisticsCounter::update() noexcept {
  // A device that is gone reads as all ones, which are no counts.
  const auto gone = [this] { return device_.read(STATUS.offset()) == 0xFFFFFFFF; };
  const auto receiving = [this] { return (device_.read(RXCTRL.offset()) & RXCTRL_RXEN) != 0; };
  if (gone()) return;
  const bool received = receiving();
  const Statistics before = total_;
  for (const Counter& counter : counters) total_.*counter.member += device_.read(counter.reg.offset());
  for (const WideCounter& counter : wide_counters) {
    total_.*counter.member += read_wide(device_, counter.low.offset(), counter.high.offset());
  }
  for (std::uint32_t buffer = 0; buffer < MPC.count; ++buffer) total_.missed += device_.read(MPC.offset(buffer));
  for (std::uint32_t slot = 0; slot < statistics_slots; ++slot) {
    QueueStatistics& queue = total_.queue[slot];
    queue.packets += device_.read(QPRC.offset(slot));
    queue.bytes += read_wide(device_, QBRC_L.offset(slot), QBRC_H.offset(slot));
    queue.no_descriptor += device_.read(QPRDC.offset(slot));
  }
  if (gone() || receiving() != received) total_ = before;  // it went, or was reset, meanwhile
}

}  // namespace ixcap::ixgbe
