// What happens to a port is seen at the next look, and told once.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ixcap/capture/port_watch.hpp>
#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::capture {
namespace {

using Kind = SessionEvent::Kind;
using emulator::Drive;
using emulator::Nic;
using testing::ElementsAre;
using testing::IsEmpty;

struct Watched {
  Watched() { port.start_receiving(); }

  std::optional<Kind> look() {
    port.statistics().update();
    return watch.look();
  }
  std::vector<Kind> told() {
    std::vector<Kind> kinds;
    for (const SessionEvent& event : events.take()) kinds.push_back(event.kind);
    return kinds;
  }

  Nic nic{emulator::open_traffic(emulator::parse_traffic("mix?size=64")), {}, Drive::stepped};
  ixgbe::Port port{nic, {.queues = 2}};
  EventLog events;
  PortWatch watch{nic, port, events};
};

TEST(PortWatch, SaysNothingOfAPortThatReceivesOrIsIdle) {
  Watched watched;
  for (int i = 0; i < 20; ++i) {
    watched.nic.step(i < 10 ? 64 : 0);
    EXPECT_FALSE(watched.look().has_value());
  }
  EXPECT_THAT(watched.told(), IsEmpty());
}

TEST(PortWatch, TellsOfLinkAndModuleOnce) {
  Watched watched;
  watched.nic.set_carrier(false);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(watched.look().has_value()) << "nothing that a reset would mend";
  EXPECT_THAT(watched.told(), ElementsAre(Kind::link_down));
  watched.nic.set_carrier(true);
  watched.look();
  EXPECT_THAT(watched.told(), ElementsAre(Kind::link_up));
  watched.nic.plug(emulator::SfpKind::none);
  watched.look();
  EXPECT_THAT(watched.told(), ElementsAre(Kind::module_out, Kind::link_down));
  watched.nic.plug(emulator::SfpKind::passive_copper);
  watched.look();
  watched.look();
  EXPECT_THAT(watched.told(), ElementsAre(Kind::module_in, Kind::link_up));
}

TEST(PortWatch, SeesWhatOnlyAResetMends) {
  Watched watched;
  watched.nic.set_faults(emulator::parse_faults("dma-faults=1"));
  watched.nic.step(1);
  EXPECT_EQ(watched.look(), Kind::dma_error);
  EXPECT_FALSE(watched.look().has_value()) << "it was one";
  watched.nic.set_faults(emulator::parse_faults("ecc-error=1"));
  watched.nic.step(1);
  EXPECT_EQ(watched.look(), Kind::memory_error);
  EXPECT_FALSE(watched.look().has_value()) << "it was one";
  watched.nic.set_faults({});
  watched.nic.write(ixgbe::RXDCTL.offset(1), 0);
  EXPECT_EQ(watched.look(), Kind::reset_by_other);
  watched.port.restart();
  watched.port.start_receiving();
  EXPECT_FALSE(watched.look().has_value());
  watched.nic.write(ixgbe::CTRL.offset(), ixgbe::CTRL_RST);
  EXPECT_EQ(watched.look(), Kind::reset_by_other);
  EXPECT_THAT(watched.told(),
              ElementsAre(Kind::dma_error, Kind::memory_error, Kind::reset_by_other, Kind::reset_by_other));
}

TEST(PortWatch, LeavesACardThatIsGoneToOthers) {
  Watched watched;
  watched.nic.set_faults(emulator::parse_faults("remove"));
  EXPECT_FALSE(watched.look().has_value());
  EXPECT_THAT(watched.told(), IsEmpty());
}

TEST(EventLog, KeepsTheLatest) {
  EventLog log;
  EXPECT_THAT(log.take(), IsEmpty());
  for (std::size_t i = 0; i < EventLog::most_kept + 5; ++i) log.add(Kind::link_up, std::to_string(i));
  const std::vector<SessionEvent> events = log.take();
  ASSERT_EQ(events.size(), EventLog::most_kept);
  EXPECT_EQ(events.front().sentence, "5");
  EXPECT_GT(events.front().time_ns, 0u);
  EXPECT_THAT(log.take(), IsEmpty());
}

}  // namespace
}  // namespace ixcap::capture
