// PTP messages among other traffic as fast as it comes: every stamp that the card latched is on the record of its frame
// and on no other, and times increase strictly on every queue. The software NIC knows what it has latched, and when.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>

#include <ixcap/capture/session.hpp>
#include <ixcap/driver/emulator/nic.hpp>

#include "tests/driver/ptp_frames.hpp"
#include "tests/files.hpp"
#include "tests/tools/capture_files.hpp"

namespace ixcap::capture {
namespace {

using emulator::LatchedStamp;
using test::CapturedFrame;
using test::PtpFrame;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t last_event_type = 3;
constexpr std::uint8_t announce = 11;

/// A file of traffic, and which of its frames are event messages, by the number that each of these has to itself.
struct PtpTraffic {
  std::vector<CapturedFrame> frames;
  std::map<Bytes, std::uint32_t> events;  ///< to RXSATRH's upper half

  void add_message(const PtpFrame& message) {
    const Bytes bytes = message.bytes();
    frames.push_back({bytes, static_cast<std::uint32_t>(bytes.size())});
    const std::uint32_t swapped = (std::uint32_t{message.sequence} << 8 & 0xFF00) | message.sequence >> 8;
    if (message.version == 2 && message.type <= last_event_type) events[bytes] = swapped;
  }
};

PtpTraffic make_traffic(std::uint32_t seed, std::size_t count, unsigned one_of) {
  std::mt19937 random(seed);
  PtpTraffic traffic;
  const auto others = emulator::open_traffic(emulator::parse_traffic("mix?size=64&seed=" + std::to_string(seed)));
  std::uint16_t sequence = 0;
  while (traffic.frames.size() < count) {
    if (random() % one_of == 0) {
      constexpr std::uint8_t types[] = {0, 1, 2, 3, announce};
      traffic.add_message({.type = types[random() % std::size(types)],
                           .sequence = ++sequence,
                           .vlan = static_cast<std::uint16_t>(random() % 4 == 0 ? 7 : 0),
                           .over_udp = random() % 2 == 0,
                           .source = static_cast<std::uint32_t>(0x0A000000 + random() % 250)});
    } else {
      const emulator::WireFrame* frame = others->next();
      traffic.frames.push_back({{frame->bytes, frame->bytes + frame->captured_length}, frame->wire_length});
    }
  }
  return traffic;
}

/// What a capture of it has shown.
struct Outcome {
  std::uint64_t frames = 0;
  std::uint64_t stamped = 0;
  std::uint64_t exact = 0;  ///< of these, with the stamp as their time
  std::uint64_t out_of_order = 0;
  std::uint64_t wrong_flags = 0;
  std::uint64_t invented = 0;
};

const emulator::Nic& nic_of(Session& session) {
  return dynamic_cast<const emulator::Nic&>(session.interface().device());
}

class PtpCapture {
 public:
  /// `of_traffic`: the options that follow the file's name.
  PtpCapture(const PtpTraffic& traffic, SessionOptions options, const std::string& of_traffic = {})
      : traffic_(traffic), last_ns_(options.queues) {
    const std::string path = folder_.file("ptp.pcap");
    test::write_capture(path, traffic.frames);
    options.interface = "emulator:" + path + of_traffic;
    session_.emplace(options);
  }

  Session& session() { return *session_; }

  void run() {
    session_->start();
    while (session_->reader().state() == RingState::open) {
      while (const Record* record = session_->reader().next()) look_at(*record);
      session_->reader().release();
      std::this_thread::yield();
    }
    session_->stop();
  }

  /// Holds what the records say against what the latch has held.
  Outcome outcome() {
    const ixgbe::ClockFit fit = session_->card_clock()->fit();
    for (const LatchedStamp& latched : nic_of(*session_).latched_stamps()) {
      const auto found = stamps_.find(latched.source_high_and_sequence >> 16);
      if (found == stamps_.end()) continue;  // dropped behind the MAC
      EXPECT_EQ(found->second, fit.stamp_to_ns(latched.systim));
      outcome_.invented -= 1;
      stamps_.erase(found);
    }
    return outcome_;
  }

