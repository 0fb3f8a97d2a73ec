// Flows that every filter excludes are dropped by the card, as many as it has room for: what comes out is the same, and
// what is erased from their set comes again.

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/hardware_flows.hpp>
#include <ixcap/capture/session.hpp>
#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/filter/expression.hpp>

namespace ixcap::capture {
namespace {

using filter::Address;
using filter::Filter;
using filter::Flow;
using filter::FlowKind;
using filter::FlowSet;
using ixgbe::FlowTableSize;

Flow flow(std::uint32_t number, std::uint8_t protocol = 6) {
  return {protocol, Address::ipv4(0x0A000000 + number), static_cast<std::uint16_t>(number), Address::ipv4(0x0B000001),
          443};
}

std::shared_ptr<const Filter> filter_with(std::shared_ptr<const FlowSet> flows, bool inside = false) {
  return std::make_shared<const Filter>(
      Filter{filter::compile("ip"), std::move(flows), filter::FlowJoin{.inside = inside}});
}

TEST(ExcludedFlows, AreThoseThatNoFilterWants) {
  const auto flows = std::make_shared<FlowSet>("flows", FlowKind::flows, 10);
  const auto others = std::make_shared<FlowSet>("others", FlowKind::flows, 10);
  const auto addresses = std::make_shared<FlowSet>("addresses", FlowKind::addresses, 10);
  EXPECT_EQ(excluded_flows({}), nullptr);
  EXPECT_EQ(excluded_flows({filter_with(flows)}), flows);
  EXPECT_EQ(excluded_flows({filter_with(flows), filter_with(flows)}), flows);
  EXPECT_EQ(excluded_flows({filter_with(flows), filter_with(others)}), nullptr);
  EXPECT_EQ(excluded_flows({filter_with(flows), filter_with(nullptr)}), nullptr);
  EXPECT_EQ(excluded_flows({filter_with(flows, true)}), nullptr);
  EXPECT_EQ(excluded_flows({filter_with(addresses)}), nullptr);
}

class HardwareFlowsTest : public testing::Test {
 protected:
  /// Filters that the card has.
  std::uint32_t in_card() {
    const auto capacity = static_cast<std::uint32_t>(ixgbe::flow_capacity(FlowTableSize::kib_64));
    const std::uint32_t free = nic_.read(ixgbe::FDIRFREE.offset());
    EXPECT_EQ(capacity - free, hardware_.size());
    return capacity - free;
  }

