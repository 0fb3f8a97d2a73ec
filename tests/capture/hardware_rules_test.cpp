// The card drops what no filter wants and nothing else: what comes out is the same with its filters on and off.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/hardware_rules.hpp>
#include <ixcap/capture/session.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/vlan_aware.hpp>

namespace ixcap::capture {
namespace {

using filter::Filter;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

ixgbe::HardwareRules rules_of(std::initializer_list<const char*> expressions) {
  std::vector<std::shared_ptr<const Filter>> filters;
  for (const char* expression : expressions)
    filters.push_back(std::make_shared<const Filter>(Filter{filter::compile(expression)}));
  return hardware_rules(filters);
}

TEST(HardwareRules, FollowFromThePrograms) {
  const std::string ethertypes = "ethertypes 0x0806, 0x8035, 0x88cc, 0x8808, 0x8847, 0x8863, 0x8864";
  EXPECT_EQ(describe(rules_of({"udp port 53"})), "every VLAN; TCP over IPv4; SCTP over IPv4; " + ethertypes);
  EXPECT_EQ(describe(rules_of({"vlan 5", "vlan 7"})), "all VLANs but 2") << "what is in them is wanted";
  EXPECT_EQ(describe(rules_of({"not port 22"})), "nothing");
  EXPECT_EQ(describe(rules_of({"ether proto 0x1234"})), "every VLAN; IPv4; " + ethertypes);
}

TEST(HardwareRules, KeepTheAddressesThatAreNamed) {
  const ixgbe::HardwareRules rules = rules_of({"host 10.0.0.1 and tcp", "dst host 10.0.0.2"});
  ASSERT_TRUE(rules.only.has_value());
  EXPECT_THAT(rules.only->sources, ElementsAre(0x0A000001));
  EXPECT_THAT(rules.only->destinations, ElementsAre(0x0A000001, 0x0A000002));
  EXPECT_THAT(rules.dropped_protocols, IsEmpty());
  EXPECT_FALSE(rules_of({"host 10.0.0.1", "net 10.1.0.0/16"}).only.has_value());
}

TEST(HardwareRules, AreThoseOfAllFiltersTogether) {
  EXPECT_THAT(rules_of({"udp port 53", "tcp"}).dropped_protocols, ElementsAre(ixgbe::FilterProtocol::sctp));
  EXPECT_TRUE(rules_of({"udp port 53", "less 100"}).nothing());
  EXPECT_EQ(describe(hardware_rules({})),
            "every VLAN; IPv4; ethertypes 0x0806, 0x8035, 0x88cc, 0x8808, 0x8847, 0x8863, 0x8864");
}

TEST(HardwareRules, LookBehindTagsWhereTheProgramDoes) {
  const std::vector<std::shared_ptr<const Filter>> filters = {
      std::make_shared<const Filter>(Filter{filter::compile_vlan_aware("udp")})};
  const ixgbe::HardwareRules rules = hardware_rules(filters);
  EXPECT_FALSE(rules.vlans.has_value());
  EXPECT_THAT(rules.dropped_protocols, ElementsAre(ixgbe::FilterProtocol::tcp, ixgbe::FilterProtocol::sctp));
}

TEST(HardwareRules, GiveUpOnAddressesThatAreTooMany) {
  std::string hosts = "host 10.0.0.1";
  for (int i = 2; i <= 70; ++i) hosts += " or host 10.0.0." + std::to_string(i);
  EXPECT_FALSE(rules_of({hosts.c_str()}).only.has_value());
}

struct Captured {
  std::map<std::string, unsigned> frames;  // by their bytes
  DropLedger ledger;
};

Captured capture(const std::string& expression, bool hardware_filter, std::uint32_t queues, bool vlan_aware) {
  Session session({.interface = "emulator:mix?count=8000&seed=11",
                   .expression = expression,
                   .vlan_aware = vlan_aware,
                   .queues = queues,
                   .hardware_filter = hardware_filter});
  session.start();
  Captured captured;
  while (session.reader().state() == RingState::open) {
    while (const Record* record = session.reader().next()) {
      if (!record->is_loss()) ++captured.frames[std::string(record->data(), record->data() + record->captured_length)];
    }
    session.reader().release();
    std::this_thread::yield();
  }
  session.stop();
  captured.ledger = session.ledger();
  return captured;
}

void expect_the_same(const std::string& expression, std::uint32_t queues, bool vlan_aware) {
  const Captured off = capture(expression, false, queues, vlan_aware);
  const Captured on = capture(expression, true, queues, vlan_aware);
  EXPECT_TRUE(on.frames == off.frames) << expression << ", " << queues << " queues";
  EXPECT_TRUE(on.ledger.balanced()) << expression << '\n' << on.ledger.to_string();
  EXPECT_EQ(on.ledger.delivered, off.ledger.delivered) << expression;
  EXPECT_EQ(on.ledger.filtered + on.ledger.filtered_by_card, off.ledger.filtered) << expression;
  EXPECT_EQ(off.ledger.filtered_by_card, 0u);
}

TEST(HardwareFilter, ChangesNothingThatIsDelivered) {
  for (const char* expression :
       {"", "udp port 53", "tcp", "not tcp", "arp", "ip6", "vlan", "vlan 5 and tcp", "not vlan 5", "net 10.0.0.0/8",
        "host 10.0.0.1", "src host 10.0.0.1 or dst host 10.0.0.2", "icmp or arp", "ip[6:2] & 0x1fff != 0", "less 100",
        "ether multicast"}) {
    expect_the_same(expression, 1, false);
  }
}

TEST(HardwareFilter, ChangesNothingOnSeveralQueuesAndBehindTags) {
  for (const char* expression : {"udp port 53", "host 10.0.0.1 or host 10.0.0.2", "tcp port 80 or arp"}) {
    expect_the_same(expression, 4, false);
    expect_the_same(expression, 4, true);
  }
}

TEST(HardwareFilter, DropsMostOfWhatNobodyWants) {
  const DropLedger ledger = capture("ip6", true, 1, false).ledger;
  EXPECT_GT(ledger.filtered_by_card, ledger.filtered * 10);
}

TEST(HardwareFilter, FollowsTheFiltersWhileFramesCome) {
  Session session({.interface = "emulator:mix?rate=1000pps", .expression = "udp port 53", .hardware_filter = true});
  session.start();
  EXPECT_THAT(describe(session.dropped_by_hardware()), HasSubstr("TCP over IPv4"));
  const unsigned tcp = session.filters().add({filter::compile("tcp")});
  EXPECT_THAT(session.dropped_by_hardware().dropped_protocols, ElementsAre(ixgbe::FilterProtocol::sctp));
  const unsigned all = session.filters().add({filter::Program::returning(1)});
  EXPECT_TRUE(session.dropped_by_hardware().nothing());
  session.filters().remove(all);
  session.filters().remove(tcp);
  EXPECT_THAT(describe(session.dropped_by_hardware()), HasSubstr("TCP over IPv4"));
  session.abandon();
  session.stop();
  EXPECT_TRUE(session.ledger().balanced()) << session.ledger().to_string();
}

TEST(HardwareFilter, WantsAQueueOfItsOwn) {
  EXPECT_THAT([] { Session({.interface = "emulator:mix?count=1", .queues = 16, .hardware_filter = true}); },
              ThrowsMessage<Error>(HasSubstr("use at most 15 queues, or no --hardware-filter")));
}

}  // namespace
}  // namespace ixcap::capture
