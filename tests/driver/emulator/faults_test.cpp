// Each fault, made to happen to a NIC that moves only when it is told to: it does what it says, no more, and ends when
// it is taken back.

#include <gtest/gtest.h>

#include <ixcap/driver/emulator/mix_traffic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/port.hpp>

#include "tests/driver/emulator/rings.hpp"
#include "tests/driver/list_traffic.hpp"

namespace ixcap::emulator {
namespace {

using namespace ixgbe;
using test::ListWire;
using test::make_frame;
using test::Packet;
using test::ReceiveRing;
using test::TransmitRing;

constexpr Rate timed{Rate::Unit::bits_per_second, 10e9};

std::unique_ptr<Traffic> mix(std::string_view options) {
  return open_traffic(parse_traffic("mix?" + std::string(options)));
}

void expect_balanced(const WireCounts& wire) {
  EXPECT_EQ(wire.frames, wire.rejected() + wire.not_admitted + wire.discarded + wire.no_descriptor + wire.missed +
                             wire.dma_faults + wire.delivered + wire.waiting);
}

/// Receives all the traffic of `nic`, releasing as it goes; answers how many frames came.
std::uint64_t receive_all(Nic& nic, Port& port) {
  std::uint64_t received = 0;
  Frame lent[batch_size];
  for (int idle = 0; idle < 1000; ++idle) {
    const std::size_t moved = nic.step(64);
    const std::size_t count = port.queue().poll(lent);
    received += count;
    port.queue().release();
    if (moved != 0 || count != 0) idle = 0;
    if (nic.traffic_ended() && count == 0) break;
  }
  return received;
}

WireCounts counts_with(std::string_view faults) {
  Nic nic(mix("count=4000&size=64"), {}, Drive::stepped);
  nic.set_faults(parse_faults(faults));
  Port port(nic, {});
  port.start_receiving();
  const std::uint64_t received = receive_all(nic, port);
  const WireCounts wire = nic.counts();
  EXPECT_EQ(wire.frames, 4000u);
  EXPECT_EQ(received, wire.delivered);
  expect_balanced(wire);
  return wire;
}

TEST(Faults, DamageTheirShareOfTheFrames) {
  const WireCounts wire = counts_with("crc-errors=0.1,runts=0.2,oversize=0.05");
  EXPECT_NEAR(static_cast<double>(wire.crc_errors), 400, 60);
  EXPECT_NEAR(static_cast<double>(wire.undersize), 800, 90);
  EXPECT_NEAR(static_cast<double>(wire.oversize), 200, 50);
  EXPECT_EQ(wire.rejected(), wire.crc_errors + wire.undersize + wire.oversize);
  EXPECT_EQ(counts_with("bad-frames=1").rejected(), 4000u);
}

TEST(Faults, AreTheSameWithTheSameSeed) {
  const auto crc_errors = [](std::string_view faults) { return counts_with(faults).crc_errors; };
  EXPECT_EQ(crc_errors("crc-errors=0.3"), crc_errors("crc-errors=0.3"));
  EXPECT_EQ(crc_errors("crc-errors=0.3"), crc_errors("crc-errors=0.3,late-write-back=0.5,starvation=0.5"))
      << "frames have dice of their own";
  EXPECT_NE(crc_errors("crc-errors=0.3"), crc_errors("crc-errors=0.3,seed=2"));
}

TEST(Faults, WriteDescriptorsBackLateButInTheEnd) {
  Nic nic(mix("count=64&size=64"), {}, Drive::stepped);
  test::bring_up(nic);
  nic.set_faults(parse_faults("late-write-back=1"));
  ReceiveRing ring(nic);
  EXPECT_EQ(nic.step(20), 20u);
  EXPECT_EQ(ring.filled(), 0u);
  EXPECT_EQ(nic.counts().delivered, 20u) << "the data is there";
  nic.set_faults({});
  nic.step(0);
  EXPECT_EQ(ring.filled(), 20u);
  nic.set_faults(parse_faults("late-write-back=1"));
  unsigned passes = 0;
  for (nic.step(10); ring.filled() == 20 && passes < 100; ++passes) nic.step(0);
  EXPECT_LE(passes, Faults::most_late_passes) << "none is late for ever";
  EXPECT_EQ(ring.filled(), 30u);
}

TEST(Faults, LateDescriptorsAreNotLostWhenTheQueueStops) {
  Nic nic(mix("count=100&size=64"), {}, Drive::stepped);
  test::bring_up(nic);
  nic.set_faults(parse_faults("late-write-back=1"));
  ReceiveRing ring(nic);
  nic.step(5);
  nic.write(RXCTRL.offset(), 0);
  nic.step(0);
  EXPECT_EQ(ring.filled(), 5u) << "nobody listens any more";
  nic.write(RXCTRL.offset(), RXCTRL_RXEN);
  nic.step(5);
  EXPECT_EQ(ring.filled(), 5u);
  nic.write(RXDCTL.offset(), 0);
  EXPECT_EQ(ring.filled(), 10u);
}

TEST(Faults, LateDescriptorsOfARingThatIsGoneAreNotWritten) {
  Nic nic(mix("count=100&size=64"), {}, Drive::stepped);
  test::bring_up(nic);
  nic.set_faults(parse_faults("late-write-back=1"));
  {
    ReceiveRing ring(nic);
    nic.step(5);
  }
  for (int pass = 0; pass < 20; ++pass) nic.step(0);
  nic.write(RXDCTL.offset(), 0);
  expect_balanced(nic.counts());
}

/// Notes the order in which queues are announced.
struct Announcements final : InterruptSink {
  void raise(InterruptKind, std::uint32_t vector) noexcept override { vectors.push_back(vector); }
  std::vector<std::uint32_t> vectors;
};

/// Two queues, each with a vector of its own.
struct TwoQueues {
  TwoQueues() {
    test::bring_up(nic);
    nic.connect(&wire);
    nic.set_interrupt_sink(&sink);
    constexpr std::uint8_t msix_enable[] = {0x3F, 0x80};
    nic.write_config(0x72, msix_enable);
    constexpr std::uint8_t memory_and_master[] = {0x06, 0};
    nic.write_config(4, memory_and_master);
    for (std::uint32_t vector = 0; vector < 3; ++vector) nic.write_bar(4, vector * 16 + 12, 4, 0);
    nic.write(GPIE.offset(), GPIE_MULTIPLE_MSIX);
    nic.write(IVAR.offset(), (IVAR_VALID | 1u) | (IVAR_VALID | 2u) << 16);
    nic.write(EIMS.offset(), 0x6);
    nic.write(EIAC.offset(), 0x6);
    nic.write(ETQF.offset(), 0x88F7 | ETQF_EN);
    nic.write(ETQS.offset(), 1u << ETQS_QUEUE_SHIFT | ETQS_QEN);
  }

