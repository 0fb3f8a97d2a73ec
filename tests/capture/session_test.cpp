// A session delivers what was on the wire, once and in order, or says in its ledger where each missing frame went; the
// software NIC knows the truth.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include <ixcap/capture/session.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/filter/expression.hpp>

#include "tests/capture/sessions.hpp"

namespace ixcap::capture {
namespace {

TEST(Session, DeliversTheFramesOfTheTrafficByteForByte) {
  const std::string traffic = "mix?count=20000&seed=3";
  const auto expected = emulator::open_traffic(emulator::parse_traffic(traffic));
  Session session({.interface = "emulator:" + traffic});
  session.start();
  std::uint64_t different = 0;
  const Read read = read_all(session, [&](const Record& record) {
    const emulator::WireFrame* frame = expected->next();
    ASSERT_NE(frame, nullptr);
    const bool same = record.captured_length == frame->captured_length && record.wire_length == frame->wire_length &&
                      std::equal(record.data(), record.data() + record.captured_length, frame->bytes);
    different += same ? 0 : 1;
  });
  EXPECT_EQ(read.frames, 20'000u);
  EXPECT_EQ(different, 0u);
  EXPECT_TRUE(read.in_order);
  EXPECT_FALSE(session.failure().has_value());
  EXPECT_EQ(session.ledger().delivered, 20'000u);
  expect_ledger_tells_the_truth(session);
}

TEST(Session, FiltersBeforeAnythingIsCopied) {
  Session session({.interface = "emulator:mix?count=20000", .expression = "udp port 53"});
  session.start();
  const filter::Program programs[] = {filter::compile("udp port 53")};
  const filter::Set filter(programs);
  std::uint64_t wrong = 0;
  const Read read = read_all(session, [&](const Record& record) {
    const Frame frames[] = {{record.data(), record.captured_length, record.wire_length}};
    std::uint64_t match_sets[1];
    filter.match(frames, match_sets);
    wrong += match_sets[0] == 1 && record.match_set == 1 ? 0 : 1;
  });
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(read.frames, 0u);
  EXPECT_EQ(session.ledger().filtered, 20'000 - read.frames);
  expect_ledger_tells_the_truth(session);
}

TEST(Session, CutsFramesToTheSnapshotLength) {
  Session session({.interface = "emulator:mix?count=1000&size=1518", .snaplen = 100});
  session.start();
  const Read read = read_all(session, [](const Record& record) {
    EXPECT_EQ(record.captured_length, 100u);
    EXPECT_EQ(record.wire_length, 1514u);
  });
  EXPECT_EQ(read.frames, 1000u);
}

TEST(Session, AccountsForEveryFrameThatTheCardDropped) {
  // More than the smallest rings can hold while the reader does nothing: the card must drop.
  Session session({.interface = "emulator:mix?count=30000&rate=10G&size=1518",
                   .descriptors = ixgbe::fewest_descriptors,
                   .ring_bytes = RingMemory::smallest_size_bytes});
  session.start();
  while (session.interface().wire_counts()->frames < 10'000) std::this_thread::yield();
  const Read read = read_all(session);
  const DropLedger ledger = session.ledger();
  EXPECT_GT(ledger.no_descriptor_total(), 0u);
  EXPECT_EQ(read.frames + ledger.no_descriptor_total(), 30'000u);
  EXPECT_EQ(read.lost, ledger.no_descriptor_total()) << "every loss is told in the ring";
  EXPECT_TRUE(read.in_order);
  expect_ledger_tells_the_truth(session);
}

// What a card recovers from by itself, a capture gets over, and its ledger holds.
TEST(Session, AccountsForEveryFrameUnderFaults) {
  for (const std::string faults :
       {"crc-errors=0.01", "bad-frames=0.2", "late-write-back=0.5", "reordered-write-back=1,late-write-back=0.2",
        "starvation=0.2", "lost-interrupts=1", "link-flap=1ms",
        "bad-frames=0.1,late-write-back=0.3,starvation=0.1,lost-interrupts=0.5,link-flap=2ms"}) {
    for (const std::string rate : {"max", "4G"}) {
      SCOPED_TRACE(faults + " at rate " + rate);
      Session session({.interface = "emulator:mix?count=20000&rate=" + rate + "&fault=" + faults});
      session.start();
      const Read read = read_all(session);
      const emulator::WireCounts wire = *session.interface().wire_counts();
      EXPECT_EQ(wire.frames, 20'000u);
      EXPECT_EQ(read.frames, wire.delivered);
      EXPECT_TRUE(read.in_order);
      EXPECT_FALSE(session.failure().has_value());
      expect_ledger_tells_the_truth(session);
    }
  }
}

TEST(Session, EndsWithACardThatIsPulledOut) {
  Session session({.interface = "emulator:mix?fault=remove-after=5000"});
  session.start();
  const Read read = read_all(session);
  EXPECT_EQ(read.frames, 5000u) << "what came before is there";
  ASSERT_TRUE(session.failure().has_value());
  EXPECT_THAT(session.failure()->what(), testing::HasSubstr("the card is not there any more"));
  expect_ledger_tells_the_truth(session);
  const std::vector<SessionEvent> events = session.take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, SessionEvent::Kind::failed);
  EXPECT_EQ(events[0].sentence, session.failure()->what());
}

TEST(Session, DrainsWhatWasReceivedAfterFinish) {
  Session session({.interface = "emulator:mix"});
  session.start();
  while (session.statistics().received.accepted < 1000) std::this_thread::yield();
  session.finish();
  const Read read = read_all(session);
  const DropLedger ledger = session.ledger();
  EXPECT_EQ(read.frames, *ledger.on_wire) << "nothing is left anywhere";
  expect_ledger_tells_the_truth(session);
}

TEST(Session, CountsWhatAnAbandoningReaderLeaves) {
  Session session({.interface = "emulator:mix", .ring_bytes = RingMemory::smallest_size_bytes});
  session.start();
  while (session.reader().next() == nullptr) std::this_thread::yield();
  session.reader().release();
  session.abandon();
  while (session.statistics().received.accepted < 10'000) std::this_thread::yield();
  session.stop();
  const DropLedger ledger = session.ledger();
  EXPECT_EQ(ledger.delivered, 1u);
  EXPECT_GE(ledger.left_unread, 9'999u);
  EXPECT_EQ(ledger.lost(), 0u) << "nobody wanted them";
  expect_ledger_tells_the_truth(session);
}

TEST(Session, ChangesItsFiltersTenThousandTimesWithoutLosingOrDoublingAFrame) {
  constexpr int swaps = 10'000;
  const auto expected = emulator::open_traffic(emulator::parse_traffic("mix?seed=5"));
  Session session({.interface = "emulator:mix?seed=5"});
  const filter::Filter tcp = {filter::compile("tcp")};
  const filter::Filter udp = {filter::compile("udp")};
  const filter::Filter either[] = {{filter::compile("tcp or udp")}};
  const filter::Set tcp_or_udp{std::span(either)};
  const unsigned bit = session.filters().add(tcp);
  ASSERT_EQ(bit, 1u);
  session.start();
  std::atomic<std::uint64_t> frames_read = 0;
  std::jthread changing([&] {
    while (frames_read < 1000) std::this_thread::yield();
    for (int i = 0; i < swaps; ++i) session.filters().replace(bit, i % 2 == 0 ? udp : tcp);
    session.filters().remove(bit);
    session.finish();
  });
  std::uint64_t different = 0;
  std::uint64_t misjudged = 0;
  std::uint64_t judged = 0;
  const Read read = read_all(session, [&](const Record& record) {
    ++frames_read;
    const emulator::WireFrame* frame = expected->next();
    const bool same = record.captured_length == frame->captured_length &&
                      std::equal(record.data(), record.data() + record.captured_length, frame->bytes);
    different += same ? 0 : 1;
    const Frame frames[] = {{record.data(), record.captured_length, record.wire_length}};
    std::uint64_t possible[1];
    tcp_or_udp.match(frames, possible);
    misjudged += record.match_set == 1 || record.match_set == 1 + 2 * possible[0] ? 0 : 1;
    judged += record.match_set == 3 ? 1 : 0;
  });
  EXPECT_EQ(different, 0u);
  EXPECT_EQ(misjudged, 0u);
  EXPECT_GT(judged, 0u);
  EXPECT_GT(read.frames, 1000u);
  EXPECT_EQ(read.frames, session.statistics().received.polled) << "bit 0 stayed and wants every frame";
  expect_ledger_tells_the_truth(session);
}

TEST(Session, CapturesNothingOnceItsLastFilterIsGone) {
  Session session({.interface = "emulator:mix"});
  EXPECT_EQ(session.filters().bits(), 1u);
  session.filters().remove(0);
  session.start();
  const auto wait_for_more = [&] {
    const std::uint64_t polled = session.statistics().received.polled;
    while (session.statistics().received.polled < polled + 1000) std::this_thread::yield();
  };
  wait_for_more();
  EXPECT_EQ(session.statistics().received.accepted, 0u);
  const auto sessions = std::make_shared<filter::FlowSet>("sessions", filter::FlowKind::conversations, 1000);
  EXPECT_EQ(session.filters().add({filter::compile("ip"), sessions, {.inside = false}}), 0u);
  wait_for_more();
  session.finish();
  const Read read = read_all(session);
  EXPECT_GT(read.frames, 0u);
  EXPECT_GE(session.ledger().filtered, 1000u);
  expect_ledger_tells_the_truth(session);
}

class SessionOfSeveralQueues : public testing::TestWithParam<std::uint32_t> {};

// The order between queues is merged_rings_test.cpp's: here a thread may be kept from running for any time.
TEST_P(SessionOfSeveralQueues, DeliversEveryFrameOnceAndEachQueueInOrder) {
  Session session({.interface = "emulator:mix?count=50000&seed=3", .queues = GetParam()});
  session.start();
  std::vector<std::uint64_t> by_queue(GetParam());
  std::vector<std::uint64_t> last_ns(GetParam());
  std::uint64_t out_of_order = 0;
  const Read read = read_all(session, [&](const Record& record) {
    ++by_queue.at(record.queue);
    std::uint64_t& last = last_ns[record.queue];
    out_of_order += record.timestamp_ns > last ? 0 : 1;
    last = record.timestamp_ns;
  });
  EXPECT_EQ(read.frames, 50'000u);
  EXPECT_EQ(out_of_order, 0u);
  const DropLedger ledger = session.ledger();
  EXPECT_EQ(ledger.received, by_queue);
  EXPECT_EQ(ledger.no_descriptor.size(), GetParam());
  for (const std::uint64_t frames : by_queue) EXPECT_GT(frames, 0u);
  expect_ledger_tells_the_truth(session);
}

TEST_P(SessionOfSeveralQueues, AccountsForEveryFrameThatTheCardDropped) {
  Session session({.interface = "emulator:mix?count=30000&rate=10G&size=1518",
                   .queues = GetParam(),
                   .descriptors = ixgbe::fewest_descriptors,
                   .ring_bytes = RingMemory::smallest_size_bytes * GetParam()});
  session.start();
  while (session.interface().wire_counts()->frames < 15'000) std::this_thread::yield();
  const Read read = read_all(session);
  EXPECT_EQ(read.frames + session.ledger().no_descriptor_total(), 30'000u);
  EXPECT_EQ(read.lost, session.ledger().no_descriptor_total()) << "every loss is told in the ring";
  expect_ledger_tells_the_truth(session);
}

INSTANTIATE_TEST_SUITE_P(Queues, SessionOfSeveralQueues, testing::Values(1u, 2u, 4u, 16u));

TEST(Session, ReceivesInEveryPollMode) {
  for (const PollMode poll : {PollMode::busy, PollMode::adaptive, PollMode::interrupt}) {
    Session session({.interface = "emulator:mix?count=2000&rate=1Mpps", .poll = poll});
    session.start();
    EXPECT_EQ(read_all(session).frames, 2000u) << static_cast<int>(poll);
    expect_ledger_tells_the_truth(session);
  }
}

TEST(Session, KeepsTheFcsWhereItIsAskedFor) {
  Session session({.interface = "emulator:mix?count=100&size=1518", .keep_fcs = true});
  session.start();
  const Read read = read_all(session, [](const Record& record) { EXPECT_EQ(record.wire_length, 1518u); });
  EXPECT_EQ(read.frames, 100u);
}

/// The flags of a bad frame, as the file has them.
std::uint16_t errors_of(const Record& record) {
  return record.flags & record_bad_mask;
}

// On request nothing is rejected: what was wrong with a frame is in its record.
TEST(Session, DeliversBadFramesAndSubtractsThemFromWhatTheMacRejects) {
  for (const std::string faults : {"crc-errors=0.05", "bad-frames=0.3"}) {
    for (const std::uint32_t queues : {1u, 4u}) {
      SCOPED_TRACE(faults + " on " + std::to_string(queues));
      Session session({.interface = "emulator:mix?count=20000&seed=8&fault=" + faults,
                       .queues = queues,
                       .keep_fcs = queues == 1,
                       .bad_frames = true});
      session.start();
      std::uint64_t bad = 0;
      std::uint64_t bad_fcs = 0;
      const Read read = read_all(session, [&](const Record& record) {
        bad += errors_of(record) != 0 ? 1 : 0;
        bad_fcs += (record.flags & record_bad_fcs) != 0 ? 1 : 0;
      });
      const emulator::WireCounts wire = *session.interface().wire_counts();
      EXPECT_EQ(read.frames, 20'000u);
      EXPECT_GT(bad, 0u);
      EXPECT_EQ(bad, wire.bad_kept);
      EXPECT_EQ(bad_fcs, wire.crc_errors + wire.fragments + wire.jabber);
      EXPECT_EQ(session.statistics().received.bad, bad);
      EXPECT_EQ(session.ledger().rejected_by_mac, 0u);
      EXPECT_EQ(session.ledger().delivered, 20'000u);
      expect_ledger_tells_the_truth(session);
    }
  }
}

TEST(Session, DoesNotCountABadFrameTwiceThatWasLost) {
  Session session({.interface = "emulator:mix?count=30000&rate=10G&size=1518&fault=crc-errors=0.2",
                   .descriptors = ixgbe::fewest_descriptors,
                   .bad_frames = true,
                   .ring_bytes = RingMemory::smallest_size_bytes});
  session.start();
  while (session.interface().wire_counts()->frames < 10'000) std::this_thread::yield();
  const Read read = read_all(session);
  EXPECT_GT(session.ledger().no_descriptor_total(), 0u);
  EXPECT_EQ(read.frames + session.ledger().no_descriptor_total(), 30'000u);
  EXPECT_EQ(session.ledger().rejected_by_mac, 0u);
  expect_ledger_tells_the_truth(session);
}

TEST(Session, RunsItsReceiveThreadsOnTheCpusNamed) {
  EXPECT_THROW(Session({.interface = "emulator:mix", .cpus = "no list"}), Error);
  Session session({.interface = "emulator:mix?count=1000", .queues = 2, .cpus = "0"});
  session.start();
  EXPECT_EQ(read_all(session).frames, 1000u);
}

TEST(Session, ARangeForReadsEveryPacketToTheEnd) {
  Session session({.interface = "emulator:mix?count=20000", .queues = 2});
  session.start();
  std::uint64_t packets = 0;
  for (const Record& packet : session.reader().packets()) packets += packet.captured_length >= 14 ? 1 : 0;
  session.stop();
  EXPECT_EQ(packets, 20'000u);
  EXPECT_EQ(session.ledger().delivered, 20'000u);
  expect_ledger_tells_the_truth(session);
}

TEST(Session, BatchesAreSpansOfRecordsInPlace) {
  Session session({.interface = "emulator:mix?count=20000"});
  session.start();
  std::uint64_t frames = 0;
  std::size_t largest = 0;
  while (session.reader().state() == RingState::open) {
    const auto batch = session.reader().next_batch();
    for (const Record* record : batch) frames += record->is_loss() ? 0 : 1;
    largest = std::max(largest, batch.size());
    session.reader().release();
    if (batch.empty()) session.reader().wait(std::chrono::milliseconds(-1));
  }
  EXPECT_EQ(frames, 20'000u);
  EXPECT_LE(largest, batch_size);
  EXPECT_GT(largest, 1u);
}

TEST(Session, MoreReadersChooseTheirFilters) {
  Session session({.interface = "emulator:mix?count=20000", .expression = "tcp"});
  const unsigned udp = session.filters().add("udp");
  const auto of_udp = session.add_reader({.mask = std::uint64_t{1} << udp});
  const auto lossy = session.add_reader({.policy = ReaderPolicy::lossy});
  session.start();
  std::uint64_t udp_packets = 0;
  std::jthread reading_udp([&] {
    for (const Record& packet : of_udp->packets()) udp_packets += packet.match_set == 2 ? 1 : 0;
  });
  std::uint64_t lossy_packets = 0;
  std::jthread reading_lossy([&] {
    for ([[maybe_unused]] const Record& packet : lossy->packets()) ++lossy_packets;
  });
  std::uint64_t all_udp = 0;
  const Read read = read_all(session, [&](const Record& record) { all_udp += record.match_set == 2 ? 1 : 0; });
  reading_udp.join();
  reading_lossy.join();
  EXPECT_GT(udp_packets, 0u);
  EXPECT_EQ(udp_packets, all_udp);
  EXPECT_EQ(of_udp->delivered(), all_udp);
  EXPECT_EQ(lossy_packets + lossy->lost(), read.frames);
  expect_ledger_tells_the_truth(session);
}

TEST(Session, AnIdleReaderIsWokenByBreakloop) {
  Session session({.interface = "emulator:mix", .expression = "ip host 240.0.0.1"});  // which never comes
  session.start();
  std::jthread breaking([&] { session.reader().breakloop(); });
  for (const Record& packet : session.reader().packets()) ADD_FAILURE() << packet.timestamp_ns;
  EXPECT_EQ(session.reader().state(), RingState::open);
}

TEST(Session, CountsByFilterAndDeliversNothing) {
  for (const std::uint32_t queues : {1u, 4u}) {
    const std::string traffic = "mix?count=30000&seed=9";
    Session session({.interface = "emulator:" + traffic, .queues = queues, .count_only = true});
    EXPECT_EQ(session.filters().add("udp port 53"), 1u);
    EXPECT_EQ(session.filters().add("tcp"), 2u);
    session.start();
    while (session.reader().state() == RingState::open) {
      EXPECT_EQ(session.reader().next(), nullptr);
      session.reader().wait(std::chrono::milliseconds(-1));
    }
    session.stop();
    const filter::Program programs[] = {filter::Program::returning(1), filter::compile("udp port 53"),
                                        filter::compile("tcp")};
    const filter::Set set(programs);
    std::vector<FilterCount> expected(3);
    const auto source = emulator::open_traffic(emulator::parse_traffic(traffic));
    while (const emulator::WireFrame* wire = source->next()) {
      const Frame frames[] = {{wire->bytes, wire->captured_length, wire->wire_length}};
      std::uint64_t match_sets[1];
      set.match(frames, match_sets);
      for (std::size_t bit = 0; bit < expected.size(); ++bit) {
        expected[bit].packets += match_sets[0] >> bit & 1;
        expected[bit].bytes += (match_sets[0] >> bit & 1) * wire->wire_length;
      }
    }
    const std::vector<FilterCount> counts = session.counts();
    ASSERT_EQ(counts.size(), 3u);
    for (std::size_t bit = 0; bit < counts.size(); ++bit) {
      EXPECT_EQ(counts[bit].bit, bit);
      EXPECT_EQ(counts[bit].packets, expected[bit].packets) << counts[bit].expression;
      EXPECT_EQ(counts[bit].bytes, expected[bit].bytes) << counts[bit].expression;
    }
    for (const RingMemory* ring : session.rings()) EXPECT_EQ(ring->header().positions.published.load() & ~1ull, 0u);
    const DropLedger ledger = session.ledger();
    EXPECT_EQ(ledger.counted, 30'000u);
    EXPECT_EQ(ledger.delivered + ledger.left_unread, 0u);
    EXPECT_TRUE(ledger.balanced()) << ledger.to_string();
  }
}

TEST(Session, CanBeDestroyedAtAnyTime) {
  { const Session never_started({.interface = "emulator:mix"}); }
  Session running({.interface = "emulator:mix", .ring_bytes = RingMemory::smallest_size_bytes});
  running.start();
}

TEST(Session, TellsWhyTheTrafficEndedEarly) {
  EXPECT_THROW(Session({.interface = "emulator:/no/such/file.pcap"}), Error);
  EXPECT_THROW(Session({.interface = "emulator:mix", .expression = "tcp prot 80"}), filter::ExpressionError);
  EXPECT_THROW(Session({.interface = "emulator:mix", .ring_bytes = 1000}), Error);
}

}  // namespace
}  // namespace ixcap::capture
