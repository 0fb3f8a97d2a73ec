// A flow set says what is in it: to one thread exactly, to readers beside a writer without ever missing what stays or
// finding what never was.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/flow_set.hpp>
#include <ixcap/filter/set.hpp>

#include "tests/filter/packets.hpp"

namespace ixcap::filter {
namespace {

Address address(std::uint32_t number, Family family) {
  if (family == Family::ipv4) return Address::ipv4(0x0a000000 + number);
  Address result = Address::parse("2001:db8::");
  for (unsigned i = 0; i < 4; ++i) result.bytes[12 + i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  return result;
}

Flow flow(std::uint32_t number, Family family) {
  return {static_cast<std::uint8_t>(number % 2 == 0 ? 6 : 17), address(number / 7, family),
          static_cast<std::uint16_t>(number), address(number / 5 + 1, family), 443};
}

template <typename Entry>
void behaves_as_a_set(FlowKind kind, Entry entry_of) {
  constexpr std::size_t capacity = 100;
  FlowSet set("test", kind, capacity);
  std::set<std::pair<std::uint32_t, Family>> model;
  Random random(3);
  for (int i = 0; i < 30'000; ++i) {
    const std::uint32_t number = random() % 90;
    const Family family = random() % 2 == 0 ? Family::ipv4 : Family::ipv6;
    const std::pair key(number, family);
    const bool present = model.contains(key);
    ASSERT_EQ(set.contains(entry_of(number, family)), present);
    if (random() % 2 == 0) {
      const Inserted expected = present                    ? Inserted::present
                                : model.size() == capacity ? Inserted::full
                                                           : Inserted::added;
      ASSERT_EQ(set.insert(entry_of(number, family)), expected);
      if (expected == Inserted::added) model.insert(key);
    } else {
      ASSERT_EQ(set.erase(entry_of(number, family)), present);
      model.erase(key);
    }
    ASSERT_EQ(set.size(), model.size());
    if (i % 10'000 == 9'999) {
      set.clear();
      model.clear();
    }
  }
}

TEST(FlowSet, HoldsAddresses) {
  behaves_as_a_set(FlowKind::addresses, address);
}
TEST(FlowSet, HoldsFlows) {
  behaves_as_a_set(FlowKind::flows, flow);
}
TEST(FlowSet, HoldsConversations) {
  behaves_as_a_set(FlowKind::conversations, flow);
}

TEST(FlowSet, HoldsAMillionOfEitherFamily) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    FlowSet set("sessions", FlowKind::flows, FlowSet::most_entries);
    for (std::uint32_t i = 0; i < FlowSet::most_entries; ++i) ASSERT_EQ(set.insert(flow(i, family)), Inserted::added);
    EXPECT_EQ(set.insert(flow(FlowSet::most_entries, family)), Inserted::full);
    EXPECT_EQ(set.insert(flow(5, family)), Inserted::present);
    for (std::uint32_t i = 0; i < FlowSet::most_entries; ++i) {
      ASSERT_TRUE(set.contains(flow(i, family)));
      ASSERT_FALSE(set.contains(flow(i, family).reversed()));
    }
    EXPECT_LE(set.memory_bytes(), std::size_t{92} << 20);
    EXPECT_LE(FlowSet("hosts", FlowKind::addresses, FlowSet::most_entries).memory_bytes(), std::size_t{44} << 20);
  }
}

TEST(FlowSet, TellsDirectionsApartUnlessItHoldsConversations) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    const Flow there = flow(12, family);
    FlowSet flows("f", FlowKind::flows, 4);
    flows.insert(there);
    EXPECT_FALSE(flows.contains(there.reversed()));
    FlowSet conversations("c", FlowKind::conversations, 4);
    conversations.insert(there);
    EXPECT_TRUE(conversations.contains(there.reversed()));
    EXPECT_EQ(conversations.insert(there.reversed()), Inserted::present);
    EXPECT_TRUE(conversations.erase(there.reversed()));
    EXPECT_EQ(conversations.size(), 0u);
    Flow same_host = there;
    same_host.destination = same_host.source;
    conversations.insert(same_host);
    EXPECT_TRUE(conversations.contains(same_host.reversed()));
  }
}

TEST(FlowSet, RefusesWhatItCannotHold) {
  EXPECT_THROW(FlowSet("none", FlowKind::flows, 0), Error);
  EXPECT_THROW(FlowSet("many", FlowKind::flows, FlowSet::most_entries + 1), Error);
  FlowSet addresses("a", FlowKind::addresses, 1);
  EXPECT_THROW(addresses.insert(flow(1, Family::ipv4)), Error);
  FlowSet flows("f", FlowKind::flows, 1);
  EXPECT_THROW(flows.erase(address(1, Family::ipv4)), Error);
  EXPECT_THROW(flows.insert(Flow{6, address(1, Family::ipv4), 1, address(1, Family::ipv6), 1}), Error);
}