 private:
  void look_at(const Record& record) {
    if (record.is_loss()) return;
    ++outcome_.frames;
    std::uint64_t& last = last_ns_.at(record.queue);
    outcome_.out_of_order += record.timestamp_ns > last ? 0 : 1;
    last = record.timestamp_ns;
    const auto stamp = record.card_stamp_ns();
    const bool exact = stamp == record.timestamp_ns;
    const std::uint16_t expected = exact ? record_time_hardware : record_time_nic_clock;
    outcome_.wrong_flags += (record.flags & record_time_mask) == expected ? 0 : 1;
    if (!stamp.has_value()) return;
    ++outcome_.stamped;
    ++outcome_.invented;  // until its truth is found
    outcome_.exact += exact ? 1 : 0;
    const auto event = traffic_.events.find({record.data(), record.data() + record.captured_length});
    ASSERT_NE(event, traffic_.events.end()) << "a stamp on a frame that is no event message";
    EXPECT_TRUE(stamps_.emplace(event->second, *stamp).second) << "two stamps for one message";
    EXPECT_LE(*stamp, record.timestamp_ns) << "a stamp gives way to later times only";
  }

  test::TemporaryFolder folder_;
  const PtpTraffic& traffic_;
  std::vector<std::uint64_t> last_ns_;
  std::optional<Session> session_;
  std::map<std::uint32_t, std::uint64_t> stamps_;  ///< of the records, by the message's number
  Outcome outcome_;
};

class PtpStamps : public testing::TestWithParam<std::uint32_t> {};

TEST_P(PtpStamps, MatchesEveryStampThatWasLatchedToItsFrame) {
  for (const std::uint32_t seed : {1u, 2u, 3u}) {
    for (const unsigned one_of : {20u, 1u}) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", one of " + std::to_string(one_of) + " is PTP");
      const PtpTraffic traffic = make_traffic(seed, one_of == 1 ? 4000 : 40'000, one_of);
      PtpCapture capture(traffic, {.queues = GetParam()});
      capture.run();
      const std::size_t latched = nic_of(capture.session()).latched_stamps().size();
      const Outcome outcome = capture.outcome();
      const TimeStampStatistics statistics = capture.session().statistics().time_stamps;
      EXPECT_EQ(outcome.frames, traffic.frames.size());
      EXPECT_GT(latched, 0u);
      EXPECT_EQ(outcome.stamped, latched);
      EXPECT_EQ(statistics.stamped, latched);
      EXPECT_EQ(statistics.stamps_unmatched, 0u);
      EXPECT_EQ(outcome.invented, 0u);
      EXPECT_EQ(outcome.out_of_order, 0u);
      EXPECT_EQ(outcome.wrong_flags, 0u);
      std::cout << "seed " << seed << ": " << traffic.events.size() << " event messages, " << latched
                << " stamps latched, " << outcome.exact << " of them are their frames' times; " << to_string(statistics)
                << '\n';
    }
  }
}

// At a real rate frames are dropped when this machine is busy: their stamps wait in the latch for nobody.
TEST_P(PtpStamps, InventsNoStampAtLineRate) {
  const PtpTraffic traffic = make_traffic(4, 100'000, 20);
  PtpCapture capture(traffic, {.queues = GetParam(), .descriptors = 512}, "?rate=10G");
  capture.run();
  const std::size_t latched = nic_of(capture.session()).latched_stamps().size();
  const Outcome outcome = capture.outcome();
  EXPECT_LE(outcome.stamped, latched);
  EXPECT_GE(outcome.stamped + capture.session().ledger().lost(), latched);
  EXPECT_EQ(outcome.invented, 0u);
  EXPECT_EQ(outcome.out_of_order, 0u);
  EXPECT_EQ(outcome.wrong_flags, 0u);
}

INSTANTIATE_TEST_SUITE_P(Queues, PtpStamps, testing::Values(1u, 2u, 4u));

TEST(TimeStamps, StampsWhatNoFilterWantsToo) {
  const PtpTraffic traffic = make_traffic(5, 5000, 10);
  PtpCapture capture(traffic, {.expression = "udp port 319"});
  capture.run();
  const std::size_t latched = nic_of(capture.session()).latched_stamps().size();
  const Outcome outcome = capture.outcome();
  EXPECT_EQ(capture.session().statistics().time_stamps.stamped, latched) << "the latch is emptied for the next";
  EXPECT_GT(outcome.stamped, 0u);
  EXPECT_LT(outcome.stamped, latched);
  EXPECT_EQ(outcome.invented, 0u);
}

TEST(TimeStamps, AreUtc) {
  const std::uint64_t before_ns = FrameClock::now_ns();
  const PtpTraffic traffic = make_traffic(6, 1000, 10);
  for (const TimeStampType type : {TimeStampType::adapter_unsynced, TimeStampType::host}) {
    test::TemporaryFolder folder;
    test::write_capture(folder.file("ptp.pcap"), traffic.frames);
    Session session({.interface = "emulator:" + folder.file("ptp.pcap"), .time_stamps = type});
    session.start();
    std::uint64_t outside = 0;
    std::uint64_t stamped = 0;
    constexpr std::uint64_t hour_ns = 3'600'000'000'000;  // whatever else this machine does
    while (session.reader().state() == RingState::open) {
      while (const Record* record = session.reader().next()) {
        outside += record->timestamp_ns - before_ns < hour_ns ? 0 : 1;
        stamped += record->card_stamp_ns().has_value() ? 1 : 0;
      }
      session.reader().release();
    }
    session.stop();
    EXPECT_EQ(outside, 0u);
    const TimeStampStatistics statistics = session.statistics().time_stamps;
    EXPECT_EQ(statistics.ahead_of_system_ns.has_value(), type == TimeStampType::adapter_unsynced);
    EXPECT_EQ(stamped != 0, type == TimeStampType::adapter_unsynced);
  }
}

TEST(TimeStamps, BoundTheErrorOfTheCardsClockWhileFramesCome) {
  Session session({.interface = "emulator:mix?rate=1Mpps&count=100000"});
  const emulator::Nic& nic = nic_of(session);
  session.start();
  std::uint64_t wrong = 0;
  std::uint64_t looks = 0;
  while (session.reader().state() == RingState::open) {
    while (session.reader().next() != nullptr) {
    }
    session.reader().release();
    const ixgbe::ClockFit fit = session.card_clock()->fit();
    const std::uint64_t before = ixgbe::read_tsc();
    const std::uint64_t truth = fit.stamp_to_ns(nic.system_time());
    const std::uint64_t after = ixgbe::read_tsc();
    constexpr double rounding_ns = 2;
    const auto since = [truth](std::uint64_t ns) { return static_cast<double>(static_cast<std::int64_t>(truth - ns)); };
    wrong += since(fit.to_ns(before)) < -(fit.error_at(before) + rounding_ns) ? 1 : 0;
    wrong += since(fit.to_ns(after)) > fit.error_at(after) + rounding_ns ? 1 : 0;
    ++looks;
  }
  session.stop();
  EXPECT_EQ(wrong, 0u) << "of " << looks;
}

TEST(TimeStamps, ReadRealMessages) {
  for (const std::string& path : test::real_captures()) {
    if (!path.ends_with("/ptpv2.pcap")) continue;
    Session session({.interface = "emulator:" + path + "?rate=100pps"});
    session.start();
    std::vector<std::uint64_t> stamps;
    while (session.reader().state() == RingState::open) {
      while (const Record* record = session.reader().next()) {
        if (const auto stamp = record->card_stamp_ns()) stamps.push_back(*stamp);
      }
      session.reader().release();
      std::this_thread::yield();
    }
    session.stop();
    std::vector<std::uint64_t> truth;
    for (const LatchedStamp& latched : nic_of(session).latched_stamps()) {
      truth.push_back(session.card_clock()->fit().stamp_to_ns(latched.systim));
    }
    EXPECT_EQ(stamps, truth) << "what is over IPv6, or no event, is stamped neither by the card nor by us";
    return;
  }
  GTEST_SKIP() << "IXCAP_CAPTURES names no folder with ptpv2.pcap";
}

TEST(TimeStampTypes, GoByTheirNames) {
  for (const TimeStampTypeName& type : time_stamp_types) EXPECT_EQ(time_stamp_type(type.name), type.type);
  for (const char* name : {"adapter", "host_hiprec", ""}) {
    try {
      time_stamp_type(name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("give adapter_unsynced or host with -j"));
    }
  }
}

}  // namespace
}  // namespace ixcap::capture
