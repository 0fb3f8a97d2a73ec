#pragma once

/// Flows that the card drops (driver/ixgbe/flow_drops.hpp), kept in step with the set of flows that no filter of a
/// capture wants: the one that each of them excludes (filter/set.hpp, FlowJoin::inside). The card drops what it has
/// room for; the filters drop the rest as before.
///
/// A flow that is erased from the set is dropped no more when erase() returns.
///
/// Threads: follow() and restart() one at a time; the set's own from any. Errors: none.

#include <memory>
#include <vector>

#include <ixcap/driver/ixgbe/flow_drops.hpp>
#include <ixcap/filter/set.hpp>

namespace ixcap::capture {

/// The set of flows whose packets none of the filters can match, as filter::LiveSet tells its watcher; null if there is
/// none.
std::shared_ptr<const filter::FlowSet> excluded_flows(
    const std::vector<std::shared_ptr<const filter::Filter>>& filters);

class HardwareFlows final : private filter::FlowWatcher {
 public:
  HardwareFlows(pci::Device& device, ixgbe::FlowTableSize size) : drops_(device, size) {}
  ~HardwareFlows() override;
  HardwareFlows(const HardwareFlows&) = delete;
  HardwareFlows& operator=(const HardwareFlows&) = delete;

  /// That set from now on, instead of the one before; null: none.
  void follow(std::shared_ptr<const filter::FlowSet> flows);

  /// As FlowDrops.
  void restart() { drops_.restart(); }
  std::size_t size() const { return drops_.size(); }

 private:
  void inserted(const filter::Flow& flow) noexcept override;
  void erased(const filter::Flow& flow) noexcept override;
  void cleared() noexcept override { drops_.clear(); }

  ixgbe::FlowDrops drops_;
  std::shared_ptr<const filter::FlowSet> flows_;
};

}  // namespace ixcap::capture
