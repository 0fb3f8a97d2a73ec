#pragma once

/// What a session captures: up to 64 filters, each with the words it was given in, that change while it runs.
///
///     const unsigned dns = session.filters().add("udp port 53");   // from now on this, too
///     session.filters().replace(dns, "port 53");
///     session.filters().remove(dns);
///
/// **What a bit means.** Bit i of a record's match set says that filter i wanted the frame when it was received. A
/// frame that any filter wants is captured, once. A filter keeps its bit until it is removed; the lowest free bit goes
/// to the next one. Records that were in the ring before a change keep the match set they got then, so a bit that was
/// given again is, for what is still to be read, the filter before. Without any filter nothing is captured.
///
/// **When a change holds.** Each batch of frames is judged by the filters before or those after it, never by half a
/// change, and no frame is lost, doubled or held up by one. When a call returns, every receive loop has the change.
///
/// **Changes are events.** They are numbered from 1, and the last `changes_kept` can be asked for, so that whoever
/// writes the capture down can say in it what was changed, when and by whom.
///
/// Threads: any. Calls that change something wait for each other, and for the batch that each receive loop is at.
/// Errors: ixcap::Error, or filter::ExpressionError; the filters are then as they were.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ixcap/filter/live_set.hpp>

namespace ixcap::capture {

struct FilterChange {
  enum class Kind : std::uint8_t { added, replaced, removed };

  std::uint64_t number = 0;   ///< of the change; the first one is 1
  std::uint64_t time_ns = 0;  ///< UTC nanoseconds since 1970: what is polled later is judged by the filters after it
  Kind kind = Kind::added;
  unsigned bit = 0;
  std::string expression = {};  ///< the filter's from now on; of one that was removed, what it had been
  std::string before = {};      ///< of one that was replaced, what it had been
  std::string by = {};          ///< who changed it, for people; empty: this program

  /// A sentence without a full stop: "filter 1 is added by user 0 (process 123): udp port 53".
  std::string to_string() const;
};

class Filters {
 public:
  static constexpr std::size_t changes_kept = 256;

  struct Entry {
    unsigned bit;
    std::string expression;  ///< empty: every frame

    friend bool operator==(const Entry&, const Entry&) = default;
  };

  /// Filter 0 is `expression`, as the following ones in pcap-filter(7)'s language; empty: every frame. `vlan_aware`:
  /// expressions look behind VLAN tags (filter/vlan_aware.hpp).
  explicit Filters(std::string_view expression, bool vlan_aware = false);

  /// The bit that answers for it.
  unsigned add(std::string_view expression, std::string by = {});
  /// A filter that is more than an expression, as one joined with a FlowSet; `words` are what list() calls it.
  unsigned add(filter::Filter filter, std::string words = "(a program)");

  /// The filter of that bit is another from now on: frames match the old one or the new one, never both or neither.
  void replace(unsigned bit, std::string_view expression, std::string by = {});
  void replace(unsigned bit, filter::Filter filter, std::string words = "(a program)");

  /// Nothing matches that bit any more.
  void remove(unsigned bit, std::string by = {});

  /// In the order of their bits.
  std::vector<Entry> list() const;
  /// The bits that are in use.
  std::uint64_t bits() const { return live_.bits(); }

  /// How many changes there were. Costs a load.
  std::uint64_t changes() const noexcept { return changes_.load(std::memory_order_acquire); }
  /// The changes after number `seen`, oldest first; those that are not kept any more are missing.
  std::vector<FilterChange> changes_since(std::uint64_t seen) const;

  /// As LiveSet::watch: for who keeps something else in step with the filters.
  void watch(filter::LiveSet::Watcher watcher) { live_.watch(std::move(watcher)); }

  /// For a receive loop: filter/live_set.hpp.
  filter::LiveSet::Reader reader() { return live_.reader(); }

 private:
  filter::Filter compiled(std::string_view expression) const;
  unsigned added(filter::Filter filter, std::string words, std::string by);
  void replaced(unsigned bit, filter::Filter filter, std::string words, std::string by);
  Entry* find(unsigned bit) noexcept;
  void tell(FilterChange change);

  const bool vlan_aware_;
  mutable std::mutex mutex_;  ///< guards the two below, and keeps them in step with live_
  std::vector<Entry> entries_;
  std::deque<FilterChange> history_;
  std::atomic<std::uint64_t> changes_ = 0;
  filter::LiveSet live_;
};

}  // namespace ixcap::capture
