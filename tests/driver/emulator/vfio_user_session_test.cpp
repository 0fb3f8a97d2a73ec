// What each message of a vfio-user client does to a PCI function, and that a message which is not in order is refused
// and does nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <limits>
#include <optional>

#include <ixcap/driver/emulator/vfio_user_session.hpp>

#include "tests/driver/memory_function.hpp"
#include "tests/driver/vfio_user_messages.hpp"

namespace ixcap::emulator {
namespace {

using namespace test;
using pci::FileDescriptor;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using wire::Command;

constexpr std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();

struct Answer {
  int error;
  Bytes payload;
};

class VfioUserSession : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(ask(Command::version, version_payload(0, client_capabilities)).error, 0); }
  void TearDown() override {
    session_.reset();
    EXPECT_THAT(function_.ranges(), IsEmpty());
    EXPECT_EQ(function_.bad_accesses, 0u);
    EXPECT_EQ(function_.bad_ranges, 0u);
  }

  emulator::VfioUserSession::Next send(Command command, const Bytes& payload, std::vector<FileDescriptor> files,
                                       std::uint32_t flags) {
    pci::VfioUserMessage message;
    message.header = {7, static_cast<std::uint16_t>(command),
                      static_cast<std::uint32_t>(sizeof(wire::Header) + payload.size()), flags, 0};
    message.payload = payload;
    message.files = std::move(files);
    return session_->handle(message);
  }

  Answer ask(Command command, const Bytes& payload, std::vector<FileDescriptor> files = {}) {
    EXPECT_EQ(send(command, payload, std::move(files), 0), emulator::VfioUserSession::Next::reply);
    const auto reply = session_->reply();
    wire::Header header = {};
    EXPECT_TRUE(wire::read_structure(reply, header));
    EXPECT_EQ(header.id, 7);
    EXPECT_EQ(header.command, static_cast<std::uint16_t>(command));
    EXPECT_EQ(header.size, reply.size());
    EXPECT_EQ(header.flags, header.error == 0 ? wire::type_reply : wire::type_reply | wire::flag_error);
    EXPECT_EQ(static_cast<int>(header.error), session_->refusal().error);
    if (header.error != 0) {
      EXPECT_THAT(reply, SizeIs(sizeof header));
      EXPECT_STRNE(session_->refusal().why, "");
    }
    return {static_cast<int>(header.error), Bytes(reply.begin() + sizeof header, reply.end())};
  }

  template <typename Structure>
  Structure ask_structure(Command command, const Structure& request) {
    const Answer answer = ask(command, payload_of(request));
    EXPECT_EQ(answer.error, 0);
    Structure result = {};
    EXPECT_TRUE(wire::read_structure(answer.payload, result));
    return result;
  }

  int map(std::uint64_t address, std::uint64_t size, const FileDescriptor* file = nullptr, std::uint64_t offset = 0,
          std::uint32_t flags = wire::dma_map_read | wire::dma_map_write) {
    std::vector<FileDescriptor> files;
    if (file != nullptr) files.emplace_back(::dup(file->number()));
    return ask(Command::dma_map, payload_of(wire::DmaMap{32, flags, offset, address, size}), std::move(files)).error;
  }
  int unmap(std::uint64_t address, std::uint64_t size, std::uint32_t flags = 0) {
    return ask(Command::dma_unmap, payload_of(wire::DmaUnmap{24, flags, address, size})).error;
  }
  /// The number of the client's page at an I/O address; none if the function reaches no memory there.
  std::optional<std::uint64_t> page_at(std::uint64_t io_address) const {
    const std::uint8_t* const memory = function_.at(io_address);
    if (memory == nullptr) return std::nullopt;
    std::uint64_t number = 0;
    std::memcpy(&number, memory, sizeof number);
    return number;
  }

