// What each message of a vfio-user client does to a PCI function, and that a message which is not in order is refused
// and does nothing. (DMA_MAP and DMA_UNMAP: client_memory_test.cpp; SET_IRQS: client_interrupts_test.cpp.)

#include <array>
#include <string>

#include "tests/driver/emulator/vfio_user_session_fixture.hpp"

namespace ixcap::emulator {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class VfioUserVersion : public testing::Test {
 protected:
  /// The answer's error, and whole length.
  std::pair<int, std::size_t> negotiate(const Bytes& payload) {
    pci::VfioUserMessage message;
    message.header.command = static_cast<std::uint16_t>(Command::version);
    message.payload = payload;
    EXPECT_EQ(session_.handle(message), VfioUserSession::Next::reply);
    return {session_.refusal().error, session_.reply().size()};
  }

  MemoryFunction function_;
  VfioUserSession session_{function_};
};

TEST_F(VfioUserVersion, IsAnsweredWithCapabilitiesNoLongerThanTheRequest) {
  const Bytes request = version_payload(0, client_capabilities);
  const auto [error, size] = negotiate(request);
  EXPECT_EQ(error, 0);
  EXPECT_LE(size, sizeof(wire::Header) + request.size());
  const auto reply = session_.reply();
  EXPECT_EQ(reply.back(), 0);
  const std::string json(reply.begin() + 20, reply.end() - 1);
  EXPECT_EQ(json, R"({"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"write_multiple":true}})");
}

TEST_F(VfioUserVersion, IsAnsweredWithoutCapabilitiesWhereTheyDoNotFit) {
  for (const Bytes& request : {payload_of(wire::Version{0, 0}), version_payload(0, "{}")}) {
    VfioUserSession session(function_);
    pci::VfioUserMessage message;
    message.header.command = static_cast<std::uint16_t>(Command::version);
    message.payload = request;
    session.handle(message);
    EXPECT_EQ(session.refusal().error, 0);
    EXPECT_THAT(session.reply(), SizeIs(sizeof(wire::Header) + sizeof(wire::Version)));
  }
}

TEST_F(VfioUserVersion, OfAnotherKindIsRefused) {
  EXPECT_EQ(negotiate(version_payload(1, client_capabilities)).first, EINVAL);
  EXPECT_EQ(negotiate({0, 0, 0}).first, EINVAL);
  EXPECT_EQ(negotiate({}).first, EINVAL);
  Bytes endless = version_payload(0, client_capabilities);
  endless.back() = 'x';
  EXPECT_EQ(negotiate(endless).first, EINVAL);
  EXPECT_EQ(negotiate(version_payload(0, client_capabilities)).first, 0) << "a refused one counts for nothing";
}

TEST_F(VfioUserVersion, ComesFirst) {
  pci::VfioUserMessage message;
  message.header.command = static_cast<std::uint16_t>(Command::device_reset);
  session_.handle(message);
  EXPECT_EQ(session_.refusal().error, EINVAL);
  EXPECT_EQ(function_.resets, 0u);
}

TEST_F(VfioUserSessionTest, AgreesUponTheVersionOnce) {
  EXPECT_EQ(ask(Command::version, version_payload(0, client_capabilities)).error, EINVAL);
}

TEST_F(VfioUserSessionTest, TellsOfTheDevice) {
  const auto info = ask_structure(Command::device_get_info, wire::DeviceInfo{16, 0, 0, 0});
  EXPECT_EQ(info.argsz, 16u);
  EXPECT_EQ(info.flags, wire::device_reset_supported | wire::device_is_pci);
  EXPECT_EQ(info.regions, 9u);
  EXPECT_EQ(info.irqs, 5u);
  EXPECT_EQ(ask(Command::device_get_info, payload_of(wire::DeviceInfo{15, 0, 0, 0})).error, EINVAL);
  EXPECT_EQ(ask(Command::device_get_info, {}).error, EINVAL);
}

TEST_F(VfioUserSessionTest, TellsOfItsRegions) {
  const auto sizes = std::to_array<std::uint64_t>({MemoryFunction::bar_bytes, 0, 0, 0, 0, 0, 0, 4096, 0});
  for (std::uint32_t index = 0; index < sizes.size(); ++index) {
    const auto info = ask_structure(Command::device_get_region_info, wire::RegionInfo{32, 0, index, 0, 0, 0});
    EXPECT_EQ(info.index, index);
    EXPECT_EQ(info.size, sizes[index]) << index;
    EXPECT_EQ(info.flags, sizes[index] == 0 ? 0 : wire::region_readable | wire::region_writable)
        << "mapping a region would turn off posted writes in QEMU";
    EXPECT_EQ(session_->reply_file(), -1);
  }
  for (const std::uint32_t index : {10u, 0xffffffffu}) {
    EXPECT_EQ(ask(Command::device_get_region_info, payload_of(wire::RegionInfo{32, 0, index, 0, 0, 0})).error, EINVAL);
  }
  EXPECT_EQ(ask(Command::device_get_region_info, payload_of(wire::RegionInfo{31, 0, 0, 0, 0, 0})).error, EINVAL);
}

