// A session's filters change while it runs: each frame is judged by the filters before or after a change, none is lost
// or doubled, and every change is told.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ixcap/capture/session.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/filter/expression.hpp>

namespace ixcap::capture {
namespace {

using testing::ElementsAre;

constexpr const char* traffic = "mix?count=20000&seed=11";

struct Captured {
  std::vector<std::uint8_t> bytes;
  std::uint64_t match_set;
};

/// Reads to the end of a session whose ring and descriptors hold little, so that what is received depends on what is
/// read. `visit(n)` is called after record n, counted from 1.
template <typename Visit>
std::vector<Captured> read_all(Session& session, Visit visit) {
  std::vector<Captured> captured;
  session.start();
  while (session.reader().state() == RingState::open) {
    while (const Record* record = session.reader().next()) {
      captured.push_back({{record->data(), record->data() + record->captured_length}, record->match_set});
      session.reader().release();
      visit(captured.size());
    }
  }
  session.stop();
  return captured;
}

SessionOptions small(const std::string& expression) {
  return {.interface = std::string("emulator:") + traffic,
          .expression = expression,
          .descriptors = ixgbe::fewest_descriptors,
          .ring_bytes = RingMemory::smallest_size_bytes};
}

/// The match sets of every frame of the traffic under one generation of filters, by bit; "-" is no filter.
std::vector<std::uint64_t> judged(const std::vector<std::string>& generation) {
  std::vector<filter::Program> programs;
  for (const std::string& expression : generation)
    programs.push_back(expression == "-" ? filter::Program::returning(0) : filter::compile(expression));
  const filter::Set set{std::span<const filter::Program>(programs)};
  const auto source = emulator::open_traffic(emulator::parse_traffic(traffic));
  std::vector<std::uint64_t> match_sets;
  while (const emulator::WireFrame* wire = source->next()) {
    const Frame frames[] = {{wire->bytes, wire->captured_length, wire->wire_length}};
    set.match(frames, std::span(&match_sets.emplace_back(), 1));
  }
  return match_sets;
}

/// Whether `captured` is what the generations let through of the traffic, each from some frame on: all of it, once, in
/// order, and with the right match sets.
bool explained(const std::vector<Captured>& captured, const std::vector<std::vector<std::string>>& generations) {
  std::vector<std::vector<std::uint64_t>> match_sets;
  for (const auto& generation : generations) match_sets.push_back(judged(generation));
  const auto source = emulator::open_traffic(emulator::parse_traffic(traffic));
  std::set<std::pair<std::size_t, std::size_t>> states{{0, 0}};  // generation, records explained: all that may be
  for (std::size_t i = 0; const emulator::WireFrame* wire = source->next(); ++i) {
    std::set<std::pair<std::size_t, std::size_t>> next;
    for (const auto& [from, records] : states) {
      for (std::size_t generation = from; generation < generations.size(); ++generation) {
        const std::uint64_t match_set = match_sets[generation][i];
        if (match_set == 0) {
          next.insert({generation, records});
        } else if (records < captured.size() && captured[records].match_set == match_set &&
                   std::ranges::equal(captured[records].bytes, std::span(wire->bytes, wire->captured_length))) {
          next.insert({generation, records + 1});
        }
      }
    }
    states = std::move(next);
  }
  return states.contains({generations.size() - 1, captured.size()});
}

TEST(Filters, NoFrameIsLostOrDoubledWhenTheOnlyFilterIsReplaced) {
  Session session(small("tcp"));
  const auto captured = read_all(session, [&](std::size_t records) {
    if (records == 2000) session.filters().replace(0, "udp");
    if (records == 4000) session.filters().replace(0, "tcp port 80 or arp");
  });
  EXPECT_TRUE(explained(captured, {{"tcp"}, {"udp"}, {"tcp port 80 or arp"}}));
  EXPECT_FALSE(explained(captured, {{"tcp"}, {"udp"}})) << "this test finds out what is wrong";
  auto lacking = captured;
  lacking.erase(lacking.begin() + 3000);
  EXPECT_FALSE(explained(lacking, {{"tcp"}, {"udp"}, {"tcp port 80 or arp"}}));
  EXPECT_EQ(session.ledger().delivered, captured.size());
  EXPECT_TRUE(session.ledger().balanced());
}

TEST(Filters, EachGenerationHasItsOwnFrames) {
  std::vector<unsigned> bits;
  Session session(small(""));
  const auto captured = read_all(session, [&](std::size_t records) {
    if (records == 3000) bits.push_back(session.filters().add("udp port 53"));
    if (records == 6000) bits.push_back(session.filters().add("tcp"));
    if (records == 9000) session.filters().remove(1);
    if (records == 12000) bits.push_back(session.filters().add("ip6"));
  });
  EXPECT_THAT(bits, ElementsAre(1u, 2u, 1u)) << "the lowest free bit";
  ASSERT_EQ(captured.size(), 20'000u);
  EXPECT_TRUE(explained(captured,
                        {{""}, {"", "udp port 53"}, {"", "udp port 53", "tcp"}, {"", "-", "tcp"}, {"", "ip6", "tcp"}}));
}

TEST(Filters, AreListedWithTheirWords) {
  Filters filters("tcp");
  EXPECT_EQ(filters.add("udp port 53"), 1u);
  EXPECT_EQ(filters.add({filter::compile("arp")}, "my own"), 2u);
  filters.remove(0);
  filters.replace(2, "");
  EXPECT_THAT(filters.list(), ElementsAre(Filters::Entry{1, "udp port 53"}, Filters::Entry{2, ""}));
  EXPECT_EQ(filters.add("icmp"), 0u);
  EXPECT_THAT(filters.list(),
              ElementsAre(Filters::Entry{0, "icmp"}, Filters::Entry{1, "udp port 53"}, Filters::Entry{2, ""}));
  EXPECT_EQ(filters.bits(), 7u);
}

TEST(Filters, ChangesAreToldInOrder) {
  Filters filters("tcp");
  EXPECT_EQ(filters.changes(), 0u);
  filters.add("udp", "user 7");
  filters.replace(0, "icmp");
  filters.remove(1);
  ASSERT_EQ(filters.changes(), 3u);
  const auto changes = filters.changes_since(0);
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[0].to_string(), "filter 1 is added by user 7: udp");
  EXPECT_EQ(changes[1].to_string(), "filter 0 is replaced: icmp, which was tcp");
  EXPECT_EQ(changes[2].to_string(), "filter 1 is removed, which was udp");
  EXPECT_LE(changes[0].time_ns, changes[2].time_ns);
  ASSERT_EQ(filters.changes_since(2).size(), 1u);
  EXPECT_EQ(filters.changes_since(2)[0].number, 3u);
  EXPECT_TRUE(filters.changes_since(3).empty());
}

TEST(Filters, OnlyTheLastChangesAreKept) {
  Filters filters("");
  const filter::Filter nothing = {filter::Program::returning(0)};
  for (std::size_t i = 0; i < Filters::changes_kept + 10; ++i) filters.replace(0, nothing, std::to_string(i));
  const auto changes = filters.changes_since(0);
  ASSERT_EQ(changes.size(), Filters::changes_kept);
  EXPECT_EQ(changes.front().number, 11u);
  EXPECT_EQ(changes.back().number, filters.changes());
}

TEST(Filters, WhatIsRefusedChangesNothing) {
  Filters filters("tcp");
  EXPECT_THROW(filters.add("tcp prot 80"), filter::ExpressionError);
  EXPECT_THROW(filters.replace(0, "tcp prot 80"), filter::ExpressionError);
  EXPECT_THROW(filters.replace(1, "udp"), Error);
  EXPECT_THROW(filters.remove(1), Error);
  EXPECT_THROW(filters.remove(64), Error);
  EXPECT_EQ(filters.changes(), 0u);
  for (unsigned bit = 1; bit < filter::most_filters; ++bit) EXPECT_EQ(filters.add(""), bit);
  EXPECT_THROW(filters.add("udp"), Error);
  EXPECT_THAT(filters.list().front(), (Filters::Entry{0, "tcp"}));
  EXPECT_EQ(filters.list().size(), filter::most_filters);
}

TEST(Filters, LookBehindVlanTagsWhenTheSessionDoes) {
  Filters filters("tcp", true);
  EXPECT_THROW(filters.add("vlan 5"), filter::ExpressionError) << "an expression that does so itself";
  EXPECT_EQ(filters.add("udp"), 1u);
}

}  // namespace
}  // namespace ixcap::capture
