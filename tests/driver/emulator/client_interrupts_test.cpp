// Interrupts go to the counters that the client has given for them, and the pin waits to be unmasked.

#include "tests/driver/emulator/vfio_user_session_fixture.hpp"

namespace ixcap::emulator {
namespace {

using ClientInterruptsTest = VfioUserSessionTest;

TEST_F(ClientInterruptsTest, DeliversMessageInterrupts) {
  const FileDescriptor counter = listen(wire::irq_msix, 5);
  function_.raise(InterruptKind::msix, 5);
  function_.raise(InterruptKind::msix, 5);
  EXPECT_EQ(take_events(counter.number()), 2u);
  function_.raise(InterruptKind::msix, 6);
  function_.raise(InterruptKind::msix, 64);
  function_.raise(InterruptKind::msix, 0xffffffff);
  EXPECT_EQ(take_events(counter.number()), 0u);
  const FileDescriptor message = listen(wire::irq_msi, 0);
  function_.raise(InterruptKind::msi, 0);
  EXPECT_EQ(take_events(message.number()), 1u);
}

TEST_F(ClientInterruptsTest, DetachesInterrupts) {
  const FileDescriptor counter = listen(wire::irq_msix, 5);
  EXPECT_EQ(set_irqs(attach, wire::irq_msix, 5, 1), 0) << "no files: detached";
  function_.raise(InterruptKind::msix, 5);
  EXPECT_EQ(take_events(counter.number()), 0u);
  const FileDescriptor again = listen(wire::irq_msix, 5);
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 0, 0), 0) << "all of them";
  function_.raise(InterruptKind::msix, 5);
  EXPECT_EQ(take_events(again.number()), 0u);
}

TEST_F(ClientInterruptsTest, FiresInterruptsOnDemand) {
  const FileDescriptor counter = listen(wire::irq_msix, 5);
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 4, 2), 0);
  EXPECT_EQ(take_events(counter.number()), 1u);
  const std::uint32_t by_bools = wire::irq_data_bool | wire::irq_action_trigger;
  EXPECT_EQ(set_irqs(by_bools, wire::irq_msix, 4, 2, {}, {1, 0}), 0);
  EXPECT_EQ(take_events(counter.number()), 0u);
  EXPECT_EQ(set_irqs(by_bools, wire::irq_msix, 4, 2, {}, {0, 1}), 0);
  EXPECT_EQ(take_events(counter.number()), 1u);
}

TEST_F(ClientInterruptsTest, MasksThePinWhenItIsRaisedUntilItIsUnmasked) {
  const FileDescriptor counter = listen(wire::irq_intx, 0);
  function_.set_pin(true);
  EXPECT_EQ(take_events(counter.number()), 1u);
  function_.raise(InterruptKind::intx, 0);
  EXPECT_EQ(take_events(counter.number()), 0u) << "masked";
  function_.set_pin(false);
  EXPECT_EQ(set_irqs(unmask, wire::irq_intx, 0, 1), 0);
  EXPECT_EQ(take_events(counter.number()), 1u) << "what was raised meanwhile";
  EXPECT_EQ(set_irqs(unmask, wire::irq_intx, 0, 1), 0);
  EXPECT_EQ(take_events(counter.number()), 0u);
  function_.set_pin(true);
  EXPECT_EQ(take_events(counter.number()), 1u);
  EXPECT_EQ(set_irqs(unmask, wire::irq_intx, 0, 1), 0);
  EXPECT_EQ(take_events(counter.number()), 1u) << "the pin is still asserted";
}

TEST_F(ClientInterruptsTest, MasksThePinOnDemand) {
  const FileDescriptor counter = listen(wire::irq_intx, 0);
  EXPECT_EQ(set_irqs(wire::irq_data_none | wire::irq_action_mask, wire::irq_intx, 0, 1), 0);
  function_.set_pin(true);
  EXPECT_EQ(take_events(counter.number()), 0u);
  EXPECT_EQ(set_irqs(unmask, wire::irq_intx, 0, 1), 0);
  EXPECT_EQ(take_events(counter.number()), 1u);
}

TEST_F(ClientInterruptsTest, TellsWhoBeginsToListenOfAPinThatIsAsserted) {
  function_.set_pin(true);
  const FileDescriptor counter = listen(wire::irq_intx, 0);
  EXPECT_EQ(take_events(counter.number()), 1u);
}

TEST_F(ClientInterruptsTest, NeverWaitsForACounterThatIsFull) {
  FileDescriptor counter(::eventfd(0, EFD_CLOEXEC));
  std::vector<FileDescriptor> files;
  files.emplace_back(::dup(counter.number()));
  EXPECT_EQ(set_irqs(attach, wire::irq_msix, 0, 1, std::move(files)), 0);
  const std::uint64_t full = huge - 1;
  ASSERT_EQ(::write(counter.number(), &full, sizeof full), 8);
  function_.raise(InterruptKind::msix, 0);
  EXPECT_EQ(take_events(counter.number()), full);
}

TEST_F(ClientInterruptsTest, RefusesInterruptsThatItDoesNotHave) {
  EXPECT_EQ(set_irqs(fire, 5, 0, 0), EINVAL);
  EXPECT_EQ(set_irqs(fire, 0xffffffff, 0, 1), EINVAL);
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 0, 65), EINVAL);
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 65, 0), EINVAL);
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 0xffffffff, 2), EINVAL) << "the sum must not wrap";
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 2, 0xffffffff), EINVAL);
}

TEST_F(ClientInterruptsTest, RefusesConfusedInterruptRequests) {
  EXPECT_EQ(set_irqs(0, wire::irq_msix, 0, 1), EINVAL);
  EXPECT_EQ(set_irqs(fire | wire::irq_data_bool, wire::irq_msix, 0, 1, {}, {1}), EINVAL);
  EXPECT_EQ(set_irqs(fire | wire::irq_action_mask, wire::irq_msix, 0, 1), EINVAL);
  EXPECT_EQ(set_irqs(fire | 1 << 6, wire::irq_msix, 0, 1), EINVAL);
  EXPECT_EQ(set_irqs(wire::irq_data_bool | wire::irq_action_trigger, wire::irq_msix, 0, 2, {}, {1}), EINVAL);
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 0, 1, {}, {1}), EINVAL);
  EXPECT_EQ(set_irqs(unmask, wire::irq_msix, 0, 1), ENOTSUP);
  EXPECT_EQ(set_irqs(wire::irq_data_eventfd | wire::irq_action_unmask, wire::irq_intx, 0, 1), ENOTSUP);
  EXPECT_EQ(ask(Command::device_set_irqs, payload_of(wire::SetIrqs{19, fire, 2, 0, 1})).error, EINVAL);
  EXPECT_EQ(ask(Command::device_set_irqs, Bytes(19)).error, EINVAL);
}

TEST_F(ClientInterruptsTest, RefusesFilesThatAreNoEventCounters) {
  std::vector<FileDescriptor> files;
  files.push_back(memory_file(1));
  EXPECT_EQ(set_irqs(attach, wire::irq_msix, 0, 1, std::move(files)), EINVAL);
  std::vector<FileDescriptor> too_few;
  too_few.push_back(event_counter());
  EXPECT_EQ(set_irqs(attach, wire::irq_msix, 0, 2, std::move(too_few)), EINVAL);
  std::vector<FileDescriptor> unasked;
  unasked.push_back(event_counter());
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 0, 1, std::move(unasked)), EINVAL);
}

}  // namespace
}  // namespace ixcap::emulator
