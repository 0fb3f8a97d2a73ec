#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>
#include <ixcap/driver/ixgbe/hardware_filter.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/rss.hpp>
#include <ixcap/driver/ixgbe/rx_queue.hpp>
#include <ixcap/driver/ixgbe/rx_ring.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {
namespace {

/// Which filter goes first.
constexpr std::uint32_t of_protocols = 7;
constexpr std::uint32_t of_addresses = 4;
constexpr std::uint32_t of_the_rest = 1;

constexpr std::uint32_t any_ports = FTQF_ANY_SOURCE_PORT | FTQF_ANY_DESTINATION_PORT;
constexpr std::uint32_t any_addresses = FTQF_ANY_SOURCE | FTQF_ANY_DESTINATION;
constexpr std::uint32_t always = any_ports | FTQF_ANY_POOL | FTQF_EN;

constexpr std::uint32_t priority(std::uint32_t value) {
  return value << FTQF_PRIORITY_SHIFT;
}

std::uint32_t checked(pci::Device& device, std::uint32_t queues) {
  if (queues < most_queues) return queues;
  throw Error("cannot filter in the hardware of", device.identity().address,
              fmt::format("{} queues leave none for what is dropped", queues),
              fmt::format("use at most {} queues, or no --hardware-filter", most_queues - 1));
}

}  // namespace

HardwareFilter::HardwareFilter(pci::Device& device, std::uint32_t queues)
    : device_(device), queues_(checked(device, queues)), ring_(device, fewest_descriptors * sizeof(ReceiveDescriptor)) {
  set_up_drop_queue();
}

void HardwareFilter::restart(const HardwareRules& rules) {
  set_up_drop_queue();
  apply(rules);
}

void HardwareFilter::set_up_drop_queue() {
  // As for any queue; but RDT stays 0 as RDH does, so that the card has no descriptor.
  program_rx_ring(device_, queues_, ring_.io_address(), fewest_descriptors * std::uint32_t{sizeof(ReceiveDescriptor)});
  enable_rx_ring(device_, queues_);
  // It counts in the statistics slot of its number, like the others.
  const std::uint32_t shift = queues_ % 4 * 8;
  const std::uint32_t slots = device_.read(RQSMR.offset(queues_ / 4)) & ~(0xFFu << shift);
  device_.write(RQSMR.offset(queues_ / 4), slots | queues_ << shift);
}

HardwareFilter::~HardwareFilter() {
  apply({});
  clear_bits(device_, RXDCTL, RXDCTL_ENABLE, queues_);  // it holds nothing that the card could still write to
}

void HardwareFilter::apply(const HardwareRules& rules) noexcept {
  // Whatever is in the way of a frame that is wanted now goes first.
  clear_bits(device_, VLNCTRL, VLNCTRL_VFE);
  for (std::uint32_t i = 0; i < ETQF.count; ++i) {
    if (i == ETQF_OF_PTP) continue;
    device_.write(ETQF.offset(i), 0);
    device_.write(ETQS.offset(i), 0);
  }
  while (filters_ > 0) device_.write(FTQF.offset(--filters_), 0);  // those that drop were written last

  apply_vlans(rules);
  apply_ethertypes(rules);
  if (rules.only) apply_addresses(*rules.only);
  for (const FilterProtocol protocol : rules.dropped_protocols) {
    write_five_tuple(static_cast<std::uint32_t>(protocol) | priority(of_protocols) | any_addresses, 0, 0, queues_);
  }
  if (rules.only) write_five_tuple(priority(of_the_rest) | any_addresses | FTQF_ANY_PROTOCOL, 0, 0, queues_);
}

void HardwareFilter::apply_vlans(const HardwareRules& rules) noexcept {
  if (!rules.vlans) return;
  constexpr std::uint32_t bits = 32;
  for (std::uint32_t i = 0; i < VFTA.count; ++i) {
    std::uint32_t word = 0;
    for (std::uint32_t bit = 0; bit < bits; ++bit) word |= std::uint32_t{(*rules.vlans)[i * bits + bit]} << bit;
    device_.write(VFTA.offset(i), word);
  }
  set_bits(device_, VLNCTRL, VLNCTRL_VFE);
}

void HardwareFilter::apply_ethertypes(const HardwareRules& rules) noexcept {
  std::uint32_t i = 0;
  for (const std::uint16_t ethertype : rules.dropped_ethertypes) {
    if (i == ETQF_OF_PTP) ++i;
    if (i >= ETQF.count) return;
    device_.write(ETQS.offset(i), ETQS_QEN | queues_ << ETQS_QUEUE_SHIFT);
    device_.write(ETQF.offset(i), ETQF_EN | ethertype);
    ++i;
  }
}

/// Both directions of an address to the same queue, so that a conversation stays together.
void HardwareFilter::apply_addresses(const HardwareRules::Addresses& only) noexcept {
  const auto queue_of = [this](std::uint32_t address) { return address % queues_; };
  const std::uint32_t how = priority(of_addresses) | FTQF_ANY_PROTOCOL;
  for (const std::uint32_t address : only.sources)
    write_five_tuple(how | FTQF_ANY_DESTINATION, address, 0, queue_of(address));
  for (const std::uint32_t address : only.destinations)
    write_five_tuple(how | FTQF_ANY_SOURCE, 0, address, queue_of(address));
}

void HardwareFilter::write_five_tuple(std::uint32_t ftqf, std::uint32_t source, std::uint32_t destination,
                                      std::uint32_t queue) noexcept {
  if (filters_ >= FTQF.count) return;
  const auto network_order = [](std::uint32_t address) {
    return std::endian::native == std::endian::little ? __builtin_bswap32(address) : address;
  };
  device_.write(SAQF.offset(filters_), network_order(source));
  device_.write(DAQF.offset(filters_), network_order(destination));
  device_.write(SDPQF.offset(filters_), 0);
  device_.write(L34TIMIR.offset(filters_), L34TIMIR_BYPASS | queue << L34TIMIR_QUEUE_SHIFT);
  device_.write(FTQF.offset(filters_), ftqf | always);
  ++filters_;
}

}  // namespace ixcap::ixgbe
