// A queue that hangs is found within a few looks; one that is idle, slow, overrun or only just begun is not.

#include <gtest/gtest.h>

#include <ixcap/driver/emulator/mix_traffic.hpp>
#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/ixgbe/receive_hang_detector.hpp>

namespace ixcap::ixgbe {
namespace {

using QueueLook = ReceiveHangDetector::QueueLook;

/// Two queues and their card, looked at again and again; answers after how many looks a hang was seen, 0 for never.
struct Watched {
  ReceiveHangDetector detector;
  QueueLook queues[2] = {{10, 5, 0, 0}, {20, 19, 0, 0}};
  Statistics card;
  std::optional<ReceiveHang> hang;

  template <typename Happen>
  unsigned looks_until_hang(Happen happen, unsigned most = 50) {
    for (unsigned look = 1; look <= most; ++look) {
      happen(look);
      for (std::size_t i = 0; i < 2; ++i) card.queue[i] = {queues[i].written, 0, queues[i].dropped};
      hang = detector.look(queues, card);
      if (hang) return look;
    }
    return 0;
  }
};

TEST(ReceiveHangDetector, FindsAQueueThatDropsWithDescriptorsBeforeIt) {
  Watched watched;
  EXPECT_EQ(watched.looks_until_hang([&](unsigned) {
    ++watched.queues[0].written;
    ++watched.queues[0].head;
    ++watched.queues[1].dropped;
  }),
            ReceiveHangDetector::patience + 1)
      << "the first look has nothing to compare with";
  EXPECT_EQ(watched.hang->queue, 1u);
  watched.detector.forget();
  EXPECT_EQ(watched.looks_until_hang([](unsigned) {}), 0u);
}

TEST(ReceiveHangDetector, FindsAQueueWhoseFramesAreFew) {
  Watched watched;
  EXPECT_EQ(watched.looks_until_hang([&](unsigned look) { watched.queues[1].dropped += look % 5 == 0 ? 1 : 0; }),
            5 * ReceiveHangDetector::patience);
}

TEST(ReceiveHangDetector, FindsAPortThatTakesFramesInAndGivesNoneOut) {
  for (std::uint64_t Statistics::*const counter : {&Statistics::good_packets, &Statistics::missed}) {
    Watched watched;
    EXPECT_EQ(watched.looks_until_hang([&](unsigned) { watched.card.*counter += 2000; }),
              ReceiveHangDetector::patience + 1);
    EXPECT_FALSE(watched.hang->queue.has_value());
    watched.detector.forget();
    EXPECT_EQ(watched.looks_until_hang([](unsigned) {}), 0u);
  }
}

TEST(ReceiveHangDetector, LeavesAloneWhatOnlyLooksLikeIt) {
  EXPECT_EQ(Watched().looks_until_hang([](unsigned) {}), 0u) << "idle";
  Watched overrun;
  EXPECT_EQ(overrun.looks_until_hang([&](unsigned) {
    overrun.queues[0].head = overrun.queues[0].tail;
    ++overrun.queues[0].dropped;
  }),
            0u)
      << "no descriptors";
  Watched refilled;
  EXPECT_EQ(refilled.looks_until_hang([&](unsigned look) {
    refilled.queues[0].tail = look % 2 == 0 ? 10 : 11;
    ++refilled.queues[0].dropped;
  }),
            0u)
      << "descriptors came only just now";
  Watched busy;
  EXPECT_EQ(busy.looks_until_hang([&](unsigned) {
    busy.queues[0].dropped += 1000;
    busy.queues[0].written += 64;  // a whole lap: the head is where it was
    busy.card.missed += 10;
  }),
            0u)
      << "overrun, and going on";
  Watched managed;
  EXPECT_EQ(managed.looks_until_hang([&](unsigned) { managed.card.good_packets += 100; }), 0u)
      << "as many as can be in the card, or are not for the host";
  Watched neighbour;
  EXPECT_EQ(neighbour.looks_until_hang([&](unsigned) {
    neighbour.card.missed += 10;
    neighbour.card.good_packets += 20;
    neighbour.queues[0].written += 10;
    ++neighbour.queues[0].head;
  }),
            0u)
      << "queue 1 gets nothing, and nothing says that it should";
}

TEST(ReceiveHangDetector, FindsTheHangOfThePortItIsPartOf) {
  using emulator::Drive;
  emulator::Nic nic(emulator::open_traffic(emulator::parse_traffic("mix?size=64")), {}, Drive::stepped);
  nic.set_faults(emulator::parse_faults("receive-hang=100"));
  Port port(nic, {});
  port.start_receiving();
  Frame lent[batch_size];
  for (int round = 0; round < 3; ++round) {
    unsigned looks = 0;
    std::optional<ReceiveHang> hang;
    for (; !hang && looks < 50; ++looks) {
      nic.step(20);
      while (port.queue().poll(lent) != 0) port.queue().release();
      port.statistics().update();
      hang = port.find_hang();
    }
    ASSERT_TRUE(hang.has_value());
    EXPECT_EQ(hang->queue, 0u);
    EXPECT_EQ(looks, 100 / 20 + ReceiveHangDetector::patience) << "the look at the last frames is the first of those";
    port.restart();
    port.start_receiving();
  }
}

}  // namespace
}  // namespace ixcap::ixgbe