  /// A frame for each queue, in one pass.
  void receive() {
    wire.coming.push_back(Packet(60, 2));
    Packet other(60, 2);
    other[12] = 0x88;
    other[13] = 0xF7;
    wire.coming.push_back(other);
    nic.step(2);
  }

  ListWire wire;
  Announcements sink;
  Nic nic{nullptr, {}, Drive::stepped};
  ReceiveRing first{nic, 0};
  ReceiveRing second{nic, 1};
};

TEST(Faults, ReorderWriteBacksOfDifferentQueuesOnly) {
  TwoQueues queues;
  queues.nic.set_faults(parse_faults("reordered-write-back=1"));
  for (int pass = 0; pass < 20; ++pass) queues.receive();
  EXPECT_EQ(queues.first.filled(), 20u);
  EXPECT_EQ(queues.second.filled(), 20u);
  ASSERT_EQ(queues.sink.vectors.size(), 40u);
  std::uint32_t reordered = 0;
  for (std::size_t i = 0; i < 40; i += 2) reordered += queues.sink.vectors[i] == 2 ? 1 : 0;
  EXPECT_GT(reordered, 0u);
  EXPECT_LT(reordered, 20u);
}

TEST(Faults, LoseInterruptsButNotTheirCauses) {
  TwoQueues queues;
  queues.nic.set_faults(parse_faults("lost-interrupts=1"));
  queues.receive();
  EXPECT_TRUE(queues.sink.vectors.empty());
  EXPECT_EQ(queues.first.filled(), 1u);
  queues.nic.write(EICS.offset(), 0x2);
  EXPECT_TRUE(queues.sink.vectors.empty());
  queues.nic.set_faults({});
  queues.nic.write(EICS.offset(), 0x2);
  EXPECT_EQ(queues.sink.vectors.size(), 1u) << "what a watchdog does";
}

TEST(Faults, StarveQueuesThatHaveDescriptors) {
  Nic nic(mix("count=100&size=64"), timed, Drive::stepped);
  test::bring_up(nic);
  nic.set_faults(parse_faults("starvation=1"));
  ReceiveRing ring(nic);
  EXPECT_EQ(nic.step(10), 10u);
  EXPECT_EQ(nic.counts().no_descriptor, 10u);
  EXPECT_EQ(nic.read(QPRDC.offset()), 10u);
  nic.set_faults({});
  EXPECT_EQ(nic.step(10), 10u);
  EXPECT_EQ(ring.filled(), 10u);
  expect_balanced(nic.counts());
}

TEST(Faults, WriteWhereNoMemoryIs) {
  Nic nic(mix("count=100&size=64"), {}, Drive::stepped);
  test::bring_up(nic);
  nic.set_faults(parse_faults("dma-faults=1"));
  ReceiveRing ring(nic);
  nic.step(10);
  EXPECT_EQ(ring.filled(), 0u);
  EXPECT_EQ(nic.counts().dma_faults, 10u);
  EXPECT_NE(nic.read(EICR.offset()) & EICR_PCI, 0u);
  EXPECT_EQ(nic.read(GPRC.offset()), 10u);
  expect_balanced(nic.counts());
}

TEST(Faults, TellOfAnErrorInTheCardsMemory) {
  Nic nic(mix("count=100&size=64"), {}, Drive::stepped);
  test::bring_up(nic);
  nic.set_faults(parse_faults("ecc-error=10"));
  const ReceiveRing ring(nic);
  nic.step(9);
  EXPECT_EQ(nic.read(EICR.offset()) & EICR_ECC, 0u);
  nic.step(1);
  EXPECT_NE(nic.read(EICR.offset()) & EICR_ECC, 0u);
  nic.step(20);
  EXPECT_EQ(nic.read(EICR.offset()) & EICR_ECC, 0u) << "it was one";
  expect_balanced(nic.counts());
}

TEST(Faults, FlapTheLink) {
  Nic nic(mix("count=100&size=64"), {}, Drive::stepped);
  test::bring_up(nic);
  ReceiveRing ring(nic);
  nic.set_faults(parse_faults("link-flap=1ms"));
  const auto up = [&nic] { return (nic.read(LINKS.offset()) & LINKS_UP) != 0; };
  nic.read(EICR.offset());
  EXPECT_EQ(nic.step(1), 1u);
  nic.advance_time(1'000'000);
  nic.step(0);
  EXPECT_FALSE(up());
  EXPECT_NE(nic.read(EICR.offset()) & EICR_LSC, 0u);
  EXPECT_EQ(nic.step(5), 0u) << "the wire waits";
  nic.advance_time(1'000'000);
  nic.step(0);
  EXPECT_TRUE(up());
  nic.advance_time(1'000'000);
  nic.step(0);
  EXPECT_FALSE(up());
  nic.set_faults({});
  EXPECT_TRUE(up());
  nic.set_carrier(false);
  nic.set_faults(parse_faults("link-flap=1ms"));
  EXPECT_FALSE(up()) << "nobody was there before";
}

TEST(Faults, ResetThatSticks) {
  Nic nic(nullptr, {}, Drive::stepped);
  nic.set_faults(parse_faults("stuck-reset"));
  nic.write(FCTRL.offset(), FCTRL_UPE);
  nic.write(CTRL.offset(), CTRL_RST);
  EXPECT_NE(nic.read(CTRL.offset()) & CTRL_RST, 0u);
  EXPECT_EQ(nic.read(FCTRL.offset()), FCTRL_UPE) << "nothing was reset";
  EXPECT_THROW(Port(nic, {}), Error);
  nic.set_faults({});
  EXPECT_EQ(nic.read(CTRL.offset()) & CTRL_RST, 0u);
  EXPECT_EQ(nic.read(FCTRL.offset()), 0u);
  EXPECT_NO_THROW(Port(nic, {}));
}

TEST(Faults, EnableBitsThatStick) {
  Nic nic(nullptr, {}, Drive::stepped);
  nic.write(RXDCTL.offset(3), RXDCTL_ENABLE);
  nic.set_faults(parse_faults("stuck-enable"));
  nic.write(RXDCTL.offset(3), RXDCTL_VME);
  EXPECT_EQ(nic.read(RXDCTL.offset(3)), RXDCTL_ENABLE | RXDCTL_VME);
  nic.write(TXDCTL.offset(5), TXDCTL_ENABLE);
  EXPECT_EQ(nic.read(TXDCTL.offset(5)), 0u);
  Port port(nic, {});
  EXPECT_THROW(port.start_receiving(), Error);
  nic.set_faults({});
  EXPECT_NO_THROW(port.start_receiving());
}

TEST(Faults, TransmitThatHangs) {
  Nic nic(nullptr, {}, Drive::stepped);
  ListWire wire;
  nic.connect(&wire);
  test::bring_up(nic);
  TransmitRing ring(nic);
  nic.set_faults(parse_faults("transmit-hang"));
  ring.add(Packet(60, 2), TransmitRing::whole);
  ring.ring_doorbell();
  nic.step(0);
  EXPECT_TRUE(wire.sent.empty());
  EXPECT_EQ(nic.read(TDH.offset()), 0u);
  EXPECT_FALSE(ring[0].done());
  nic.set_faults({});
  nic.step(0);
  EXPECT_EQ(wire.sent.size(), 1u);
}

TEST(Faults, AReceiveQueueThatHangsUntilTheReset) {
  for (const Rate rate : {Rate{}, timed}) {
    Nic nic(mix("count=1000&size=64"), rate, Drive::stepped);
    nic.set_faults(parse_faults("receive-hang=30"));
    Port port(nic, {});
    port.start_receiving();
    Frame lent[batch_size];
    EXPECT_EQ(nic.step(50), 50u);
    EXPECT_EQ(port.queue().poll(lent), 30u) << "to the frame";
    port.queue().release();
    EXPECT_EQ(nic.step(10), 10u);
    EXPECT_EQ(port.queue().poll(lent), 0u);
    EXPECT_EQ(nic.read(RDH.offset()), 30u) << "stands still, with descriptors before it";
    EXPECT_EQ(nic.read(RDT.offset()), 29u);
    EXPECT_EQ(nic.read(QPRDC.offset()), 30u);
    nic.set_faults({});
    EXPECT_EQ(nic.step(10), 10u);
    EXPECT_EQ(port.queue().poll(lent), 0u) << "only a reset helps";
    nic.set_faults(parse_faults("receive-hang=30"));
    port.restart();
    port.start_receiving();
    EXPECT_EQ(nic.step(40), 40u);
    EXPECT_EQ(port.queue().poll(lent), 30u) << "and again";
    EXPECT_EQ(nic.counts().no_descriptor, 50u);
    expect_balanced(nic.counts());
  }
}

TEST(Faults, AQueueThatHangsHoldsUpNoOther) {
  TwoQueues queues;
  queues.nic.set_faults(parse_faults("receive-hang=10"));
  for (int pass = 0; pass < 20; ++pass) queues.receive();
  EXPECT_EQ(queues.first.filled(), 5u);
  EXPECT_EQ(queues.second.filled(), 20u);
  expect_balanced(queues.nic.counts());
}

TEST(Faults, ACardThatIsPulledOutIsNotThere) {
  Nic nic(mix("count=1000&size=64"), {}, Drive::stepped);
  test::bring_up(nic);
  constexpr std::uint8_t memory_and_master[] = {0x06, 0};
  nic.write_config(4, memory_and_master);
  ReceiveRing ring(nic);
  nic.set_faults(parse_faults("remove-after=30"));
  EXPECT_EQ(nic.step(20), 20u);
  EXPECT_FALSE(nic.removed());
  EXPECT_EQ(nic.step(20), 10u) << "to the frame";
  nic.step(20);
  EXPECT_TRUE(nic.removed());
  EXPECT_EQ(ring.filled(), 30u);
  EXPECT_EQ(nic.read(STATUS.offset()), 0xFFFFFFFFu);
  EXPECT_EQ(nic.read_bar(0, STATUS.offset(), 4), 0xFFFFFFFFu);
  EXPECT_EQ(nic.read_bar(0, STATUS.offset(), 8), ~std::uint64_t{0});
  EXPECT_EQ(nic.read_bar(4, 0, 4), 0xFFFFFFFFu);
  std::uint8_t vendor[2] = {};
  nic.read_config(0, vendor);
  EXPECT_EQ(vendor[0] & vendor[1], 0xFF);
  nic.write(CTRL.offset(), CTRL_RST);
  nic.enable_bus_master(true);
  nic.write_config(4, memory_and_master);
  EXPECT_EQ(nic.step(20), 0u);
  EXPECT_EQ(nic.read(STATUS.offset()), 0xFFFFFFFFu);
  nic.set_faults({});
  EXPECT_FALSE(nic.removed());
  EXPECT_EQ(nic.read(RXCTRL.offset()), 0u) << "as after power-on";
  nic.read_config(0, vendor);
  EXPECT_EQ(vendor[0], 0x86);
}

TEST(Faults, ADriverOutlivesACardThatIsPulledOut) {
  Nic nic(mix("count=1000&size=64"), {}, Drive::stepped);
  Port port(nic, {});
  port.start_receiving();
  nic.step(10);
  port.statistics().update();
  nic.set_faults(parse_faults("remove"));
  port.statistics().update();
  EXPECT_EQ(port.statistics().total().total_packets, 10u) << "all ones are no counts";
  Frame lent[batch_size];
  EXPECT_EQ(port.queue().poll(lent), 10u);
  port.queue().release();
  port.stop_receiving();
}

TEST(Faults, HappenToFramesOfAWireToo) {
  TwoQueues queues;
  queues.nic.set_faults(parse_faults("crc-errors=1"));
  queues.receive();
  EXPECT_EQ(queues.nic.counts().crc_errors, 2u);
  EXPECT_EQ(queues.first.filled(), 0u);
}

}  // namespace
}  // namespace ixcap::emulator
