#include <chrono>
#include <thread>

#include <ixcap/driver/ixgbe/flow_drops.hpp>
#include <ixcap/driver/ixgbe/flow_hash.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {
namespace {

using namespace std::chrono_literals;

constexpr Patience table_patience{10, 2000us};
constexpr unsigned command_tries = 10;
constexpr auto command_interval = 10us;

constexpr std::uint32_t ethertype_word = 6;  // in words from the frame's start: the flexible bytes are the ethertype
constexpr std::uint32_t ethertype_ipv4 = 0x0800;
constexpr std::uint32_t longest_bucket = 10;  // in pairs
constexpr std::uint32_t warn_below = 4;       // free filters, in units of 16
constexpr std::uint32_t ignored = FDIRM_VLANID | FDIRM_VLANP | FDIRM_POOL | FDIRM_DIPV6;

/// L4TYPE of FDIRCMD.
constexpr std::uint32_t kind_of(const FlowDrop& flow) {
  return flow.protocol == FilterProtocol::udp ? 1 : 2;
}

/// What the card finds the filter by: a hash of all that is compared.
std::uint32_t bucket_of(const FlowDrop& flow) {
  FlowKey key;
  key.flow = kind_of(flow) << flow_kind_shift;
  key.source[0] = flow.source;
  key.destination[0] = flow.destination;
  key.ports = std::uint32_t{flow.source_port} << 16 | flow.destination_port;
  key.flexible = ethertype_ipv4;
  return flow_hash(key, flow_bucket_key);
}

std::uint32_t fdirhash(const FlowDrop& flow, std::uint16_t index) {
  return std::uint32_t{index} << FDIRHASH_INDEX_SHIFT | bucket_of(flow);
}

}  // namespace

void make_flow_table(pci::Device& device, FlowTableSize size, std::uint32_t drop_queue) {
  device.write(FDIRHKEY.offset(), flow_bucket_key);
  device.write(FDIRSKEY.offset(), flow_signature_key);
  device.write(FDIRM.offset(), ignored);
  for (const Register* mask : {&FDIRSIP4M, &FDIRDIP4M, &FDIRTCPM, &FDIRUDPM}) device.write(mask->offset(), 0);
  set_bits(device, FDIRCMD, FDIRCMD_CLEARHT);
  clear_bits(device, FDIRCMD, FDIRCMD_CLEARHT);
  device.write(FDIRCTRL.offset(), static_cast<std::uint32_t>(size) | FDIRCTRL_PERFECT_MATCH |
                                      drop_queue << FDIRCTRL_DROP_Q_SHIFT | ethertype_word << FDIRCTRL_FLEX_SHIFT |
                                      longest_bucket << FDIRCTRL_MAX_LENGTH_SHIFT |
                                      warn_below << FDIRCTRL_FULL_THRESH_SHIFT);
  wait_for(device, FDIRCTRL, 0, FDIRCTRL_INIT_DONE, FDIRCTRL_INIT_DONE, table_patience,
           "cannot make the flow table of");
}

FlowDrops::FlowDrops(pci::Device& device, FlowTableSize size) : device_(device) {
  for (std::size_t i = flow_capacity(size); i-- > 0;) free_.push_back(static_cast<std::uint16_t>(i));
}

bool FlowDrops::add(const FlowDrop& flow) {
  const std::scoped_lock lock(mutex_);
  if (index_.contains(flow)) return true;
  if (free_.empty() || !write(flow, free_.back())) return false;
  index_.emplace(flow, free_.back());
  free_.pop_back();
  return true;
}

bool FlowDrops::remove(const FlowDrop& flow) {
  const std::scoped_lock lock(mutex_);
  const auto found = index_.find(flow);
  if (found == index_.end()) return false;
  erase(flow, found->second);
  free_.push_back(found->second);
  index_.erase(found);
  return true;
}

void FlowDrops::clear() {
  const std::scoped_lock lock(mutex_);
  for (const auto& [flow, index] : index_) {
    erase(flow, index);
    free_.push_back(index);
  }
  index_.clear();
}

void FlowDrops::restart() {
  const std::scoped_lock lock(mutex_);
  for (const auto& [flow, index] : index_) write(flow, index);
}

std::size_t FlowDrops::size() const {
  const std::scoped_lock lock(mutex_);
  return index_.size();
}

/// Addresses and flexible bytes stand in registers as they lie in the frame, the first byte lowest.
bool FlowDrops::write(const FlowDrop& flow, std::uint16_t index) noexcept {
  device_.write(FDIRIPSA.offset(), __builtin_bswap32(flow.source));
  device_.write(FDIRIPDA.offset(), __builtin_bswap32(flow.destination));
  device_.write(FDIRPORT.offset(), std::uint32_t{flow.destination_port} << 16 | flow.source_port);
  device_.write(FDIRVLAN.offset(), std::uint32_t{__builtin_bswap16(ethertype_ipv4)} << 16);
  device_.write(FDIRHASH.offset(), fdirhash(flow, index));
  return run(FDIRCMD_CMD_ADD_FLOW | FDIRCMD_FILTER_UPDATE | FDIRCMD_LAST | FDIRCMD_QUEUE_EN | FDIRCMD_DROP |
             kind_of(flow) << FDIRCMD_FLOW_TYPE_SHIFT);
}

void FlowDrops::erase(const FlowDrop& flow, std::uint16_t index) noexcept {
  device_.write(FDIRHASH.offset(), fdirhash(flow, index));
  run(FDIRCMD_CMD_REMOVE_FLOW);
}

/// False if the card does not say within 100 us that it is done.
bool FlowDrops::run(std::uint32_t command) noexcept {
  device_.write(FDIRCMD.offset(), command);
  for (unsigned i = 0; i < command_tries; ++i) {
    if ((device_.read(FDIRCMD.offset()) & FDIRCMD_CMD_MASK) == 0) return true;
    std::this_thread::sleep_for(command_interval);
  }
  return false;
}

}  // namespace ixcap::ixgbe