  emulator::Nic nic_{nullptr, {}, emulator::Drive::stepped};
  ixgbe::Port port_{nic_, {.flow_table = FlowTableSize::kib_64}};
  HardwareFlows hardware_{nic_, FlowTableSize::kib_64};
};

TEST_F(HardwareFlowsTest, FollowTheirSet) {
  const auto flows = std::make_shared<FlowSet>("flows", FlowKind::flows, 10'000);
  flows->insert(flow(1));
  hardware_.follow(flows);
  EXPECT_EQ(in_card(), 1u) << "what was there before";
  flows->insert(flow(2, 17));
  flows->insert(flow(2, 17));
  EXPECT_EQ(in_card(), 2u);
  flows->insert(flow(3, 132));
  flows->insert({6, Address::parse("::1"), 1, Address::parse("::2"), 2});
  EXPECT_EQ(in_card(), 2u) << "neither SCTP nor IPv6";
  EXPECT_TRUE(flows->erase(flow(1)));
  EXPECT_FALSE(flows->erase(flow(1)));
  EXPECT_EQ(in_card(), 1u);
  flows->clear();
  EXPECT_EQ(in_card(), 0u);
  flows->insert(flow(4));
  hardware_.follow(nullptr);
  EXPECT_EQ(in_card(), 0u);
  flows->insert(flow(5));
  EXPECT_EQ(in_card(), 0u) << "nobody follows";
}

TEST_F(HardwareFlowsTest, TakeAConversationInBothDirections) {
  const auto flows = std::make_shared<FlowSet>("flows", FlowKind::conversations, 10);
  hardware_.follow(flows);
  flows->insert(flow(1));
  EXPECT_EQ(in_card(), 2u);
  flows->erase(flow(1).reversed());
  EXPECT_EQ(in_card(), 0u);
}

TEST_F(HardwareFlowsTest, TakeAsManyAsThereIsRoomFor) {
  const auto flows = std::make_shared<FlowSet>("flows", FlowKind::flows, 10'000);
  hardware_.follow(flows);
  for (std::uint32_t i = 0; i < 5000; ++i) flows->insert(flow(i));
  EXPECT_EQ(in_card(), 2046u);
  for (std::uint32_t i = 0; i < 5000; ++i) flows->erase(flow(i));
  EXPECT_EQ(in_card(), 0u);
}

TEST_F(HardwareFlowsTest, AreThereAgainAfterAReset) {
  const auto flows = std::make_shared<FlowSet>("flows", FlowKind::flows, 10);
  hardware_.follow(flows);
  for (std::uint32_t i = 0; i < 10; ++i) flows->insert(flow(i));
  ixgbe::make_flow_table(nic_, FlowTableSize::kib_64, 1);
  EXPECT_EQ(nic_.read(ixgbe::FDIRFREE.offset()), 2046u);
  hardware_.restart();
  EXPECT_EQ(in_card(), 10u);
}

TEST(FlowTable, IsLargeEnough) {
  EXPECT_EQ(ixgbe::flow_table_for(0), FlowTableSize::none);
  EXPECT_EQ(ixgbe::flow_table_for(1), FlowTableSize::kib_64);
  EXPECT_EQ(ixgbe::flow_table_for(2046), FlowTableSize::kib_64);
  EXPECT_EQ(ixgbe::flow_table_for(2047), FlowTableSize::kib_128);
  EXPECT_EQ(ixgbe::flow_table_for(8190), FlowTableSize::kib_256);
  EXPECT_EQ(ixgbe::flow_table_for(1'000'000), FlowTableSize::kib_256);
}

struct Captured {
  std::map<std::vector<std::uint8_t>, unsigned> frames;  // by their bytes
  DropLedger ledger;
};

/// What a capture of the mix has without the flows; `hardware_flows` for the card, which has no filter if it is 0.
Captured capture_without(const std::shared_ptr<const FlowSet>& flows, std::uint32_t hardware_flows,
                         std::uint32_t queues) {
  Session session({.interface = "emulator:mix?count=8000&seed=11",
                   .queues = queues,
                   .hardware_filter = hardware_flows != 0,
                   .hardware_flows = hardware_flows});
  session.filters().replace(0, Filter{filter::Program::returning(1), flows, filter::FlowJoin{.inside = false}});
  session.start();
  Captured captured;
  while (session.reader().state() == RingState::open) {
    while (const Record* record = session.reader().next()) {
      if (!record->is_loss()) ++captured.frames[{record->data(), record->data() + record->captured_length}];
    }
    session.reader().release();
    std::this_thread::yield();
  }
  session.stop();
  captured.ledger = session.ledger();
  EXPECT_TRUE(captured.ledger.balanced()) << captured.ledger.to_string();
  return captured;
}

/// Every third frame's flow that the mix has.
std::shared_ptr<FlowSet> some_flows(FlowKind kind) {
  const auto none = std::make_shared<FlowSet>("none", kind, 1);
  auto flows = std::make_shared<FlowSet>("some", kind, 8000);
  std::size_t seen = 0;
  for (const auto& [bytes, count] : capture_without(none, 0, 1).frames) {
    const auto length = static_cast<std::uint32_t>(bytes.size());
    const filter::FrameKey key = filter::frame_key({bytes.data(), length, length});
    if (key.has_ports && ++seen % 3 == 0) flows->insert(key.flow);
  }
  return flows;
}

TEST(HardwareFlows, ChangeNothingThatIsDelivered) {
  for (const FlowKind kind : {FlowKind::flows, FlowKind::conversations}) {
    const std::shared_ptr<FlowSet> flows = some_flows(kind);
    for (const std::uint32_t queues : {1u, 4u}) {
      const Captured off = capture_without(flows, 0, queues);
      for (const std::uint32_t room : {100u, 8190u}) {
        const Captured on = capture_without(flows, room, queues);
        EXPECT_TRUE(on.frames == off.frames) << queues << " queues, room for " << room;
        EXPECT_EQ(on.ledger.filtered + on.ledger.filtered_by_card, off.ledger.filtered);
        EXPECT_GT(on.ledger.filtered_by_card, 0u);
        std::cout << flows->size() << " flows, room for " << room << ": " << on.ledger.filtered_by_card
                  << " frames dropped by the card, " << on.ledger.filtered << " by the filter\n";
      }
    }
  }
}

TEST(HardwareFlows, FollowTheFiltersWhileFramesCome) {
  const auto flows = std::make_shared<FlowSet>("flows", FlowKind::flows, 1000);
  Session session({.interface = "emulator:mix?rate=1000pps", .hardware_filter = true, .hardware_flows = 1000});
  session.start();
  const Filter excluding{filter::Program::returning(1), flows, filter::FlowJoin{.inside = false}};
  session.filters().replace(0, excluding);
  for (std::uint32_t i = 0; i < 1000; ++i) flows->insert(flow(i));
  const unsigned all = session.filters().add({filter::Program::returning(1)});
  for (std::uint32_t i = 0; i < 500; ++i) flows->erase(flow(i));
  session.filters().remove(all);
  flows->clear();
  session.abandon();
  session.stop();
  EXPECT_TRUE(session.ledger().balanced()) << session.ledger().to_string();
}

}  // namespace
}  // namespace ixcap::capture