TEST_F(VfioUserSessionTest, TellsOfItsInterrupts) {
  const auto counts = std::to_array<std::uint32_t>({1, 1, MemoryFunction::msix_vectors, 1, 1});
  for (std::uint32_t index = 0; index < counts.size(); ++index) {
    const auto info = ask_structure(Command::device_get_irq_info, wire::IrqInfo{16, 0, index, 0});
    EXPECT_EQ(info.count, counts[index]);
    EXPECT_EQ(info.flags,
              index == 0 ? wire::irq_eventfd | wire::irq_maskable | wire::irq_automasked : wire::irq_eventfd);
  }
  EXPECT_EQ(ask(Command::device_get_irq_info, payload_of(wire::IrqInfo{16, 0, 5, 0})).error, EINVAL);
  EXPECT_EQ(ask(Command::device_get_irq_info, payload_of(wire::IrqInfo{8, 0, 0, 0})).error, EINVAL);
}

TEST_F(VfioUserSessionTest, ReadsConfigurationSpaceInPiecesAndAtOnce) {
  EXPECT_THAT(read(wire::config_region, 0, 2).payload, ElementsAre(0x86, 0x80));
  EXPECT_THAT(read(wire::config_region, 2, 2).payload, ElementsAre(0xfb, 0x10));
  EXPECT_THAT(read(wire::config_region, 0, 4096).payload, SizeIs(4096));
  EXPECT_EQ(write(wire::config_region, 4, {6, 0}), 0);
  EXPECT_THAT(read(wire::config_region, 4, 1).payload, ElementsAre(6));
  EXPECT_EQ(read(wire::config_region, 4095, 2).error, EINVAL);
  EXPECT_EQ(write(wire::config_region, 4096, {1}), EINVAL);
}

