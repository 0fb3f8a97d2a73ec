#pragma once

/// A named set of addresses or of flows that changes while traffic is matched against it, without anything being
/// compiled: the sessions a firewall lets through, hosts under suspicion.
///
///     auto allowed = std::make_shared<filter::FlowSet>("allowed", filter::FlowKind::conversations, 1 << 20);
///     session.filters().add({.program = filter::compile("tcp"), .flows = allowed});
///     allowed->insert(filter::Flow{...});     // seen by the next look-up
///
/// IPv4 and IPv6 live side by side; each family has a table with room for the whole capacity. memory_bytes() says how
/// much that is: for the largest set 44 MiB of addresses or 92 MiB of flows, of which 8 MiB are touched at once, the
/// rest as entries come.
///
/// What it costs: a look-up of what is not there reads one cache line, of what is there two; a batch waits for all its
/// lines together. How that is done, what readers see of a change, and against whom the hash is defended stands in
/// flow_table.hpp.
///
/// Threads: contains(), match() and size() from any number, at any time; they neither lock nor wait. insert(), erase()
/// and clear() from any, one at a time: they exclude each other by a mutex. An entry that is there throughout a look-up
/// is found, one that is not there throughout is not found; of one that comes or goes meanwhile either may be said.
///
/// Errors: Error from the constructor, and from insert(), erase() and contains() for what this kind of set cannot hold.
/// That a set is full is an answer, not an error.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/flow_key.hpp>
#include <ixcap/filter/flow_table.hpp>

namespace ixcap::filter {

enum class FlowKind : std::uint8_t {
  addresses,
  flows,          ///< one direction of a conversation: source and destination are told apart
  conversations,  ///< both directions: a flow and the same reversed are one entry
};

/// Which of a frame's addresses is looked up in a set of addresses.
enum class FlowSide : std::uint8_t { either, source, destination };

/// Keeps something else in step with a set of flows. Called while the set cannot change, by whoever changes it: must
/// not throw, nor use the set.
class FlowWatcher {
 public:
  virtual ~FlowWatcher() = default;
  /// In a set of conversations, one of its two directions.
  virtual void inserted(const Flow& flow) noexcept = 0;
  virtual void erased(const Flow& flow) noexcept = 0;
  /// All are about to go.
  virtual void cleared() noexcept = 0;
};

class FlowSet {
 public:
  static constexpr std::size_t most_entries = std::size_t{1} << 20;

  /// Room for `capacity` entries, 1 to most_entries. `name` is for people, as in Errors.
  FlowSet(std::string name, FlowKind kind, std::size_t capacity);

  const std::string& name() const noexcept { return name_; }
  FlowKind kind() const noexcept { return kind_; }
  std::size_t capacity() const noexcept { return capacity_; }

  Inserted insert(const Address& address);
  Inserted insert(const Flow& flow);

  /// False if it was not there.
  bool erase(const Address& address);
  bool erase(const Flow& flow);

  bool contains(const Address& address) const;
  bool contains(const Flow& flow) const;

  /// Entries; while others change the set, a number it had at some time.
  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }  // relaxed: a count of its own

  /// Takes milliseconds in a large set. Look-ups meanwhile see some entries gone and others not yet.
  void clear() noexcept;

  /// The watcher is told of all IPv4 flows that are there, and of every change from then on, until unwatch(). Not for a
  /// set of addresses. The watcher outlives that.
  void watch(FlowWatcher& watcher) const;
  void unwatch(FlowWatcher& watcher) const noexcept;

  /// Reserved, in bytes: the most this set ever takes.
  std::size_t memory_bytes() const noexcept;

  /// Of the frames whose bits are set in `wanted`, those that are in the set: bit f stands for keys[f].
  ///
  /// A set of addresses looks for those of `side`; a set of flows or conversations for the whole 5-tuple, whatever
  /// `side` says. A frame without what is looked for is not in the set. `keys`: at most batch_size, only those in
  /// `wanted` are read.
  std::uint64_t match(std::span<const FrameKey> keys, std::uint64_t wanted, FlowSide side) const noexcept;

 private:
  struct AddressTables {
    explicit AddressTables(std::size_t capacity) : ipv4(capacity), ipv6(capacity) {}
    FlowTable<1> ipv4;
    FlowTable<2> ipv6;
  };
  struct FlowTables {
    explicit FlowTables(std::size_t capacity) : ipv4(capacity), ipv6(capacity) {}
    FlowTable<2> ipv4;
    FlowTable<5> ipv6;
  };

  template <typename Self, typename Use>
  static auto with_table(Self& self, const Address& address, Use use);
  template <typename Self, typename Use>
  static auto with_table(Self& self, const Flow& flow, Use use);
  template <typename Entry>
  Inserted insert_entry(const Entry& entry);
  template <typename Entry>
  bool erase_entry(const Entry& entry);
  Flow same_for_both_directions(const Flow& flow) const noexcept;
  void tell(void (FlowWatcher::*what)(const Flow&) noexcept, const Flow& flow) const noexcept;
  void tell(void (FlowWatcher::*)(const Flow&) noexcept, const Address&) const noexcept {}  // of addresses, nobody
  std::uint64_t match_addresses(std::span<const FrameKey> keys, std::uint64_t wanted, bool FrameKey::*has,
                                Address Flow::*address) const noexcept;
  std::uint64_t match_flows(std::span<const FrameKey> keys, std::uint64_t wanted) const noexcept;

  std::string name_;
  FlowKind kind_;
  std::size_t capacity_;
  std::optional<AddressTables> addresses_;  // one of the two
  std::optional<FlowTables> flows_;
  mutable std::mutex changing_;
  mutable std::vector<FlowWatcher*> watchers_;  // under changing_
  std::atomic<std::size_t> size_ = 0;           // written under changing_
};

}  // namespace ixcap::filter
