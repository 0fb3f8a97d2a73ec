// A session gets over what can happen to its card, or ends with one clear error; what happened is told, and the ledger
// holds against what the software NIC knows.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

#include "tests/capture/sessions.hpp"

namespace ixcap::capture {
namespace {

using Kind = SessionEvent::Kind;
using testing::HasSubstr;

/// A session that runs and is read, and whose card the test can break.
struct Running {
  explicit Running(SessionOptions options) : session(std::move(options)) {
    session.start();
    reading = std::jthread([this] { read = read_all(session, [this](const Record&) { ++frames; }); });
  }

  ~Running() { session.finish(); }  // a test that has failed has not

  emulator::Nic& nic() { return dynamic_cast<emulator::Nic&>(session.interface().device()); }
  void set_faults(std::string_view faults) { nic().set_faults(emulator::parse_faults(faults)); }

  void wait_for_frames(std::uint64_t more) {
    const std::uint64_t until = frames + more;
    while (frames < until && !session.failure()) std::this_thread::yield();
  }
  /// Until an event of that kind comes, or the capture is over.
  void wait_for(Kind kind) {
    const auto is_it = [kind](const SessionEvent& event) { return event.kind == kind || event.kind == Kind::failed; };
    for (bool found = false; !found; std::this_thread::yield()) {
      const std::vector<SessionEvent> taken = session.take_events();
      found = std::ranges::any_of(taken, is_it);
      events.insert(events.end(), taken.begin(), taken.end());
    }
  }
  void wait_for_the_end() {
    reading.join();
    const std::vector<SessionEvent> taken = session.take_events();
    events.insert(events.end(), taken.begin(), taken.end());
  }
  void finish() {
    session.finish();
    wait_for_the_end();
  }

  /// A trouble that comes and goes: the card is reset, and the capture goes on to its end.
  void get_over(Kind trouble) {
    wait_for(trouble);
    set_faults("none");
    wait_for(Kind::restarted);
    wait_for_frames(1000);
    finish();
    EXPECT_FALSE(session.failure().has_value());
  }

  std::vector<Kind> kinds() const {
    std::vector<Kind> kinds;
    for (const SessionEvent& event : events) kinds.push_back(event.kind);
    return kinds;
  }
  bool in_time_order() const { return std::ranges::is_sorted(events, {}, &SessionEvent::time_ns); }

