// What is injected comes out of the wire at the other end, byte for byte and in order; what does not is counted under
// its reason; a queue that hangs is brought back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include <ixcap/capture/injector.hpp>

#include "tests/capture/served_nic.hpp"
#include "tests/driver/ptp_frames.hpp"

namespace ixcap::capture {
namespace {

using namespace std::chrono_literals;
using test::ListedFrame;
using test::make_frame;
using testing::HasSubstr;

TEST(Injector, SendsWhatItIsGiven) {
  test::ServedNic served;
  Injector injector({.interface = served.interface(), .descriptors = 64});
  const std::vector<ListedFrame> frames = test::frames_of_all_lengths(3000);
  std::vector<Frame> lent;
  std::uint64_t bytes = 0;
  for (const ListedFrame& frame : frames) {
    lent.push_back({frame.bytes.data(), frame.wire_length, frame.wire_length});
    bytes += frame.wire_length;
  }
  for (std::span<const Frame> left = lent; !left.empty(); left = left.subspan(injector.send(left))) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(injector.flush(60s));
  test::expect_sent(served.sent(), frames);
  const InjectionCounts counts = injector.counts();
  EXPECT_EQ(counts.on_wire, frames.size());
  EXPECT_EQ(counts.on_wire_bytes, bytes);
  EXPECT_EQ(counts.not_sent(), 0u);
}

TEST(Injector, SendsIntoTheVoidOfASoftwareNicOfItsOwn) {
  Injector injector({.interface = "emulator"});
  const ListedFrame frame = make_frame(100);
  const std::vector<Frame> frames(100, {frame.bytes.data(), 100, 100});
  EXPECT_EQ(injector.send(frames), 100u);
  EXPECT_TRUE(injector.flush(60s));
  EXPECT_EQ(injector.counts().on_wire, 100u);
  EXPECT_EQ(injector.interface().wire_counts()->frames, 0u) << "and receives nothing";
}

TEST(Injector, CountsWhatTheCardThrewAwayWithoutALink) {
  test::ServedNic served;
  Injector injector({.interface = served.interface()});
  const ListedFrame frame = make_frame(100);
  const std::vector<Frame> frames(10, {frame.bytes.data(), 100, 100});
  served.nic().set_carrier(false);
  injector.send(frames);
  EXPECT_TRUE(injector.flush(60s));
  served.nic().set_carrier(true);
  injector.send(frames);
  EXPECT_TRUE(injector.flush(60s));
  const InjectionCounts counts = injector.counts();
  EXPECT_EQ(counts.on_wire, 10u);
  EXPECT_EQ(counts.unsent(), 10u);
  EXPECT_EQ(counts.not_sent(), 10u);
}

/// A frame of those bytes, whole.
Frame lend(const std::vector<std::uint8_t>& bytes) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  return {bytes.data(), length, length};
}

TEST(Injector, HasPtpMessagesStamped) {
  test::ServedNic served;
  Injector injector({.interface = served.interface(), .time_stamps = true});
  const std::vector<std::uint8_t> other(60, 2);
  std::uint64_t last_ns = 0;
  for (std::uint16_t sequence = 0; sequence < 100; ++sequence) {
    const std::vector<std::uint8_t> message =
        test::PtpFrame{.sequence = sequence, .over_udp = sequence % 2 == 0}.bytes();
    const std::vector<Frame> frames = {lend(other), lend(message), lend(other), lend(message)};
    ASSERT_EQ(injector.send(frames), frames.size());
    EXPECT_TRUE(injector.flush(60s));
    const std::optional<StampedFrame> stamped = injector.take_stamped();
    ASSERT_TRUE(stamped.has_value()) << sequence;
    EXPECT_EQ(stamped->bytes, message);
    EXPECT_GT(stamped->time_ns, last_ns);
    EXPECT_FALSE(injector.take_stamped().has_value());
    last_ns = stamped->time_ns;
  }
  const TransmitStampCounts counts = injector.stamp_counts();
  EXPECT_EQ(counts.stamped, 100u);
  EXPECT_EQ(counts.not_asked, 100u) << "the second of each batch came while the first was under way";
  EXPECT_EQ(counts.unanswered, 0u);
}

TEST(Injector, WaitsInVainForAStampNoLongerThanItMust) {
  test::ServedNic served;
  Injector injector({.interface = served.interface(), .time_stamps = true});
  const std::vector<std::uint8_t> message = test::PtpFrame{}.bytes();
  const std::vector<Frame> frames = {lend(message)};
  served.nic().set_carrier(false);
  injector.send(frames);
  EXPECT_TRUE(injector.flush(60s));
  served.nic().set_carrier(true);
  while (injector.stamp_counts().unanswered == 0) injector.supervise();
  injector.send(frames);
  EXPECT_TRUE(injector.flush(60s));
  EXPECT_TRUE(injector.take_stamped().has_value());
  EXPECT_EQ(injector.stamp_counts().not_stamped(), 1u);
}

TEST(Injector, SaysThatTheLinkStaysDown) {
  test::ServedNic served;
  Injector injector({.interface = served.interface(), .link_patience = 20ms});
  served.nic().set_carrier(false);
  try {
    for (;;) injector.supervise();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("its link went down"));
  }
  EXPECT_EQ(injector.counts().not_sent(), 0u);
}

TEST(Injector, ResetsAQueueThatHangs) {
  test::ServedNic served;
  Injector injector({.interface = served.interface()});
  const ListedFrame frame = make_frame(100);
  const std::vector<Frame> frames(10, {frame.bytes.data(), 100, 100});
  injector.send(frames);
  EXPECT_TRUE(injector.flush(60s));
  injector.interface().device().enable_bus_master(false);  // descriptors are fetched no more; a reset mends it
  injector.send(frames);
  EXPECT_TRUE(injector.flush(60s));
  EXPECT_EQ(injector.counts().resets, 1u);
  EXPECT_EQ(injector.counts().lost_in_reset, 10u);
  injector.send(frames);
  EXPECT_TRUE(injector.flush(60s));
  const InjectionCounts counts = injector.counts();
  EXPECT_EQ(counts.on_wire, 20u);
  EXPECT_EQ(counts.queue.frames, 30u);
  EXPECT_EQ(counts.not_sent(), 10u);
  EXPECT_EQ(served.sent().size(), 20u);
}

TEST(Injector, GivesUpAQueueThatResetsDoNotMend) {
  test::ServedNic served;
  Injector injector({.interface = served.interface()});
  const ListedFrame frame = make_frame(100);
  const std::vector<Frame> frames(10, {frame.bytes.data(), 100, 100});
  std::uint64_t rounds = 0;
  try {
    for (; rounds < 10; ++rounds) {
      injector.interface().device().enable_bus_master(false);
      injector.send(frames);
      injector.flush(60s);
    }
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("hangs"));
  }
  EXPECT_EQ(injector.counts().on_wire, 0u);
  EXPECT_EQ(injector.counts().not_sent(), 10 * (rounds + 1));
}

TEST(Injector, SaysThatTheInterfaceIsGone) {
  std::optional<test::ServedNic> served(std::in_place);
  Injector injector({.interface = served->interface()});
  served.reset();
  EXPECT_THAT([&] { injector.supervise(); }, testing::ThrowsMessage<Error>(HasSubstr("does not answer any more")));
}

}  // namespace
}  // namespace ixcap::capture