TEST(FlowSet, AnswersForABatchAsForEachFrame) {
  FlowSet addresses("a", FlowKind::addresses, 100);
  FlowSet flows("f", FlowKind::flows, 100);
  FlowSet conversations("c", FlowKind::conversations, 100);
  Random random(5);
  std::array<FrameKey, batch_size> keys;
  for (int round = 0; round < 300; ++round) {
    for (FrameKey& key : keys) {
      key.flow = flow(random() % 200, random() % 2 == 0 ? Family::ipv4 : Family::ipv6);
      if (random() % 2 == 0) key.flow = key.flow.reversed();
      key.has_source = random() % 8 != 0;
      key.has_destination = random() % 8 != 0;
      key.has_ports = random() % 8 != 0;
      if (random() % 16 == 0) addresses.insert(key.flow.source);
      if (random() % 16 == 0) flows.insert(key.flow);
      if (random() % 16 == 0) conversations.insert(key.flow);
    }
    const std::uint64_t wanted = std::uint64_t{random()} << 32 | random();
    std::array<std::uint64_t, 5> expected = {};
    for (std::size_t f = 0; f < batch_size; ++f) {
      const auto& [has_source, has_destination, has_ports, frame_flow] = keys[f];
      const bool source = has_source && addresses.contains(frame_flow.source);
      const bool destination = has_destination && addresses.contains(frame_flow.destination);
      const std::array found = {source, destination, source || destination, has_ports && flows.contains(frame_flow),
                                has_ports && conversations.contains(frame_flow)};
      for (std::size_t i = 0; i < found.size(); ++i) expected[i] |= std::uint64_t{found[i]} << f & wanted;
    }
    ASSERT_EQ(addresses.match(keys, wanted, FlowSide::source), expected[0]);
    ASSERT_EQ(addresses.match(keys, wanted, FlowSide::destination), expected[1]);
    ASSERT_EQ(addresses.match(keys, wanted, FlowSide::either), expected[2]);
    ASSERT_EQ(flows.match(keys, wanted, FlowSide::either), expected[3]);
    ASSERT_EQ(conversations.match(keys, wanted, FlowSide::source), expected[4]);
    if (round % 50 == 49) addresses.clear();
  }
}

TEST(FlowTable, HoldsKeysOfOneHashInManyBuckets) {
  FlowTable<2> table(1000, {});
  for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_EQ(table.insert({i, i}), Inserted::added);
  for (std::uint64_t i = 0; i < 1000; i += 2) ASSERT_TRUE(table.erase({i, i}));
  for (std::uint64_t i = 0; i < 1001; ++i) ASSERT_EQ(table.contains({i, i}), i % 2 == 1 && i < 1000);
  for (std::uint64_t i = 1; i < 1000; i += 2) ASSERT_TRUE(table.erase({i, i}));
  EXPECT_FALSE(table.contains({0, 0}));
}

/// Runs `write` for a while beside two threads that run `read`, which says whether all was well.
template <typename Write, typename Read>
std::uint64_t faults_beside_a_writer(Write write, Read read) {
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> faults = 0;
  std::atomic<int> reading = 0;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      ++reading;
      while (!done) faults += read() ? 0u : 1u;
    });
  }
  while (reading < 2) std::this_thread::yield();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (std::chrono::steady_clock::now() < end) {
    for (int i = 0; i < 1000; ++i) write();
  }
  done = true;
  readers.clear();
  return faults;
}

TEST(FlowTable, NeverShowsATornKey) {
  using Key = FlowTable<5>::Key;
  // One bucket and one tag, as all have one hash; the slot is used again and again by keys of two kinds.
  FlowTable<5> table(16, {});
  const auto whole = [](std::uint64_t n) { return Key{n, n, n, n, n}; };
  std::uint64_t next = 0;
  const auto write = [&] {
    table.insert(whole(1 + next % 2));
    table.erase(whole(1 + next % 2));
    ++next;
  };
  const std::array torn = {Key{1, 1, 1, 1, 2}, Key{2, 1, 1, 1, 1}, Key{1, 1, 2, 2, 2},
                           Key{2, 2, 1, 1, 1}, Key{2, 2, 2, 2, 1}, Key{1, 2, 2, 2, 2}};
  EXPECT_EQ(faults_beside_a_writer(write, [&] { return table.find(torn) == 0; }), 0u);
}

TEST(FlowTable, AlwaysShowsAKeyThatStays) {
  // All of one hash, in several buckets: what stays lies behind, before and among what comes and goes.
  FlowTable<2> table(96, {});
  std::array<FlowTable<2>::Key, 48> staying;
  for (std::uint64_t i = 0; i < 96; ++i) table.insert({i, 1});
  for (std::uint64_t i = 0; i < staying.size(); ++i) staying[i] = {2 * i, 1};
  Random random(1);
  const auto write = [&] {
    const std::uint64_t number = 2 * (random() % 48) + 1;
    if (!table.erase({number, 1})) table.insert({number, 1});
  };
  const std::uint64_t all = (std::uint64_t{1} << staying.size()) - 1;
  EXPECT_EQ(faults_beside_a_writer(write, [&] { return table.find(staying) == all; }), 0u);
}