  Session session;
  std::atomic<std::uint64_t> frames = 0;
  std::vector<SessionEvent> events;
  Read read;  ///< when it is over
  std::jthread reading;
};

TEST(SessionRecovery, GoesOnAfterALinkThatWasDown) {
  Running running({.interface = "emulator:mix"});
  running.wait_for_frames(1000);
  for (int i = 0; i < 3; ++i) {
    running.nic().set_carrier(false);
    running.wait_for(Kind::link_down);
    running.nic().set_carrier(true);
    running.wait_for(Kind::link_up);
    running.wait_for_frames(1000);
  }
  running.finish();
  EXPECT_FALSE(running.session.failure().has_value());
  EXPECT_EQ(running.kinds(), (std::vector{Kind::link_down, Kind::link_up, Kind::link_down, Kind::link_up,
                                          Kind::link_down, Kind::link_up}));
  EXPECT_TRUE(running.in_time_order());
  EXPECT_EQ(running.events[1].sentence, "the link is up again, at 10000 Mb/s");
  expect_ledger_tells_the_truth(running.session);
}

TEST(SessionRecovery, GoesOnWithAModuleThatWasPulledOutAndPluggedIn) {
  Running running({.interface = "emulator:mix"});
  running.wait_for_frames(1000);
  running.nic().plug(emulator::SfpKind::none);
  running.wait_for(Kind::link_down);
  running.nic().plug(emulator::SfpKind::passive_copper);
  running.wait_for(Kind::link_up);
  running.wait_for_frames(1000);
  running.finish();
  EXPECT_FALSE(running.session.failure().has_value());
  EXPECT_EQ(running.kinds(), (std::vector{Kind::module_out, Kind::link_down, Kind::module_in, Kind::link_up}));
  expect_ledger_tells_the_truth(running.session);
}

class SessionRecoveryOnQueues : public testing::TestWithParam<std::uint32_t> {};

TEST_P(SessionRecoveryOnQueues, GoesOnAfterAQueueHungAndCountsWhatWasDropped) {
  Running running({.interface = "emulator:mix?rate=200kpps&fault=receive-hang=3000", .queues = GetParam()});
  running.wait_for(Kind::restarted);
  running.set_faults("none");
  running.wait_for_frames(3000);
  running.finish();
  EXPECT_FALSE(running.session.failure().has_value());
  ASSERT_GE(running.events.size(), 2u);
  EXPECT_EQ(running.events[0].kind, Kind::hang);
  EXPECT_EQ(running.events[0].sentence, "receive queue 0 hangs: it has room, and drops its frames");
  EXPECT_EQ(running.events[1].kind, Kind::restarted);
  EXPECT_THAT(running.events[1].sentence,
              testing::StartsWith("the card was reset and set up again; 0 frames were lost in it, and what came "));
  EXPECT_GT(running.session.ledger().no_descriptor_total(), 0u);
  EXPECT_EQ(running.read.lost, running.session.ledger().no_descriptor_total()) << "every loss is told in the ring";
  expect_ledger_tells_the_truth(running.session);
}

TEST_P(SessionRecoveryOnQueues, GoesOnAfterAResetBySomebodyElse) {
  for (const bool whole_function : {false, true}) {
    for (const PollMode poll : {PollMode::busy, PollMode::interrupt}) {
      Running running({.interface = "emulator:mix?seed=4", .queues = GetParam(), .poll = poll});
      for (int i = 0; i < 2; ++i) {
        running.wait_for_frames(5000);
        if (whole_function) {
          running.nic().reset_function();
        } else {
          running.nic().write(ixgbe::CTRL.offset(), ixgbe::CTRL_RST);
        }
        running.wait_for(Kind::restarted);
      }
      running.wait_for_frames(5000);
      running.finish();
      EXPECT_FALSE(running.session.failure().has_value());
      EXPECT_EQ(running.kinds(),
                (std::vector{Kind::reset_by_other, Kind::restarted, Kind::reset_by_other, Kind::restarted}));
      EXPECT_TRUE(running.read.in_order || GetParam() > 1) << "the card's clock goes on";
      expect_ledger_tells_the_truth(running.session);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Queues, SessionRecoveryOnQueues, testing::Values(1u, 4u));

TEST(SessionRecovery, TakesAQueueThatWasSwitchedOffForAReset) {
  Running running({.interface = "emulator:mix", .queues = 2});
  running.wait_for_frames(1000);
  running.nic().write(ixgbe::RXDCTL.offset(1), 0);
  running.wait_for(Kind::restarted);
  running.wait_for_frames(1000);
  running.finish();
  EXPECT_EQ(running.kinds(), (std::vector{Kind::reset_by_other, Kind::restarted}));
  expect_ledger_tells_the_truth(running.session);
}

TEST(SessionRecovery, TheCardGoesOnDroppingWhatNoFilterWants) {
  Running running({.interface = "emulator:mix", .expression = "arp", .hardware_filter = true});
  const auto wait_for_wire = [&running](std::uint64_t more) {
    const std::uint64_t until = running.nic().counts().frames + more;
    while (running.nic().counts().frames < until) std::this_thread::yield();
  };
  wait_for_wire(5000);
  running.nic().write(ixgbe::CTRL.offset(), ixgbe::CTRL_RST);
  running.wait_for(Kind::restarted);
  const std::uint64_t dropped = running.session.ledger().filtered_by_card;
  wait_for_wire(5000);
  running.finish();
  const DropLedger ledger = running.session.ledger();
  EXPECT_TRUE(ledger.balanced()) << ledger.to_string();
  EXPECT_GT(ledger.filtered_by_card, dropped);
}

TEST(SessionRecovery, GoesOnAfterAFailedDmaAccess) {
  Running running({.interface = "emulator:mix"});
  running.wait_for_frames(1000);
  running.set_faults("dma-faults=1");
  running.get_over(Kind::dma_error);
  EXPECT_GT(running.session.ledger().lost_in_card, 0u);
  EXPECT_EQ(running.read.lost, running.session.ledger().lost_in_card);
  expect_ledger_tells_the_truth(running.session);
}

TEST(SessionRecovery, GoesOnAfterAnErrorInTheCardsMemory) {
  Running running({.interface = "emulator:mix?fault=ecc-error=1000"});
  running.get_over(Kind::memory_error);
  expect_ledger_tells_the_truth(running.session);
}

TEST(SessionRecovery, GivesUpAfterThreeResetsWithinAMinute) {
  Running running({.interface = "emulator:mix?rate=200kpps&fault=receive-hang=1000"});
  running.wait_for_the_end();
  ASSERT_TRUE(running.session.failure().has_value());
  EXPECT_THAT(running.session.failure()->what(), HasSubstr("the card was reset 3 times within a minute"));
  EXPECT_EQ(running.kinds(), (std::vector{Kind::hang, Kind::restarted, Kind::hang, Kind::restarted, Kind::hang,
                                          Kind::restarted, Kind::hang, Kind::failed}));
  EXPECT_EQ(running.events.back().sentence, running.session.failure()->what());
  expect_ledger_tells_the_truth(running.session);
}

TEST(SessionRecovery, GivesUpOnACardThatDoesNotReset) {
  Running running({.interface = "emulator:mix?rate=200kpps&fault=receive-hang=1000,stuck-reset=off"});
  running.set_faults("receive-hang=1000,stuck-reset");
  running.wait_for_the_end();
  ASSERT_TRUE(running.session.failure().has_value());
  EXPECT_THAT(running.session.failure()->what(), HasSubstr("cannot reset: CTRL"));
  EXPECT_EQ(running.kinds(), (std::vector{Kind::hang, Kind::failed}));
  expect_ledger_tells_the_truth(running.session);
}

TEST(SessionRecovery, EndsWithACardThatGoesWhileItIsReset) {
  Running running({.interface = "emulator:mix?rate=200kpps&fault=receive-hang=1000"});
  running.wait_for(Kind::hang);
  running.set_faults("remove");
  running.wait_for_the_end();
  ASSERT_TRUE(running.session.failure().has_value());
  EXPECT_THAT(running.session.failure()->what(), HasSubstr("the card is not there any more"));
  EXPECT_EQ(std::ranges::count(running.kinds(), Kind::failed), 1);
  EXPECT_TRUE(running.session.ledger().balanced()) << running.session.ledger().to_string();
}

// The loops cannot come to a stand while the ring is full: nothing waits for that but the reset.
TEST(SessionRecovery, CanBeFinishedWhileAReaderHoldsTheResetUp) {
  Session session({.interface = "emulator:mix?size=1518", .ring_bytes = RingMemory::smallest_size_bytes});
  session.start();
  while (session.statistics().received.polled == 0) std::this_thread::yield();
  auto& nic = dynamic_cast<emulator::Nic&>(session.interface().device());
  while (nic.counts().frames < 5000 && session.statistics().card.good_packets < 2000) std::this_thread::yield();
  nic.write(ixgbe::CTRL.offset(), ixgbe::CTRL_RST);
  std::vector<SessionEvent> events;
  while (events.empty()) events = session.take_events();
  EXPECT_EQ(events[0].kind, Kind::reset_by_other);
  session.finish();
  const Read read = read_all(session);
  EXPECT_EQ(read.frames, session.ledger().delivered);
  expect_ledger_tells_the_truth(session);
}

TEST(SessionRecovery, CanBeDestroyedAtAnyTime) {
  for (int i = 0; i < 5; ++i) {
    Session session({.interface = "emulator:mix?rate=200kpps&fault=receive-hang=1000", .queues = 2});
    session.start();
    // Or until it has been reset too often.
    while (!session.failure() && session.interface().wire_counts()->frames < 1000u + 4000u * static_cast<unsigned>(i)) {
      std::this_thread::yield();
    }
  }
}

}  // namespace
}  // namespace ixcap::capture
