#pragma once

/// A vfio-user session on a MemoryFunction, and the messages of its client, for the tests of the session and of its
/// parts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <ixcap/driver/emulator/vfio_user_session.hpp>

#include "tests/driver/memory_function.hpp"
#include "tests/driver/vfio_user_messages.hpp"

namespace ixcap::emulator {

using namespace test;
using pci::FileDescriptor;
using wire::Command;

inline constexpr std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();

struct Answer {
  int error;
  Bytes payload;
};

class VfioUserSessionTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(ask(Command::version, version_payload(0, client_capabilities)).error, 0); }
  void TearDown() override {
    session_.reset();
    EXPECT_THAT(function_.ranges(), testing::IsEmpty());
    EXPECT_EQ(function_.bad_accesses, 0u);
    EXPECT_EQ(function_.bad_ranges, 0u);
  }

  VfioUserSession::Next send(Command command, const Bytes& payload, std::vector<FileDescriptor> files,
                             std::uint32_t flags) {
    pci::VfioUserMessage message;
    message.header = {7, static_cast<std::uint16_t>(command),
                      static_cast<std::uint32_t>(sizeof(wire::Header) + payload.size()), flags, 0};
    message.payload = payload;
    message.files = std::move(files);
    return session_->handle(message);
  }

  Answer ask(Command command, const Bytes& payload, std::vector<FileDescriptor> files = {}) {
    EXPECT_EQ(send(command, payload, std::move(files), 0), VfioUserSession::Next::reply);
    const auto reply = session_->reply();
    wire::Header header = {};
    EXPECT_TRUE(wire::read_structure(reply, header));
    EXPECT_EQ(header.id, 7);
    EXPECT_EQ(header.command, static_cast<std::uint16_t>(command));
    EXPECT_EQ(header.size, reply.size());
    EXPECT_EQ(header.flags, header.error == 0 ? wire::type_reply : wire::type_reply | wire::flag_error);
    EXPECT_EQ(static_cast<int>(header.error), session_->refusal().error);
    if (header.error != 0) {
      EXPECT_THAT(reply, testing::SizeIs(sizeof header));
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
  std::optional<VfioUserSession> session_{std::in_place, function_};
};

}  // namespace ixcap::emulator
