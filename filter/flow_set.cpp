#include <fmt/format.h>

#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <utility>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/flow_set.hpp>

namespace ixcap::filter {
namespace {

std::uint64_t four_bytes(const Address& address) noexcept {
  std::uint32_t value;
  std::memcpy(&value, address.bytes.data(), sizeof value);
  return value;
}

std::array<std::uint64_t, 2> sixteen_bytes(const Address& address) noexcept {
  std::array<std::uint64_t, 2> value;
  std::memcpy(value.data(), address.bytes.data(), sizeof value);
  return value;
}

std::uint64_t ports_and_protocol(const Flow& flow) noexcept {
  return std::uint64_t{flow.source_port} | std::uint64_t{flow.destination_port} << 16 |
         std::uint64_t{flow.protocol} << 32;
}

FlowTable<1>::Key ipv4_key(const Address& address) noexcept {
  return {four_bytes(address)};
}
FlowTable<2>::Key ipv6_key(const Address& address) noexcept {
  return sixteen_bytes(address);
}
FlowTable<2>::Key ipv4_key(const Flow& flow) noexcept {
  return {four_bytes(flow.source) | four_bytes(flow.destination) << 32, ports_and_protocol(flow)};
}
Flow flow_of(const FlowTable<2>::Key& key) noexcept {
  Flow flow;
  const std::array addresses{static_cast<std::uint32_t>(key[0]), static_cast<std::uint32_t>(key[0] >> 32)};
  std::memcpy(flow.source.bytes.data(), &addresses[0], sizeof addresses[0]);
  std::memcpy(flow.destination.bytes.data(), &addresses[1], sizeof addresses[1]);
  flow.source_port = static_cast<std::uint16_t>(key[1]);
  flow.destination_port = static_cast<std::uint16_t>(key[1] >> 16);
  flow.protocol = static_cast<std::uint8_t>(key[1] >> 32);
  return flow;
}
FlowTable<5>::Key ipv6_key(const Flow& flow) noexcept {
  const auto source = sixteen_bytes(flow.source);
  const auto destination = sixteen_bytes(flow.destination);
  return {source[0], source[1], destination[0], destination[1], ports_and_protocol(flow)};
}

struct Families {
  std::uint64_t ipv4 = 0;
  std::uint64_t ipv6 = 0;
};

/// Those of the frames in `wanted` that have what is looked for, apart by family.
template <typename Has, typename FamilyOf>
Families of_each_family(std::uint64_t wanted, Has has, FamilyOf family_of) noexcept {
  Families families;
  for (; wanted != 0; wanted &= wanted - 1) {
    const auto frame = static_cast<std::size_t>(std::countr_zero(wanted));
    if (!has(frame)) continue;
    (family_of(frame) == Family::ipv4 ? families.ipv4 : families.ipv6) |= wanted & -wanted;
  }
  return families;
}

/// Looks up what `key_of` makes of the frames whose bits are set in `wanted`.
template <typename Table, typename KeyOf>
std::uint64_t look_up(const Table& table, std::uint64_t wanted, KeyOf key_of) noexcept {
  if (wanted == 0) return 0;
  std::array<typename Table::Key, batch_size> keys;
  std::array<std::uint8_t, batch_size> frame_of;
  std::size_t count = 0;
  for (; wanted != 0; wanted &= wanted - 1, ++count) {
    const auto frame = static_cast<std::uint8_t>(std::countr_zero(wanted));
    keys[count] = key_of(frame);
    frame_of[count] = frame;
  }
  std::uint64_t found = 0;
  for (std::uint64_t hits = table.find(std::span(keys).first(count)); hits != 0; hits &= hits - 1) {
    found |= std::uint64_t{1} << frame_of[static_cast<std::size_t>(std::countr_zero(hits))];
  }
  return found;
}

}  // namespace

FlowSet::FlowSet(std::string name, FlowKind kind, std::size_t capacity)
    : name_(std::move(name)), kind_(kind), capacity_(capacity) {
  if (capacity < 1 || capacity > most_entries) {
    throw Error("cannot make flow set", name_, fmt::format("a capacity of {}", capacity),
                fmt::format("take 1 to {}", most_entries));
  }
  if (kind == FlowKind::addresses) {
    addresses_.emplace(capacity);
  } else {
    flows_.emplace(capacity);
  }
}

/// Calls use(table, key) for the table and the key of `address`.
template <typename Self, typename Use>
auto FlowSet::with_table(Self& self, const Address& address, Use use) {
  if (!self.addresses_) {
    throw Error("cannot use flow set", self.name_, "it holds flows, no addresses",
                "give protocol, addresses and ports");
  }
  return address.family == Family::ipv4 ? use(self.addresses_->ipv4, ipv4_key(address))
                                        : use(self.addresses_->ipv6, ipv6_key(address));
}

template <typename Self, typename Use>
auto FlowSet::with_table(Self& self, const Flow& flow, Use use) {
  if (!self.flows_) throw Error("cannot use flow set", self.name_, "it holds addresses, no flows", "give an address");
  if (flow.source.family != flow.destination.family) {
    throw Error("cannot use flow set", self.name_,
                fmt::format("{} and {} are of two families", flow.source.to_string(), flow.destination.to_string()),
                "give two IPv4 or two IPv6 addresses");
  }
  const Flow same = self.same_for_both_directions(flow);
  return same.source.family == Family::ipv4 ? use(self.flows_->ipv4, ipv4_key(same))
                                            : use(self.flows_->ipv6, ipv6_key(same));
}

/// In a set of conversations, the same for a flow and for its reverse; in others, the flow itself.
Flow FlowSet::same_for_both_directions(const Flow& flow) const noexcept {
  if (kind_ != FlowKind::conversations) return flow;
  const int order = std::memcmp(flow.source.bytes.data(), flow.destination.bytes.data(), flow.source.bytes.size());
  const bool in_order = order != 0 ? order < 0 : flow.source_port <= flow.destination_port;
  return in_order ? flow : flow.reversed();
}

template <typename Entry>
Inserted FlowSet::insert_entry(const Entry& entry) {
  const std::scoped_lock lock(changing_);
  const Inserted inserted = with_table(*this, entry, [this](auto& table, const auto& key) {
    const std::size_t size = this->size();
    if (size == capacity_) return table.contains(key) ? Inserted::present : Inserted::full;
    const Inserted added = table.insert(key);
    if (added == Inserted::added) size_.store(size + 1, std::memory_order_relaxed);  // relaxed: a count of its own
    return added;
  });
  if (inserted == Inserted::added) tell(&FlowWatcher::inserted, entry);
  return inserted;
}

template <typename Entry>
bool FlowSet::erase_entry(const Entry& entry) {
  const std::scoped_lock lock(changing_);
  const bool erased = with_table(*this, entry, [this](auto& table, const auto& key) {
    if (!table.erase(key)) return false;
    size_.store(size() - 1, std::memory_order_relaxed);  // relaxed: a count of its own
    return true;
  });
  if (erased) tell(&FlowWatcher::erased, entry);
  return erased;
}

void FlowSet::tell(void (FlowWatcher::*what)(const Flow&) noexcept, const Flow& flow) const noexcept {
  if (watchers_.empty()) return;
  const Flow same = same_for_both_directions(flow);
  if (same.source.family != Family::ipv4) return;
  for (FlowWatcher* const watcher : watchers_) (watcher->*what)(same);
}

void FlowSet::watch(FlowWatcher& watcher) const {
  if (!flows_) throw Error("cannot use flow set", name_, "it holds addresses, no flows", "watch one that holds flows");
  const std::scoped_lock lock(changing_);
  watchers_.push_back(&watcher);
  flows_->ipv4.for_each([&](const FlowTable<2>::Key& key) { watcher.inserted(flow_of(key)); });
}

void FlowSet::unwatch(FlowWatcher& watcher) const noexcept {
  const std::scoped_lock lock(changing_);
  std::erase(watchers_, &watcher);
}

Inserted FlowSet::insert(const Address& address) {
  return insert_entry(address);
}
Inserted FlowSet::insert(const Flow& flow) {
  return insert_entry(flow);
}
bool FlowSet::erase(const Address& address) {
  return erase_entry(address);
}
bool FlowSet::erase(const Flow& flow) {
  return erase_entry(flow);
}
bool FlowSet::contains(const Address& address) const {
  return with_table(*this, address, [](const auto& table, const auto& key) { return table.contains(key); });
}
bool FlowSet::contains(const Flow& flow) const {
  return with_table(*this, flow, [](const auto& table, const auto& key) { return table.contains(key); });
}

void FlowSet::clear() noexcept {
  const std::scoped_lock lock(changing_);
  for (FlowWatcher* const watcher : watchers_) watcher->cleared();
  const auto clear_both = [](auto& tables) {
    tables.ipv4.clear();
    tables.ipv6.clear();
  };
  if (addresses_) clear_both(*addresses_);
  if (flows_) clear_both(*flows_);
  size_.store(0, std::memory_order_relaxed);  // relaxed: a count of its own
}

std::size_t FlowSet::memory_bytes() const noexcept {
  const auto both = [](const auto& tables) { return tables.ipv4.memory_bytes() + tables.ipv6.memory_bytes(); };
  return addresses_ ? both(*addresses_) : both(*flows_);
}

std::uint64_t FlowSet::match(std::span<const FrameKey> keys, std::uint64_t wanted, FlowSide side) const noexcept {
  assert(keys.size() <= batch_size);
  if (flows_) return match_flows(keys, wanted);
  std::uint64_t found = 0;
  if (side != FlowSide::destination) found = match_addresses(keys, wanted, &FrameKey::has_source, &Flow::source);
  if (side != FlowSide::source) {
    found |= match_addresses(keys, wanted & ~found, &FrameKey::has_destination, &Flow::destination);
  }
  return found;
}

std::uint64_t FlowSet::match_addresses(std::span<const FrameKey> keys, std::uint64_t wanted, bool FrameKey::*has,
                                       Address Flow::*address) const noexcept {
  const auto address_of = [&](std::size_t frame) -> const Address& { return keys[frame].flow.*address; };
  const auto [ipv4, ipv6] = of_each_family(
      wanted, [&](std::size_t frame) { return keys[frame].*has; },
      [&](std::size_t frame) { return address_of(frame).family; });
  return look_up(addresses_->ipv4, ipv4, [&](std::size_t frame) { return ipv4_key(address_of(frame)); }) |
         look_up(addresses_->ipv6, ipv6, [&](std::size_t frame) { return ipv6_key(address_of(frame)); });
}

std::uint64_t FlowSet::match_flows(std::span<const FrameKey> keys, std::uint64_t wanted) const noexcept {
  const auto flow_of = [&](std::size_t frame) { return same_for_both_directions(keys[frame].flow); };
  const auto [ipv4, ipv6] = of_each_family(
      wanted, [&](std::size_t frame) { return keys[frame].has_ports; },
      [&](std::size_t frame) { return keys[frame].flow.source.family; });
  return look_up(flows_->ipv4, ipv4, [&](std::size_t frame) { return ipv4_key(flow_of(frame)); }) |
         look_up(flows_->ipv6, ipv6, [&](std::size_t frame) { return ipv6_key(flow_of(frame)); });
}

}  // namespace ixcap::filter