  int set_irqs(std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count,
               std::vector<FileDescriptor> files = {}, const Bytes& data = {}) {
    Bytes payload = payload_of(wire::SetIrqs{20, flags, index, start, count});
    payload.insert(payload.end(), data.begin(), data.end());
    return ask(Command::device_set_irqs, payload, std::move(files)).error;
  }
  /// Has a vector go to a new counter, and answers it.
  FileDescriptor listen(std::uint32_t index, std::uint32_t vector) {
    FileDescriptor counter = event_counter();
    std::vector<FileDescriptor> files;
    files.emplace_back(::dup(counter.number()));
    EXPECT_EQ(set_irqs(attach, index, vector, 1, std::move(files)), 0);
    return counter;
  }

  Answer read(std::uint32_t region, std::uint64_t offset, std::uint32_t count) {
    Answer answer = ask(Command::region_read, payload_of(wire::RegionAccess{offset, region, count}));
    if (answer.error == 0) answer.payload.erase(answer.payload.begin(), answer.payload.begin() + 16);
    return answer;
  }
  int write(std::uint32_t region, std::uint64_t offset, const Bytes& data) {
    const auto count = static_cast<std::uint32_t>(data.size());
    Bytes payload = payload_of(wire::RegionAccess{offset, region, count});
    payload.insert(payload.end(), data.begin(), data.end());
    return ask(Command::region_write, payload).error;
  }

  static constexpr std::uint32_t attach = wire::irq_data_eventfd | wire::irq_action_trigger;
  static constexpr std::uint32_t fire = wire::irq_data_none | wire::irq_action_trigger;
  static constexpr std::uint32_t unmask = wire::irq_data_none | wire::irq_action_unmask;

  MemoryFunction function_;
  std::optional<emulator::VfioUserSession> session_{std::in_place, function_};
};

// --- VERSION

class VfioUserVersion : public testing::Test {
 protected:
  /// The answer's error, and whole length.
  std::pair<int, std::size_t> negotiate(const Bytes& payload) {
    pci::VfioUserMessage message;
    message.header.command = static_cast<std::uint16_t>(Command::version);
    message.payload = payload;
    EXPECT_EQ(session_.handle(message), emulator::VfioUserSession::Next::reply);
    return {session_.refusal().error, session_.reply().size()};
  }

