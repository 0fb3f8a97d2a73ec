// A queue that was armed tells of a frame once, whether it comes before or after; an unarmed one tells nobody.

#include <gtest/gtest.h>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/port.hpp>

#include "tests/driver/list_traffic.hpp"
#include "tests/driver/raw_device.hpp"

namespace ixcap::ixgbe {
namespace {

using namespace std::chrono_literals;
using emulator::Drive;
using emulator::Nic;

constexpr std::chrono::nanoseconds no_time{0};

struct Receiver {
  explicit Receiver(std::uint32_t queues = 1)
      : nic(std::make_unique<test::ListTraffic>(std::vector<test::ListedFrame>(100, test::make_frame(60))), {},
            Drive::stepped),
        port(nic, {.queues = queues, .interrupts = true}) {
    port.start_receiving();
  }

  std::size_t empty_queue() {
    Frame lent[batch_size];
    const std::size_t count = port.queue().poll(lent);
    port.queue().release();
    return count;
  }

  Nic nic;
  Port port;
};

TEST(RxInterrupts, TellOfTheFrameAfterArming) {
  Receiver receiver;
  RxInterrupts& interrupts = *receiver.port.interrupts();
  interrupts.arm(0);
  EXPECT_FALSE(interrupts.wait(0, no_time)) << "nothing has come";
  receiver.nic.step(1);
  EXPECT_TRUE(interrupts.wait(0, 10s));
  EXPECT_FALSE(interrupts.wait(0, no_time)) << "once";
}

TEST(RxInterrupts, TellOfAFrameThatCameBeforeArming) {
  Receiver receiver;
  RxInterrupts& interrupts = *receiver.port.interrupts();
  receiver.nic.step(1);
  EXPECT_FALSE(interrupts.wait(0, no_time)) << "not armed";
  interrupts.arm(0);
  EXPECT_TRUE(interrupts.wait(0, 10s));
}

TEST(RxInterrupts, LeaveABusyQueueAlone) {
  Receiver receiver;
  RxInterrupts& interrupts = *receiver.port.interrupts();
  interrupts.arm(0);
  receiver.nic.step(1);
  ASSERT_TRUE(interrupts.wait(0, 10s));
  for (int i = 0; i < 10; ++i) {
    receiver.nic.step(5);
    EXPECT_EQ(receiver.empty_queue(), i == 0 ? 6u : 5u);
    EXPECT_FALSE(interrupts.wait(0, no_time)) << "not armed again";
  }
}

TEST(RxInterrupts, KeepTheirDistance) {
  Receiver receiver;
  RxInterrupts& interrupts = *receiver.port.interrupts();
  interrupts.arm(0);
  receiver.nic.step(1);
  ASSERT_TRUE(interrupts.wait(0, 10s));
  interrupts.arm(0);
  receiver.nic.step(1);
  EXPECT_FALSE(interrupts.wait(0, no_time)) << "too soon after the last one";
  receiver.nic.advance_time(std::chrono::nanoseconds(default_moderation).count());
  EXPECT_TRUE(interrupts.wait(0, 10s));
}

TEST(RxInterrupts, BelongToTheirQueues) {
  Receiver receiver(4);
  RxInterrupts& interrupts = *receiver.port.interrupts();
  for (std::uint32_t queue = 0; queue < 4; ++queue) interrupts.arm(queue);
  receiver.nic.step(1);  // no IP: to the first queue
  EXPECT_TRUE(interrupts.wait(0, 10s));
  for (std::uint32_t queue = 1; queue < 4; ++queue) EXPECT_FALSE(interrupts.wait(queue, no_time)) << queue;
}

TEST(RxInterrupts, AreRefusedByADeviceThatHasNone) {
  test::RawDevice device;
  EXPECT_THROW(RxInterrupts(device, 1, default_moderation), Error);
}

TEST(RxInterrupts, AreOffUnlessAskedFor) {
  Nic nic(nullptr, {}, Drive::stepped);
  Port port(nic, {});
  EXPECT_EQ(port.interrupts(), nullptr);
}

}  // namespace
}  // namespace ixcap::ixgbe
