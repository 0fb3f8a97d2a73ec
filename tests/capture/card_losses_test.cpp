// What the card lost, and what it forgot, follow from its counters and from what was polled; twice counts nothing
// twice.

#include <gtest/gtest.h>

#include <ixcap/capture/card_losses.hpp>

namespace ixcap::capture {
namespace {

struct Numbers {
  ixgbe::Statistics card;
  ReceiveCounts received;
  CardLosses losses;

  Numbers() {
    card.good_packets = 1000;
    card.missed = 100;
    card.queue[0].no_descriptor = 50;
    card.queue[3].no_descriptor = 20;
    received.polled = 825;
  }
  void settle(bool counters_lost = false) { losses.settle(card, received, 5, counters_lost); }
};

TEST(CardLosses, AreNoneWhereTheSumIsRight) {
  Numbers numbers;
  numbers.settle();
  numbers.settle(true);
  EXPECT_EQ(numbers.losses.lost, 0u);
  EXPECT_EQ(numbers.losses.forgotten, 0u);
}

TEST(CardLosses, AreWhatCameInAndWentNowhere) {
  Numbers numbers;
  numbers.card.good_packets += 7;
  for (int i = 0; i < 2; ++i) numbers.settle();
  EXPECT_EQ(numbers.losses.lost, 7u);
  numbers.card.good_packets += 3;
  numbers.settle();
  EXPECT_EQ(numbers.losses.lost, 10u);
}

TEST(CardLosses, ForgottenIsWhatWasPolledAndNeverCounted) {
  Numbers numbers;
  numbers.received.polled += 40;
  numbers.settle(false);
  EXPECT_EQ(numbers.losses.forgotten, 0u) << "then the sum is wrong, and shall be";
  for (int i = 0; i < 2; ++i) numbers.settle(true);
  EXPECT_EQ(numbers.losses.forgotten, 40u);
  numbers.card.good_packets += 2;
  numbers.settle();
  EXPECT_EQ(numbers.losses.lost, 2u);
  EXPECT_EQ(numbers.losses.forgotten, 40u);
}

TEST(CardLosses, BadFramesCountApart) {
  Numbers numbers;
  numbers.received.polled += 10;
  numbers.received.bad = 10;
  numbers.card.crc_errors = 4;
  numbers.card.jabber = 3;
  for (int i = 0; i < 2; ++i) numbers.settle(true);
  EXPECT_EQ(numbers.losses.lost, 0u);
  EXPECT_EQ(numbers.losses.forgotten, 0u);
  EXPECT_EQ(numbers.losses.forgotten_bad, 3u);
}

}  // namespace
}  // namespace ixcap::capture