  MemoryFunction function_;
  emulator::VfioUserSession session_{function_};
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
    emulator::VfioUserSession session(function_);
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

TEST_F(VfioUserSession, AgreesUponTheVersionOnce) {
  EXPECT_EQ(ask(Command::version, version_payload(0, client_capabilities)).error, EINVAL);
}

// --- DMA_MAP, DMA_UNMAP

TEST_F(VfioUserSession, MapsAFileOfTheClient) {
  const FileDescriptor file = memory_file(16);
  EXPECT_EQ(map(0x100000, 0x4000, &file, 0x2000), 0);
  EXPECT_EQ(page_at(0x100000), 2u);
  EXPECT_EQ(page_at(0x103000), 5u);
  EXPECT_EQ(page_at(0x104000), std::nullopt);
  const auto range = function_.ranges().at(0x100000);
  EXPECT_TRUE(range.readable);
  EXPECT_TRUE(range.writable);
  *function_.at(0x100000) = 99;
  std::uint8_t seen = 0;
  EXPECT_EQ(::pread(file.number(), &seen, 1, 0x2000), 1);
  EXPECT_EQ(seen, 99) << "it is the client's memory and no copy";
}

TEST_F(VfioUserSession, KeepsToTheRightsOfARange) {
  const FileDescriptor file = memory_file(4);
  EXPECT_EQ(map(0, 0x1000, &file, 0, wire::dma_map_read), 0);
  EXPECT_EQ(map(0x1000, 0x1000, &file, 0, wire::dma_map_write), 0);
  EXPECT_FALSE(function_.ranges().at(0).writable);
  EXPECT_FALSE(function_.ranges().at(0x1000).readable);
  EXPECT_EQ(map(0x2000, 0x1000, &file, 0, 0), EINVAL);
}

TEST_F(VfioUserSession, KnowsRangesWithoutAFileAndReachesNothingThere) {
  EXPECT_EQ(map(0x100000, 0x4000), 0);
  EXPECT_EQ(session_->memory().range_count(), 1u);
  EXPECT_EQ(function_.at(0x100000), nullptr);
  EXPECT_EQ(unmap(0x100000, 0x4000), 0);
}

TEST_F(VfioUserSession, TakesTheSameRangeTwice) {
  const FileDescriptor file = memory_file(4);
  EXPECT_EQ(map(0x100000, 0x4000, &file), 0);
  const std::uint8_t* const memory = function_.at(0x100000);
  EXPECT_EQ(map(0x100000, 0x4000, &file), 0);
  EXPECT_EQ(function_.at(0x100000), memory);
  EXPECT_EQ(session_->memory().range_count(), 1u);
}

TEST_F(VfioUserSession, LetsARangeReplaceWhatItOverlaps) {
  const FileDescriptor file = memory_file(16);
  EXPECT_EQ(map(0x100000, 0x8000, &file), 0);
  EXPECT_EQ(map(0x102000, 0x2000, &file, 0xa000), 0);
  EXPECT_EQ(page_at(0x100000), 0u);
  EXPECT_EQ(page_at(0x101000), 1u);
  EXPECT_EQ(page_at(0x102000), 10u);
  EXPECT_EQ(page_at(0x103000), 11u);
  EXPECT_EQ(page_at(0x104000), 4u);
  EXPECT_EQ(page_at(0x107000), 7u);
  EXPECT_EQ(session_->memory().range_count(), 3u);
  EXPECT_EQ(map(0xff000, 0x10000, &file), 0);
  EXPECT_EQ(page_at(0x100000), 1u);
  EXPECT_EQ(session_->memory().range_count(), 1u);
}

TEST_F(VfioUserSession, UnmapsWhatLiesWithinAndNothingElse) {
  const FileDescriptor file = memory_file(16);
  EXPECT_EQ(map(0x100000, 0x4000, &file), 0);
  EXPECT_EQ(map(0x104000, 0x4000, &file, 0x4000), 0);
  const Answer answer = ask(Command::dma_unmap, payload_of(wire::DmaUnmap{24, 0, 0x102000, 0x3000}));
  EXPECT_EQ(answer.error, 0);
  EXPECT_EQ(answer.payload, payload_of(wire::DmaUnmap{24, 0, 0x102000, 0x3000}));
  EXPECT_EQ(page_at(0x101000), 1u);
  EXPECT_EQ(page_at(0x102000), std::nullopt);
  EXPECT_EQ(page_at(0x104000), std::nullopt);
  EXPECT_EQ(page_at(0x105000), 5u);
  EXPECT_EQ(unmap(0x100000, 0x8000), 0);
  EXPECT_EQ(session_->memory().range_count(), 0u);
  EXPECT_EQ(session_->memory().file_count(), 0u) << "the last range takes the file with it";
}

TEST_F(VfioUserSession, UnmapsWhatWasNeverMapped) {
  EXPECT_EQ(unmap(0x100000, 0x1000), 0);
  EXPECT_EQ(unmap(std::uint64_t{1} << 63, std::uint64_t{1} << 63), 0);
  EXPECT_EQ(unmap(0x1000, huge - 0xfff), 0);
  EXPECT_EQ(unmap(0x1000, 0), 0);
}

TEST_F(VfioUserSession, UnmapsEverything) {
  const FileDescriptor file = memory_file(4);
  for (const std::uint32_t flags : {0u, wire::dma_unmap_all}) {
    EXPECT_EQ(map(0x1000, 0x1000, &file), 0);
    EXPECT_EQ(map(huge - 0xfff, 0x1000, &file), 0) << "the last page of all";
    EXPECT_EQ(unmap(0, 0, flags), 0) << "2^64 in 64 bits is 0";
    EXPECT_EQ(session_->memory().range_count(), 0u);
  }
  EXPECT_EQ(unmap(0x1000, 0, wire::dma_unmap_all), EINVAL);
}

TEST_F(VfioUserSession, RefusesRangesOutsideTheFile) {
  const FileDescriptor file = memory_file(4);
  EXPECT_EQ(map(0x100000, 0x5000, &file), EINVAL);
  EXPECT_EQ(map(0x100000, 0x1000, &file, 0x4000), EINVAL);
  EXPECT_EQ(map(0x100000, 0x1000, &file, huge - 0xfff), EINVAL);
  EXPECT_EQ(map(0x100000, huge - 0xfff, &file, 0x1000), EINVAL);
  EXPECT_EQ(session_->memory().range_count(), 0u);
  EXPECT_EQ(session_->memory().file_count(), 0u);
}

TEST_F(VfioUserSession, RefusesRangesThatAreNone) {
  const FileDescriptor file = memory_file(4);
  EXPECT_EQ(map(0x100000, 0, &file), EINVAL);
  EXPECT_EQ(map(0x100001, 0x1000, &file), EINVAL);
  EXPECT_EQ(map(0x100000, 0x1001, &file), EINVAL);
  EXPECT_EQ(map(0x100000, 0x1000, &file, 8), EINVAL);
  EXPECT_EQ(map(huge - 0xfff, 0x2000), EINVAL);
  EXPECT_EQ(unmap(0x100001, 0x1000), EINVAL);
  EXPECT_EQ(unmap(0x100000, 0x1000, wire::dma_unmap_dirty_pages), ENOTSUP);
}

TEST_F(VfioUserSession, RefusesFilesThatCouldBePulledFromUnderIt) {
  const FileDescriptor shrinkable = memory_file(4, F_SEAL_SEAL);
  EXPECT_EQ(map(0x100000, 0x4000, &shrinkable), EPERM);
  const FileDescriptor unsealed = memory_file(4, 0);
  EXPECT_EQ(map(0x100000, 0x4000, &unsealed), 0) << "it is sealed here";
  EXPECT_NE(::ftruncate(unsealed.number(), 0), 0);
  EXPECT_EQ(page_at(0x103000), 3u);
  FILE* const on_disk = std::tmpfile();
  ASSERT_NE(on_disk, nullptr);
  const FileDescriptor ordinary(::dup(::fileno(on_disk)));
  std::fclose(on_disk);
  ASSERT_EQ(::ftruncate(ordinary.number(), 0x4000), 0);
  EXPECT_EQ(map(0x200000, 0x4000, &ordinary), EPERM);
}

TEST_F(VfioUserSession, RefusesFilesThatAreNoMemory) {
  const FileDescriptor counter = event_counter();
  EXPECT_EQ(map(0x100000, 0x1000, &counter), EINVAL);
  const FileDescriptor zeros(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(map(0x100000, 0x1000, &zeros), EINVAL);
  const FileDescriptor folder(::open("/", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(map(0x100000, 0x1000, &folder), EINVAL);
  std::vector<FileDescriptor> two;
  two.push_back(memory_file(1));
  two.push_back(memory_file(1));
  EXPECT_EQ(ask(Command::dma_map, payload_of(wire::DmaMap{32, 3, 0, 0, 0x1000}), std::move(two)).error, EINVAL);
}

TEST_F(VfioUserSession, RefusesToWriteToAFileThatIsReadOnly) {
  const FileDescriptor file = memory_file(4);
  const std::string path = "/proc/self/fd/" + std::to_string(file.number());
  const FileDescriptor read_only(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(map(0x100000, 0x1000, &read_only), EACCES);
  EXPECT_EQ(map(0x100000, 0x1000, &read_only, 0, wire::dma_map_read), 0);
}

TEST_F(VfioUserSession, FollowsAFileThatGrows) {
  const FileDescriptor file = memory_file(2);
  EXPECT_EQ(map(0x100000, 0x2000, &file), 0);
  ASSERT_EQ(::ftruncate(file.number(), 0x8000), 0);
  EXPECT_EQ(map(0x102000, 0x6000, &file, 0x2000), 0);
  EXPECT_EQ(page_at(0x101000), 1u) << "the old range stays where it was";
  EXPECT_NE(function_.at(0x107000), nullptr);
}

TEST_F(VfioUserSession, MapsAHundredThousandPages) {
  constexpr std::uint64_t pages = 100'000;
  const FileDescriptor file = memory_file(pages);
  for (std::uint64_t page = 0; page < pages; ++page) {
    ASSERT_EQ(map((page ^ 1) << 12, 0x1000, &file, page << 12), 0) << "no two in a row";
  }
  EXPECT_EQ(session_->memory().range_count(), pages);
  EXPECT_EQ(session_->memory().file_count(), 1u);
  EXPECT_EQ(page_at(std::uint64_t{6} << 12), 7u);
  for (std::uint64_t page = 0; page < pages; page += 2) ASSERT_EQ(unmap(page << 12, 0x1000), 0);
  EXPECT_EQ(session_->memory().range_count(), pages / 2);
  EXPECT_EQ(unmap(0, std::uint64_t{1} << 40), 0);
  EXPECT_EQ(session_->memory().range_count(), 0u);
}

TEST_F(VfioUserSession, RefusesMoreFilesThanItMayMap) {
  for (std::size_t i = 0; i < ClientMemory::most_files; ++i) {
    const FileDescriptor file = memory_file(1);
    ASSERT_EQ(map(i << 12, 0x1000, &file), 0);
  }
  const FileDescriptor file = memory_file(1);
  EXPECT_EQ(map(std::uint64_t{1} << 40, 0x1000, &file), ENOSPC);
  EXPECT_EQ(unmap(0, 0x1000), 0);
  EXPECT_EQ(map(std::uint64_t{1} << 40, 0x1000, &file), 0);
}

// --- What the device is

TEST_F(VfioUserSession, TellsOfTheDevice) {
  const auto info = ask_structure(Command::device_get_info, wire::DeviceInfo{16, 0, 0, 0});
  EXPECT_EQ(info.argsz, 16u);
  EXPECT_EQ(info.flags, wire::device_reset_supported | wire::device_is_pci);
  EXPECT_EQ(info.regions, 9u);
  EXPECT_EQ(info.irqs, 5u);
  EXPECT_EQ(ask(Command::device_get_info, payload_of(wire::DeviceInfo{15, 0, 0, 0})).error, EINVAL);
  EXPECT_EQ(ask(Command::device_get_info, {}).error, EINVAL);
}

TEST_F(VfioUserSession, TellsOfItsRegions) {
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

TEST_F(VfioUserSession, TellsOfItsInterrupts) {
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

// --- SET_IRQS

TEST_F(VfioUserSession, DeliversMessageInterrupts) {
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

TEST_F(VfioUserSession, DetachesInterrupts) {
  const FileDescriptor counter = listen(wire::irq_msix, 5);
  EXPECT_EQ(set_irqs(attach, wire::irq_msix, 5, 1), 0) << "no files: detached";
  function_.raise(InterruptKind::msix, 5);
  EXPECT_EQ(take_events(counter.number()), 0u);
  const FileDescriptor again = listen(wire::irq_msix, 5);
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 0, 0), 0) << "all of them";
  function_.raise(InterruptKind::msix, 5);
  EXPECT_EQ(take_events(again.number()), 0u);
}

TEST_F(VfioUserSession, FiresInterruptsOnDemand) {
  const FileDescriptor counter = listen(wire::irq_msix, 5);
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 4, 2), 0);
  EXPECT_EQ(take_events(counter.number()), 1u);
  const std::uint32_t by_bools = wire::irq_data_bool | wire::irq_action_trigger;
  EXPECT_EQ(set_irqs(by_bools, wire::irq_msix, 4, 2, {}, {1, 0}), 0);
  EXPECT_EQ(take_events(counter.number()), 0u);
  EXPECT_EQ(set_irqs(by_bools, wire::irq_msix, 4, 2, {}, {0, 1}), 0);
  EXPECT_EQ(take_events(counter.number()), 1u);
}

TEST_F(VfioUserSession, MasksThePinWhenItIsRaisedUntilItIsUnmasked) {
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

TEST_F(VfioUserSession, MasksThePinOnDemand) {
  const FileDescriptor counter = listen(wire::irq_intx, 0);
  EXPECT_EQ(set_irqs(wire::irq_data_none | wire::irq_action_mask, wire::irq_intx, 0, 1), 0);
  function_.set_pin(true);
  EXPECT_EQ(take_events(counter.number()), 0u);
  EXPECT_EQ(set_irqs(unmask, wire::irq_intx, 0, 1), 0);
  EXPECT_EQ(take_events(counter.number()), 1u);
}

TEST_F(VfioUserSession, TellsWhoBeginsToListenOfAPinThatIsAsserted) {
  function_.set_pin(true);
  const FileDescriptor counter = listen(wire::irq_intx, 0);
  EXPECT_EQ(take_events(counter.number()), 1u);
}

TEST_F(VfioUserSession, NeverWaitsForACounterThatIsFull) {
  FileDescriptor counter(::eventfd(0, EFD_CLOEXEC));
  std::vector<FileDescriptor> files;
  files.emplace_back(::dup(counter.number()));
  EXPECT_EQ(set_irqs(attach, wire::irq_msix, 0, 1, std::move(files)), 0);
  const std::uint64_t full = huge - 1;
  ASSERT_EQ(::write(counter.number(), &full, sizeof full), 8);
  function_.raise(InterruptKind::msix, 0);
  EXPECT_EQ(take_events(counter.number()), full);
}

TEST_F(VfioUserSession, RefusesInterruptsThatItDoesNotHave) {
  EXPECT_EQ(set_irqs(fire, 5, 0, 0), EINVAL);
  EXPECT_EQ(set_irqs(fire, 0xffffffff, 0, 1), EINVAL);
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 0, 65), EINVAL);
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 65, 0), EINVAL);
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 0xffffffff, 2), EINVAL) << "the sum must not wrap";
  EXPECT_EQ(set_irqs(fire, wire::irq_msix, 2, 0xffffffff), EINVAL);
}

