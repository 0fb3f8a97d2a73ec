// Causes become interrupts as the data sheet has it: by vector, by mask, in time, and once.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <utility>
#include <vector>

#include <ixcap/driver/emulator/interrupts.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {
namespace {

using namespace ixgbe;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RecordingSink final : public InterruptSink {
 public:
  void raise(InterruptKind kind, std::uint32_t vector) noexcept override {
    kinds.push_back(kind);
    vectors.push_back(vector);
  }
  std::vector<std::uint32_t> take() { return std::exchange(vectors, {}); }

  std::vector<InterruptKind> kinds;
  std::vector<std::uint32_t> vectors;
};

class InterruptsTest : public ::testing::Test {
 protected:
  InterruptsTest() {
    interrupts.set_sink(&sink);
    write_config(0x04, 0x0006);
  }

  void write_config(std::uint32_t offset, std::uint16_t value) {
    const std::array<std::uint8_t, 2> bytes{static_cast<std::uint8_t>(value), static_cast<std::uint8_t>(value >> 8)};
    config.write(offset, bytes);
    interrupts.update();
  }
  bool intx_asserted() {
    std::array<std::uint8_t, 1> status{};
    config.read(0x06, status);
    return (status[0] & 8) != 0;
  }
  void use_msix() { write_config(0x72, 0x8000); }
  void use_msi() { write_config(0x52, 1); }

  /// As Linux sets the card up: a vector for each pair of queues, the last for everything else.
  void set_up_like_linux(std::uint32_t pairs) {
    use_msix();
    registers.set(GPIE, GPIE_MULTIPLE_MSIX | GPIE_OCD | GPIE_EIAME | 1u << 31);
    for (std::uint32_t pair = 0; pair < pairs; ++pair) {
      const std::uint32_t entry = (IVAR_VALID | pair) * 0x101;
      registers.set(IVAR, registers.get(IVAR, pair / 2) | entry << (pair % 2 * 16), pair / 2);
    }
    registers.set(IVAR_MISC, (IVAR_VALID | pairs) << 8);
    registers.set(EIAC, 0xFFFF);
    write(EIAM_EX, 0xFFFFFFFF, 0);
    write(EIAM_EX, 0xFFFFFFFF, 1);
    write(EIMS, EICR_LSC);
    write(EIMS_EX, 0xFFFFFFFF, 0);
    write(EIMS_EX, 0xFFFFFFFF, 1);
  }

  void write(const Register& reg, std::uint32_t value, std::uint32_t index = 0) { interrupts.write(reg, index, value); }
  std::uint32_t read(const Register& reg, std::uint32_t index = 0) { return interrupts.read(reg, index); }
  void write_interval(std::uint32_t vector, std::uint32_t value) {
    registers.write(EITR.offset(vector), value);
    interrupts.interval_written(vector, value);
  }