TEST_F(VfioUserSessionTest, PassesAccessesToTheBarAsTheyAre) {
  EXPECT_EQ(write(0, 8, {1}), 0);
  EXPECT_EQ(write(0, 10, {1, 2}), 0);
  EXPECT_EQ(write(0, 12, {1, 2, 3, 4}), 0);
  EXPECT_EQ(write(0, 16, {1, 2, 3, 4, 5, 6, 7, 8}), 0);
  using Write = MemoryFunction::Write;
  EXPECT_THAT(function_.writes, ElementsAre(Write{8, 1, 1}, Write{10, 2, 0x201}, Write{12, 4, 0x4030201},
                                            Write{16, 8, 0x807060504030201}));
  EXPECT_THAT(read(0, 12, 4).payload, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(read(0, 16, 8).payload, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST_F(VfioUserSessionTest, SplitsOtherAccessesIntoAlignedOnes) {
  EXPECT_EQ(write(0, 7, {1, 2, 3, 4}), 0);
  using Write = MemoryFunction::Write;
  EXPECT_THAT(function_.writes, ElementsAre(Write{7, 1, 1}, Write{8, 2, 0x302}, Write{10, 1, 4}));
  EXPECT_THAT(read(0, 7, 3).payload, ElementsAre(1, 2, 3));
  EXPECT_THAT(read(0, 0, MemoryFunction::bar_bytes).payload, SizeIs(MemoryFunction::bar_bytes));
}

TEST_F(VfioUserSessionTest, AnswersAnAccessToNothing) {
  EXPECT_EQ(read(0, 0, 0).error, 0);
  EXPECT_EQ(write(0, MemoryFunction::bar_bytes, {}), 0);
  EXPECT_EQ(read(wire::config_region, 4096, 0).error, 0);
}

TEST_F(VfioUserSessionTest, RefusesAccessesOutsideTheRegions) {
  EXPECT_EQ(read(0, MemoryFunction::bar_bytes - 3, 4).error, EINVAL);
  EXPECT_EQ(read(0, huge - 3, 4).error, EINVAL) << "the end must not wrap";
  EXPECT_EQ(read(0, 0, 0xffffffff).error, EINVAL);
  EXPECT_EQ(write(0, MemoryFunction::bar_bytes, {1}), EINVAL);
  for (const std::uint32_t region : {1u, 5u, 6u, 8u, 9u, 10u, 0xffffffffu}) EXPECT_EQ(read(region, 0, 1).error, EINVAL);
  EXPECT_THAT(function_.writes, IsEmpty());
}

TEST_F(VfioUserSessionTest, RefusesAccessesOfAnotherLengthThanTheySay) {
  const wire::RegionAccess access{0, 0, 4};
  const std::uint8_t byte = 0;
  const std::uint32_t word = 0;
  EXPECT_EQ(ask(Command::region_write, payload_of(access, word, byte)).error, EINVAL);
  EXPECT_EQ(ask(Command::region_write, payload_of(access, byte, byte, byte)).error, EINVAL);
  EXPECT_EQ(ask(Command::region_read, payload_of(access, byte)).error, EINVAL);
  EXPECT_EQ(ask(Command::region_read, Bytes(15)).error, EINVAL);
  EXPECT_EQ(ask(Command::region_write, {}).error, EINVAL);
  EXPECT_THAT(function_.writes, IsEmpty());
}

TEST_F(VfioUserSessionTest, WritesManyAtOnce) {
  const Answer answer =
      ask(Command::region_write_multi,
          payload_of(std::uint64_t{2}, wire::SmallWrite{8, 0, 4, {1, 2, 3, 4}}, wire::SmallWrite{16, 0, 1, {9}}));
  EXPECT_EQ(answer.error, 0);
  EXPECT_EQ(answer.payload, payload_of(std::uint64_t{2}));
  using Write = MemoryFunction::Write;
  EXPECT_THAT(function_.writes, ElementsAre(Write{8, 4, 0x4030201}, Write{16, 1, 9}));
}

TEST_F(VfioUserSessionTest, WritesNoneOfManyIfOneIsNotInOrder) {
  const wire::SmallWrite good{8, 0, 4, {}};
  const auto refuses = [this](const Bytes& payload) {
    return ask(Command::region_write_multi, payload).error == EINVAL;
  };
  EXPECT_TRUE(refuses(payload_of(std::uint64_t{2}, good, wire::SmallWrite{MemoryFunction::bar_bytes, 0, 4, {}})));
  EXPECT_TRUE(refuses(payload_of(std::uint64_t{2}, good, wire::SmallWrite{0, 0, 9, {}})));
  EXPECT_TRUE(refuses(payload_of(std::uint64_t{2}, good, wire::SmallWrite{0, 0, 0, {}})));
  EXPECT_TRUE(refuses(payload_of(std::uint64_t{2}, good)));
  EXPECT_TRUE(refuses(payload_of(std::uint64_t{0}, good)));
  EXPECT_TRUE(refuses(payload_of(huge, good)));
  EXPECT_TRUE(refuses(payload_of((std::uint64_t{1} << 61) + 1, good))) << "the product must not wrap";
  EXPECT_TRUE(refuses({}));
  EXPECT_THAT(function_.writes, IsEmpty());
}

TEST_F(VfioUserSessionTest, ResetsTheFunctionAndKeepsMemoryAndInterrupts) {
  const FileDescriptor file = memory_file(4);
  EXPECT_EQ(map(0x100000, 0x4000, &file), 0);
  const FileDescriptor counter = listen(wire::irq_msix, 5);
  EXPECT_EQ(ask(Command::device_reset, {}).error, 0);
  EXPECT_EQ(function_.resets, 1u);
  EXPECT_EQ(page_at(0x101000), 1u);
  function_.raise(InterruptKind::msix, 5);
  EXPECT_EQ(take_events(counter.number()), 1u);
  EXPECT_EQ(ask(Command::device_reset, {0}).error, EINVAL);
}

TEST_F(VfioUserSessionTest, SaysWhatItDoesNotSupport) {
  for (const unsigned number : {0u, 6u, 11u, 12u, 14u, 16u, 17u, 18u, 19u, 0xffffu}) {
    EXPECT_EQ(ask(static_cast<Command>(number), Bytes(64)).error, ENOTSUP) << number;
  }
}

TEST_F(VfioUserSessionTest, AnswersNothingThatWantsNoAnswer) {
  const Bytes good = payload_of(wire::RegionAccess{8, 0, 1}, std::uint8_t{7});
  EXPECT_EQ(send(Command::region_write, good, {}, wire::flag_no_reply), VfioUserSession::Next::no_reply);
  EXPECT_EQ(session_->refusal().error, 0);
  EXPECT_THAT(function_.writes, SizeIs(1));
  EXPECT_EQ(send(Command::region_write, {}, {}, wire::flag_no_reply), VfioUserSession::Next::no_reply);
  EXPECT_EQ(session_->refusal().error, EINVAL);
}

TEST_F(VfioUserSessionTest, HangsUpOnWhoAnswersWhatWasNotAsked) {
  EXPECT_EQ(send(Command::device_reset, {}, {}, wire::type_reply), VfioUserSession::Next::hang_up);
  EXPECT_EQ(send(Command::device_reset, {}, {}, 2), VfioUserSession::Next::hang_up);
  EXPECT_EQ(function_.resets, 0u);
}

TEST_F(VfioUserSessionTest, LeavesTheFunctionResetAndAlone) {
  const FileDescriptor file = memory_file(4);
  EXPECT_EQ(map(0x100000, 0x4000, &file), 0);
  const FileDescriptor counter = listen(wire::irq_msix, 5);
  session_.reset();
  EXPECT_EQ(function_.resets, 1u);
  EXPECT_EQ(function_.at(0x100000), nullptr);
  function_.raise(InterruptKind::msix, 5);
  EXPECT_EQ(take_events(counter.number()), 0u);
}

}  // namespace
}  // namespace ixcap::emulator