TEST_F(VfioUserSession, RefusesConfusedInterruptRequests) {
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

TEST_F(VfioUserSession, RefusesFilesThatAreNoEventCounters) {
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

// --- Regions

TEST_F(VfioUserSession, ReadsConfigurationSpaceInPiecesAndAtOnce) {
  EXPECT_THAT(read(wire::config_region, 0, 2).payload, ElementsAre(0x86, 0x80));
  EXPECT_THAT(read(wire::config_region, 2, 2).payload, ElementsAre(0xfb, 0x10));
  EXPECT_THAT(read(wire::config_region, 0, 4096).payload, SizeIs(4096));
  EXPECT_EQ(write(wire::config_region, 4, {6, 0}), 0);
  EXPECT_THAT(read(wire::config_region, 4, 1).payload, ElementsAre(6));
  EXPECT_EQ(read(wire::config_region, 4095, 2).error, EINVAL);
  EXPECT_EQ(write(wire::config_region, 4096, {1}), EINVAL);
}

TEST_F(VfioUserSession, PassesAccessesToTheBarAsTheyAre) {
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

TEST_F(VfioUserSession, SplitsOtherAccessesIntoAlignedOnes) {
  EXPECT_EQ(write(0, 7, {1, 2, 3, 4}), 0);
  using Write = MemoryFunction::Write;
  EXPECT_THAT(function_.writes, ElementsAre(Write{7, 1, 1}, Write{8, 2, 0x302}, Write{10, 1, 4}));
  EXPECT_THAT(read(0, 7, 3).payload, ElementsAre(1, 2, 3));
  EXPECT_THAT(read(0, 0, MemoryFunction::bar_bytes).payload, SizeIs(MemoryFunction::bar_bytes));
}

TEST_F(VfioUserSession, AnswersAnAccessToNothing) {
  EXPECT_EQ(read(0, 0, 0).error, 0);
  EXPECT_EQ(write(0, MemoryFunction::bar_bytes, {}), 0);
  EXPECT_EQ(read(wire::config_region, 4096, 0).error, 0);
}

TEST_F(VfioUserSession, RefusesAccessesOutsideTheRegions) {
  EXPECT_EQ(read(0, MemoryFunction::bar_bytes - 3, 4).error, EINVAL);
  EXPECT_EQ(read(0, huge - 3, 4).error, EINVAL) << "the end must not wrap";
  EXPECT_EQ(read(0, 0, 0xffffffff).error, EINVAL);
  EXPECT_EQ(write(0, MemoryFunction::bar_bytes, {1}), EINVAL);
  for (const std::uint32_t region : {1u, 5u, 6u, 8u, 9u, 10u, 0xffffffffu}) EXPECT_EQ(read(region, 0, 1).error, EINVAL);
  EXPECT_THAT(function_.writes, IsEmpty());
}

TEST_F(VfioUserSession, RefusesAccessesOfAnotherLengthThanTheySay) {
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

TEST_F(VfioUserSession, WritesManyAtOnce) {
  const Answer answer =
      ask(Command::region_write_multi,
          payload_of(std::uint64_t{2}, wire::SmallWrite{8, 0, 4, {1, 2, 3, 4}}, wire::SmallWrite{16, 0, 1, {9}}));
  EXPECT_EQ(answer.error, 0);
  EXPECT_EQ(answer.payload, payload_of(std::uint64_t{2}));
  using Write = MemoryFunction::Write;
  EXPECT_THAT(function_.writes, ElementsAre(Write{8, 4, 0x4030201}, Write{16, 1, 9}));
}

TEST_F(VfioUserSession, WritesNoneOfManyIfOneIsNotInOrder) {
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

// --- The rest

TEST_F(VfioUserSession, ResetsTheFunctionAndKeepsMemoryAndInterrupts) {
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

TEST_F(VfioUserSession, SaysWhatItDoesNotSupport) {
  for (const unsigned number : {0u, 6u, 11u, 12u, 14u, 16u, 17u, 18u, 19u, 0xffffu}) {
    EXPECT_EQ(ask(static_cast<Command>(number), Bytes(64)).error, ENOTSUP) << number;
  }
}

TEST_F(VfioUserSession, AnswersNothingThatWantsNoAnswer) {
  const Bytes good = payload_of(wire::RegionAccess{8, 0, 1}, std::uint8_t{7});
  EXPECT_EQ(send(Command::region_write, good, {}, wire::flag_no_reply), emulator::VfioUserSession::Next::no_reply);
  EXPECT_EQ(session_->refusal().error, 0);
  EXPECT_THAT(function_.writes, SizeIs(1));
  EXPECT_EQ(send(Command::region_write, {}, {}, wire::flag_no_reply), emulator::VfioUserSession::Next::no_reply);
  EXPECT_EQ(session_->refusal().error, EINVAL);
}

TEST_F(VfioUserSession, HangsUpOnWhoAnswersWhatWasNotAsked) {
  EXPECT_EQ(send(Command::device_reset, {}, {}, wire::type_reply), emulator::VfioUserSession::Next::hang_up);
  EXPECT_EQ(send(Command::device_reset, {}, {}, 2), emulator::VfioUserSession::Next::hang_up);
  EXPECT_EQ(function_.resets, 0u);
}

TEST_F(VfioUserSession, LeavesTheFunctionResetAndAlone) {
  const FileDescriptor file = memory_file(4);
  EXPECT_EQ(map(0x100000, 0x4000, &file), 0);
  const FileDescriptor counter = listen(wire::irq_msix, 5);
  session_.reset();
  EXPECT_EQ(function_.resets, 1u);
  EXPECT_EQ(function_.at(0x100000), nullptr);
  function_.raise(InterruptKind::msix, 5);
  EXPECT_EQ(take_events(counter.number()), 0u);
}

// --- Shared doorbells

class VfioUserDoorbells : public VfioUserSession {
 protected:
  void SetUp() override {
    VfioUserSession::SetUp();
    const auto info = ask_structure(Command::device_get_region_info, wire::RegionInfo{32, 0, 9, 0, 0, 0});
    ASSERT_EQ(info.size, 4096u);
    ASSERT_EQ(info.flags, wire::region_readable | wire::region_writable | wire::region_mappable);
    file_ = FileDescriptor(::dup(session_->reply_file()));
    void* const memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file_.number(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    page_ = static_cast<wire::DoorbellPage*>(memory);
  }
  void TearDown() override {
    VfioUserSession::TearDown();
    page_->slots[0].value = 1;  // still the client's own
    ::munmap(page_, 4096);
  }

  FileDescriptor file_;
  wire::DoorbellPage* page_ = nullptr;
};

TEST_F(VfioUserDoorbells, WriteTheRegisterWhenTheWordChanges) {
  EXPECT_FALSE(session_->doorbells().forward());
  page_->slots[0].offset = 0x18;
  page_->slots[0].value = 5;
  EXPECT_FALSE(session_->doorbells().forward()) << "not in use yet";
  page_->count = 1;
  EXPECT_TRUE(session_->doorbells().forward());
  EXPECT_FALSE(session_->doorbells().forward());
  page_->slots[0].value = 6;
  EXPECT_TRUE(session_->doorbells().forward());
  using Write = MemoryFunction::Write;
  EXPECT_THAT(function_.writes, ElementsAre(Write{0x18, 4, 5}, Write{0x18, 4, 6}));
}

TEST_F(VfioUserDoorbells, TakeMessagesForSeen) {
  page_->slots[0].offset = 0x18;
  page_->count = 1;
  EXPECT_FALSE(session_->doorbells().forward());
  EXPECT_EQ(write(0, 0x18, {3, 0, 0, 0}), 0);
  page_->slots[0].value = 3;
  EXPECT_FALSE(session_->doorbells().forward());
  EXPECT_THAT(function_.writes, SizeIs(1));
}

TEST_F(VfioUserDoorbells, AreNotTrusted) {
  page_->count = 0xffffffff;
  page_->slots[0] = {2, 1};
  page_->slots[1] = {MemoryFunction::bar_bytes, 1};
  page_->slots[2] = {0xfffffffc, 1};
  page_->slots[3] = {MemoryFunction::bar_bytes - 4, 1};
  EXPECT_TRUE(session_->doorbells().forward());
  page_->slots[3] = {MemoryFunction::bar_bytes, 2};
  EXPECT_TRUE(session_->doorbells().forward()) << "the register was taken once";
  using Write = MemoryFunction::Write;
  EXPECT_THAT(function_.writes,
              ElementsAre(Write{MemoryFunction::bar_bytes - 4, 4, 1}, Write{MemoryFunction::bar_bytes - 4, 4, 2}));
  EXPECT_NE(::ftruncate(file_.number(), 0), 0) << "the client cannot take the page away";
}

}  // namespace
}  // namespace ixcap::emulator