  RecordingSink sink;
  RegisterFile registers;
  ConfigSpace config{{2, 0, 0, 0, 0, 1}};
  MsixTable table;
  SteppedClock clock;
  Interrupts interrupts{registers, config, table, clock};
};

TEST_F(InterruptsTest, EachQueuePairHasItsVector) {
  set_up_like_linux(3);
  interrupts.raise_rx(0);
  interrupts.raise_tx(1);
  interrupts.raise_rx(2);
  EXPECT_THAT(sink.take(), ElementsAre(0, 1, 2));
  interrupts.raise_rx(3);
  EXPECT_THAT(sink.take(), IsEmpty()) << "IVAR has no valid entry for this queue";
  interrupts.raise_rx(4'000'000'000);
  EXPECT_THAT(sink.take(), IsEmpty());
}

TEST_F(InterruptsTest, AVectorMasksItselfUntilTheDriverIsDone) {
  set_up_like_linux(2);
  interrupts.raise_rx(1);
  interrupts.raise_rx(1);
  EXPECT_THAT(sink.take(), ElementsAre(1)) << "EIAM";
  EXPECT_EQ(read(EIMS_EX), 0xFFFFFFFDu);
  EXPECT_EQ(read(EICS), 2u) << "the second event is kept";
  write(EIMS_EX, 2);
  EXPECT_THAT(sink.take(), ElementsAre(1)) << "what came while it was disabled";
  write(EIMS_EX, 2);
  EXPECT_THAT(sink.take(), IsEmpty()) << "once";
}

TEST_F(InterruptsTest, OtherCausesHaveAVectorAndStayUntilWritten) {
  set_up_like_linux(2);
  interrupts.raise(EICR_LSC);
  EXPECT_THAT(sink.take(), ElementsAre(2));
  EXPECT_EQ(read(EICS), EICR_LSC) << "reading EICS does not clear";
  write(EICR, EICR_LSC);
  EXPECT_EQ(read(EICS), 0u);
  interrupts.raise(EICR_SDP2);
  EXPECT_THAT(sink.take(), IsEmpty()) << "not enabled";
  interrupts.raise(EICR_LSC);
  EXPECT_THAT(sink.take(), ElementsAre(2));
}

TEST_F(InterruptsTest, TheTimerHasAVectorOfItsOwn) {
  set_up_like_linux(2);
  registers.set(IVAR_MISC, (IVAR_VALID | 2u) << 8 | IVAR_VALID | 5u);
  write(EIMS, EICR_TCP_TIMER);
  interrupts.raise(EICR_TCP_TIMER | EICR_LSC);
  EXPECT_THAT(sink.take(), ElementsAre(2, 5));
}

TEST_F(InterruptsTest, SoftwareSetsCausesOfAllVectors) {
  set_up_like_linux(3);
  write(EICS_EX, 0x5);
  EXPECT_THAT(sink.take(), ElementsAre(0, 2));
  write(EICS_EX, 1u << 31, 1);
  EXPECT_THAT(sink.take(), ElementsAre(63));
  write(EICS, 0x2);
  EXPECT_THAT(sink.take(), ElementsAre(1));
}

TEST_F(InterruptsTest, DisabledCausesWaitAndClearedOnesAreForgotten) {
  set_up_like_linux(2);
  write(EIMC_EX, 0x3);
  interrupts.raise_rx(0);
  interrupts.raise_rx(1);
  EXPECT_THAT(sink.take(), IsEmpty());
  write(EICR, 0x1);
  write(EIMS, 0x3);
  EXPECT_THAT(sink.take(), ElementsAre(1));
}

TEST_F(InterruptsTest, AMaskedVectorIsPendingUntilItsHostTakesIt) {
  set_up_like_linux(2);
  table.write(16 * 1 + 12, 4, 1);
  interrupts.raise_rx(1);
  EXPECT_THAT(sink.take(), IsEmpty());
  EXPECT_EQ(table.pending(), 2u);
  table.write(16 * 1 + 12, 4, 0);
  interrupts.update();
  EXPECT_THAT(sink.take(), ElementsAre(1));
  EXPECT_EQ(table.pending(), 0u);

  write_config(0x72, 0xC000);
  interrupts.raise_rx(0);
  EXPECT_EQ(table.pending(), 1u) << "the function is masked";
  write_config(0x72, 0x8000);
  EXPECT_THAT(sink.take(), ElementsAre(0));
}

TEST_F(InterruptsTest, MessagesNeedABusMaster) {
  set_up_like_linux(1);
  write_config(0x04, 0x0002);
  interrupts.raise_rx(0);
  EXPECT_THAT(sink.take(), IsEmpty());
  write_config(0x04, 0x0006);
  EXPECT_THAT(sink.take(), ElementsAre(0));
}

TEST_F(InterruptsTest, AnIntervalKeepsMessagesApart) {
  set_up_like_linux(2);
  write_interval(1, 50u << EITR_INTERVAL_SHIFT | EITR_CNT_WDIS);  // 100 microseconds
  const auto raise_and_enable = [&] {
    interrupts.raise_rx(1);
    write(EIMS_EX, 2);
  };
  raise_and_enable();
  EXPECT_THAT(sink.take(), ElementsAre(1)) << "the first goes at once";
  raise_and_enable();
  raise_and_enable();
  clock.advance(99'999);
  interrupts.expire();
  EXPECT_THAT(sink.take(), IsEmpty());
  EXPECT_TRUE(interrupts.throttled());
  EXPECT_EQ(table.pending(), 0u) << "throttled is not masked";
  clock.advance(1);
  interrupts.expire();
  EXPECT_THAT(sink.take(), ElementsAre(1)) << "all that came, in one";
  EXPECT_FALSE(interrupts.throttled());
  interrupts.raise_rx(0);
  EXPECT_THAT(sink.take(), ElementsAre(0)) << "other vectors have their own time";
}

TEST_F(InterruptsTest, WritingTheCounterStartsItAnew) {
  set_up_like_linux(1);
  write_interval(0, 50u << EITR_INTERVAL_SHIFT);
  interrupts.raise_rx(0);
  write(EIMS_EX, 1);
  interrupts.raise_rx(0);
  EXPECT_THAT(sink.take(), ElementsAre(0));
  write_interval(0, 0);
  EXPECT_THAT(sink.take(), ElementsAre(0)) << "counter 0: now";
  EXPECT_EQ(registers.read(EITR.offset()), 0u);
}

TEST_F(InterruptsTest, ReadingClearsAllOrWithOcdOnlyTheOthers) {
  registers.set(IVAR, IVAR_VALID | 3u);
  interrupts.raise_rx(0);
  interrupts.raise(EICR_LSC | EICR_TCP_TIMER);
  EXPECT_EQ(read(EICR), 0x8u | EICR_LSC | EICR_TCP_TIMER);
  EXPECT_EQ(read(EICR), 0u);
  registers.set(GPIE, GPIE_OCD);
  interrupts.raise_rx(0);
  interrupts.raise(EICR_LSC);
  EXPECT_EQ(read(EICR), 0x8u | EICR_LSC);
  EXPECT_EQ(read(EICR), 0x8u);
}

TEST_F(InterruptsTest, MsiIsOneMessageForAll) {
  use_msi();
  registers.set(IVAR, IVAR_VALID | (IVAR_VALID | 1u) << 8);
  write(EIMS, 0x3 | EICR_LSC);
  interrupts.raise_rx(0);
  interrupts.raise_tx(0);
  interrupts.raise(EICR_LSC);
  EXPECT_THAT(sink.take(), ElementsAre(0, 0, 0));
  EXPECT_EQ(sink.kinds.front(), InterruptKind::msi);
  EXPECT_EQ(read(EICR), 0x3u | EICR_LSC);
}

TEST_F(InterruptsTest, AMaskedMsiIsPending) {
  use_msi();
  write(EIMS, 1);
  write_config(0x60, 1);
  write(EICS, 1);
  EXPECT_THAT(sink.take(), IsEmpty());
  write_config(0x60, 0);
  EXPECT_THAT(sink.take(), ElementsAre(0));
}

TEST_F(InterruptsTest, ThePinIsALevel) {
  write(EIMS, 0x1 | EICR_LSC);
  interrupts.raise(EICR_LSC);
  EXPECT_THAT(sink.take(), ElementsAre(0));
  EXPECT_EQ(sink.kinds.front(), InterruptKind::intx);
  EXPECT_TRUE(intx_asserted());
  read(EICR);
  EXPECT_FALSE(intx_asserted());
  write(EICS, 1);
  EXPECT_TRUE(intx_asserted());
  write(EIMC, 1);
  EXPECT_FALSE(intx_asserted());
  sink.take();
  write_config(0x04, 0x0406);
  write(EIMS, 1);
  EXPECT_THAT(sink.take(), IsEmpty()) << "the host has disabled the pin";
  EXPECT_TRUE(intx_asserted()) << "but may look";
}

TEST_F(InterruptsTest, ReadingCausesMasksWhatEiamNames) {
  write(EIAM, 0xFFFF);
  EXPECT_EQ(read(EIAM_EX), 0xFFFFu);
  write(EIMS, 0x1 | EICR_LSC);
  write(EICS, 1);
  sink.take();
  EXPECT_EQ(read(EICR), 1u);
  EXPECT_EQ(read(EIMS), EICR_LSC);
  write(EICS, 1);
  EXPECT_THAT(sink.take(), ElementsAre(0)) << "setting a cause that EIAM names enables it";
}

/// What the diagnostics of Linux do with MSI: for each of ten causes, only the enabled one interrupts.
TEST_F(InterruptsTest, OnlyEnabledCausesInterrupt) {
  use_msi();
  write(EIMC, 0xFFFFFFFF);
  for (std::uint32_t cause = 0; cause < 10; ++cause) {
    const std::uint32_t mask = 1u << cause;
    write(EIMC, ~mask & 0x7FFF);
    write(EICS, ~mask & 0x7FFF);
    EXPECT_THAT(sink.take(), IsEmpty());
    write(EIMS, mask);
    write(EICS, mask);
    EXPECT_THAT(sink.take(), ElementsAre(0));
    EXPECT_NE(read(EICR) & mask, 0u);
    write(EIMC, mask);
  }
}

TEST_F(InterruptsTest, ResetForgetsEverything) {
  set_up_like_linux(2);
  table.write(12, 4, 1);
  interrupts.raise_rx(0);
  interrupts.reset();
  EXPECT_EQ(table.pending(), 0u);
  EXPECT_EQ(read(EIMS), 0u);
  EXPECT_EQ(read(EICS), 0u);
  table.write(12, 4, 0);
  interrupts.update();
  EXPECT_THAT(sink.take(), IsEmpty());
}

TEST_F(InterruptsTest, GarbageNeverRaisesAVectorThatIsNotThere) {
  std::mt19937 random(1);
  const std::array<const Register*, 9> kept{&EICR, &EICS, &EIMS, &EIMC, &EIAM, &EICS_EX, &EIMS_EX, &EIMC_EX, &EIAM_EX};
  for (int i = 0; i < 100'000; ++i) {
    const auto value = static_cast<std::uint32_t>(random());
    const Register& reg = *kept[random() % kept.size()];
    const auto index = static_cast<std::uint32_t>(random() % reg.count);
    switch (random() % 8) {
      case 0:
        read(reg, index);
        break;
      case 1:
        registers.set(IVAR, value, static_cast<std::uint32_t>(random() % IVAR.count));
        break;
      case 2:
        registers.set(random() % 2 == 0 ? GPIE : IVAR_MISC, value);
        interrupts.update();
        break;
      case 3:
        write_interval(static_cast<std::uint32_t>(random() % EITR.count), value);
        break;
      case 4:
        interrupts.raise_rx(value % 200);
        break;
      case 5:
        write_config(std::array<std::uint32_t, 4>{0x04, 0x52, 0x60, 0x72}[random() % 4],
                     static_cast<std::uint16_t>(value));
        break;
      case 6:
        clock.advance(value % 100'000);
        interrupts.expire();
        break;
      default:
        write(reg, value, index);
    }
    for (const std::uint32_t vector : sink.take()) ASSERT_LT(vector, 64u);
    sink.kinds.clear();
  }
}

}  // namespace
}  // namespace ixcap::emulator