TEST(FlowSet, IsExactForWhatNobodyChangesWhileOthersChange) {
  FlowSet set("busy", FlowKind::conversations, 4096);
  for (std::uint32_t i = 0; i < 2048; ++i) set.insert(flow(2 * i, Family::ipv6));
  std::array<FrameKey, batch_size> keys;
  for (std::uint32_t i = 0; i < batch_size; ++i) {
    keys[i] = {true, true, true, flow(i < 32 ? 64 * i : 100'000 + i, Family::ipv6)};
  }
  Random random(1);
  const auto write = [&] {
    const Flow changing = flow(2 * (random() % 2048) + 1, Family::ipv6);
    if (!set.erase(changing)) set.insert(changing);
  };
  EXPECT_EQ(
      faults_beside_a_writer(write, [&] { return set.match(keys, ~std::uint64_t{0}, FlowSide::either) == 0xffffffff; }),
      0u);
}

TEST(Set, JoinsAFlowSetToAProgram) {
  const auto hosts = std::make_shared<FlowSet>("hosts", FlowKind::addresses, 10);
  const auto sessions = std::make_shared<FlowSet>("sessions", FlowKind::conversations, 10);
  const Filter filters[] = {
      {compile("tcp"), hosts},
      {compile("tcp"), hosts, {.side = FlowSide::source}},
      {compile("tcp"), hosts, {.side = FlowSide::destination}},
      {compile("ip"), sessions},
      {compile("ip"), sessions, {.inside = false}},
      {compile("")},
  };
  const Set set(filters);
  const Flow there = {6, Address::ipv4(1), 10, Address::ipv4(2), 20};
  const Flow datagram = {17, Address::ipv4(1), 10, Address::ipv4(2), 20};
  const Flow ping = {1, Address::ipv4(1), 0, Address::ipv4(2), 0};
  const std::array bytes = {packet_of(there), packet_of(there.reversed()), packet_of(datagram), packet_of(ping),
                            ethernet(0x0806)};
  const auto answers = [&] {
    std::array<Frame, bytes.size()> frames;
    std::ranges::transform(bytes, frames.begin(), frame_of);
    std::array<std::uint64_t, bytes.size()> match_sets;
    set.match(frames, match_sets);
    return match_sets;
  };
  using Answers = std::array<std::uint64_t, bytes.size()>;
  EXPECT_EQ(answers(), (Answers{0b110000, 0b110000, 0b110000, 0b110000, 0b100000})) << "nothing is in the sets";
  hosts->insert(there.source);
  EXPECT_EQ(answers(), (Answers{0b110011, 0b110101, 0b110000, 0b110000, 0b100000}));
  sessions->insert(there);
  EXPECT_EQ(answers(), (Answers{0b101011, 0b101101, 0b110000, 0b110000, 0b100000}));
  hosts->clear();
  sessions->insert(datagram);
  EXPECT_EQ(answers(), (Answers{0b101000, 0b101000, 0b101000, 0b110000, 0b100000}));
}

TEST(Set, RefusesAFlowSetWhoseKeysAreNotRead) {
  const auto flows = std::make_shared<FlowSet>("f", FlowKind::flows, 1);
  const Filter filters[] = {{compile("ip"), flows, {.key = KeyFrom::host}}};
  EXPECT_THROW(Set{std::span(filters)}, Error);
}

/// Has what the set has.
class Mirror final : public FlowWatcher {
 public:
  void inserted(const Flow& flow) noexcept override { EXPECT_TRUE(ports_.insert(flow.source_port).second); }
  void erased(const Flow& flow) noexcept override { EXPECT_EQ(ports_.erase(flow.source_port), 1u); }
  void cleared() noexcept override { ports_.clear(); }
  const std::set<std::uint16_t>& ports() const { return ports_; }

 private:
  std::set<std::uint16_t> ports_;
};

TEST(FlowSet, TellsItsWatchersOfEveryIpv4Flow) {
  FlowSet set("test", FlowKind::flows, 1000);
  std::set<std::uint16_t> model;
  Mirror first;
  Mirror second;
  set.watch(first);
  Random random(8);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint32_t number = random() % 900;
    const Family family = random() % 4 == 0 ? Family::ipv6 : Family::ipv4;
    const auto port = static_cast<std::uint16_t>(number);
    if (random() % 2 == 0) {
      set.insert(flow(number, family));
      if (family == Family::ipv4) model.insert(port);
    } else {
      set.erase(flow(number, family));
      if (family == Family::ipv4) model.erase(port);
    }
    if (i == 5000) set.watch(second);
  }
  EXPECT_EQ(first.ports(), model);
  EXPECT_EQ(second.ports(), model) << "it is told of what was there before";
  set.unwatch(second);
  set.clear();
  EXPECT_TRUE(first.ports().empty());
  EXPECT_EQ(second.ports(), model);
}

}  // namespace
}  // namespace ixcap::filter
