#include <algorithm>
#include <optional>
#include <utility>

#include <ixcap/capture/hardware_flows.hpp>

namespace ixcap::capture {
namespace {

using filter::Flow;
using filter::FlowKind;
using ixgbe::FilterProtocol;
using ixgbe::FlowDrop;

std::uint32_t number(const filter::Address& address) {
  const auto& bytes = address.bytes;
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
}

/// Empty for what the card cannot tell from other flows.
std::optional<FlowDrop> drop_of(const Flow& flow) {
  constexpr std::uint8_t tcp = 6;
  constexpr std::uint8_t udp = 17;
  if (flow.protocol != tcp && flow.protocol != udp) return std::nullopt;
  return FlowDrop{flow.protocol == udp ? FilterProtocol::udp : FilterProtocol::tcp, number(flow.source),
                  number(flow.destination), flow.source_port, flow.destination_port};
}

/// Calls use(drop) for the flow, and in a set of conversations for the other direction.
template <typename Use>
void for_each_direction(const Flow& flow, FlowKind kind, Use use) {
  if (const auto drop = drop_of(flow)) use(*drop);
  if (kind != FlowKind::conversations) return;
  if (const auto drop = drop_of(flow.reversed())) use(*drop);
}

}  // namespace

std::shared_ptr<const filter::FlowSet> excluded_flows(
    const std::vector<std::shared_ptr<const filter::Filter>>& filters) {
  if (filters.empty()) return nullptr;
  const std::shared_ptr<const filter::FlowSet>& flows = filters.front()->flows;
  if (flows == nullptr || flows->kind() == FlowKind::addresses) return nullptr;
  const bool by_all =
      std::ranges::all_of(filters, [&](const auto& filter) { return filter->flows == flows && !filter->join.inside; });
  return by_all ? flows : nullptr;
}

HardwareFlows::~HardwareFlows() {
  follow(nullptr);
}

void HardwareFlows::follow(std::shared_ptr<const filter::FlowSet> flows) {
  if (flows == flows_) return;
  if (flows_ != nullptr) flows_->unwatch(*this);
  drops_.clear();
  flows_ = std::move(flows);
  if (flows_ != nullptr) flows_->watch(*this);
}

void HardwareFlows::inserted(const Flow& flow) noexcept {
  for_each_direction(flow, flows_->kind(), [this](const FlowDrop& drop) { drops_.add(drop); });
}

void HardwareFlows::erased(const Flow& flow) noexcept {
  for_each_direction(flow, flows_->kind(), [this](const FlowDrop& drop) { drops_.remove(drop); });
}

}  // namespace ixcap::capture
