// Whatever a vfio-user client sends, whole messages and streams of bytes, with files of any kind, the server touches
// only memory that is there and the client's, does to the function only what its interface allows, answers in form, and
// leaves nothing behind.
//
// Input: one byte. If it is odd, what follows is the byte stream of a socket. Otherwise messages follow: command, shape
// (how much of the structure is made plausible), files, length, and so many bytes, which are the payload; some lengths
// stand for something else that a client does.

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <vector>

#include <ixcap/driver/emulator/vfio_user_session.hpp>

#include "tests/driver/memory_function.hpp"
#include "tests/driver/vfio_user_messages.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace ixcap;
using emulator::VfioUserSession;
using pci::FileDescriptor;
using test::Bytes;
using test::Input;
using test::require;
namespace wire = pci::vfio_user;

/// Files that a client may have; opened once.
int file_of_kind(unsigned kind) {
  static const auto files = [] {
    std::array<FileDescriptor, 6> all;
    all[0] = test::memory_file(16);
    all[1] = test::memory_file(2);
    all[2] = test::memory_file(4, F_SEAL_SEAL);  // it may shrink, and no seal can be added
    all[3] = test::event_counter();
    all[4] = test::event_counter();
    all[5] = FileDescriptor(::open("/dev/zero", O_RDWR | O_CLOEXEC));
    return all;
  }();
  return files[kind % files.size()].number();
}

class Client {
 public:
  explicit Client(Input input) : input_(input) { function_.keep_writes = false; }

  void run() {
    {
      VfioUserSession session(function_);
      session_ = &session;
      if (input_.take<std::uint8_t>() % 2 != 0) {
        stream();
      } else {
        messages();
      }
    }
    require(function_.ranges().empty());
    require(function_.bad_ranges == 0 && function_.bad_accesses == 0);
  }

 private:
  /// The rest of the input through a socket, as much as it takes at once.
  void stream() {
    std::array<int, 2> ends{};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    pci::VfioUserSocket socket{FileDescriptor(ends[0])};
    {
      const FileDescriptor client(ends[1]);
      if (input_.size > 0) require(::send(client.number(), input_.data, input_.size, MSG_DONTWAIT) > 0);
    }
    pci::VfioUserMessage message;
    while (socket.receive(message) == pci::VfioUserSocket::Status::done && handle(message)) continue;
  }

  void messages() {
    if (input_.size > 0 && input_.data[0] % 8 != 0)
      send(wire::Command::version, test::payload_of(wire::Version{}), {}, 0);
    while (input_.size > 0 && act()) continue;
  }

  /// One message, or what else a client does. False when the server has hung up.
  bool act() {
    const auto command = static_cast<wire::Command>(input_.take<std::uint8_t>() % 20);
    const auto shape = input_.take<std::uint8_t>();
    const auto kind = input_.take<std::uint8_t>();
    const auto length = input_.take<std::uint8_t>();
    if (length == 255) {
      function_.raise(static_cast<emulator::InterruptKind>(shape % 3), kind);
      return true;
    }
    if (length >= 250) {
      ring(shape, kind);
      return true;
    }
    Bytes payload(input_.data, input_.data + std::min<std::size_t>(length, input_.size));
    input_.data += payload.size();
    input_.size -= payload.size();
    if (shape % 2 != 0) payload = plausible(command, payload, shape);
    std::vector<FileDescriptor> files;
    for (unsigned i = 0; i < kind / 16u; ++i) files.emplace_back(::fcntl(file_of_kind(kind % 16u), F_DUPFD_CLOEXEC, 0));
    return send(command, std::move(payload), std::move(files), shape >= 240 ? shape % 64u : 0);
  }

  /// The payload's numbers, brought near to what is there. Random ones would hardly ever be.
  static Bytes plausible(wire::Command command, const Bytes& seed, unsigned shape) {
    Input numbers{seed.data(), seed.size()};
    const auto place = [&numbers] { return std::uint64_t{numbers.take<std::uint8_t>()} % 32 << 12; };
    switch (command) {
      case wire::Command::dma_map: {
        const std::uint64_t offset = place();
        const std::uint64_t address = place();
        return test::payload_of(wire::DmaMap{32, shape / 2 % 4, offset, address, place()});
      }
      case wire::Command::dma_unmap: {
        const std::uint64_t address = place();
        return test::payload_of(wire::DmaUnmap{24, shape / 2 % 4 == 3 ? 2u : 0u, address, place()});
      }
      case wire::Command::device_get_region_info:
        return test::payload_of(wire::RegionInfo{32, 0, numbers.take<std::uint8_t>() % 12u, 0, 0, 0});
      case wire::Command::device_get_irq_info:
        return test::payload_of(wire::IrqInfo{16, 0, numbers.take<std::uint8_t>() % 7u, 0});
      case wire::Command::device_set_irqs: {
        const std::uint32_t flags = numbers.take<std::uint8_t>() % 64u;
        const std::uint32_t index = numbers.take<std::uint8_t>() % 6u;
        const std::uint32_t start = numbers.take<std::uint8_t>() % 66u;
        const std::uint32_t count = numbers.take<std::uint8_t>() % 20u;
        Bytes payload = test::payload_of(wire::SetIrqs{20, flags, index, start, count});
        if ((flags & wire::irq_data_bool) != 0) payload.resize(payload.size() + count, 1);
        return payload;
      }
      case wire::Command::region_read:
      case wire::Command::region_write: {
        const std::uint64_t offset = numbers.take<std::uint16_t>() % 8200u;
        const std::uint32_t region = numbers.take<std::uint8_t>() % 2 * 7u;
        const std::uint32_t count = numbers.take<std::uint8_t>();
        Bytes payload = test::payload_of(wire::RegionAccess{offset, region, count});
        if (command == wire::Command::region_write) payload.resize(payload.size() + count, 0x55);
        return payload;
      }
      case wire::Command::region_write_multi: {
        const std::uint64_t count = numbers.take<std::uint8_t>() % 8u;
        Bytes payload = test::payload_of(count);
        for (std::uint64_t i = 0; i < count; ++i) {
          const std::uint64_t offset = numbers.take<std::uint16_t>() % 8200u;
          test::append(payload, wire::SmallWrite{offset, 0, numbers.take<std::uint8_t>() % 10u, {1, 2, 3}});
        }
        return payload;
      }
      default:
        return seed;
    }
  }

  /// Stores to the doorbell page, if the session has lent one.
  void ring(std::uint8_t place, std::uint8_t value) {
    if (!session_->doorbells().active()) return;
    void* const memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, session_->doorbells().file(), 0);
    require(memory != MAP_FAILED);
    auto* const words = static_cast<std::uint32_t*>(memory);
    words[0] = value;
    words[place * 16u % 1024] = value * 41u;
    words[(place * 16u + 1) % 1024] = value;
    ::munmap(memory, 4096);
    session_->doorbells().forward();
  }

  bool send(wire::Command command, Bytes payload, std::vector<FileDescriptor> files, std::uint32_t flags) {
    pci::VfioUserMessage message;
    message.header = {1, static_cast<std::uint16_t>(command),
                      static_cast<std::uint32_t>(sizeof(wire::Header) + payload.size()), flags, 0};
    message.payload = std::move(payload);
    message.files = std::move(files);
    return handle(message);
  }

  bool handle(pci::VfioUserMessage& message) {
    const VfioUserSession::Next next = session_->handle(message);
    touch_memory();
    if (next == VfioUserSession::Next::reply) {
      wire::Header header = {};
      require(wire::read_structure(session_->reply(), header));
      require(header.id == message.header.id && header.command == message.header.command);
      require(header.size == session_->reply().size() && header.size <= wire::most_message_bytes);
      require((header.flags & wire::type_mask) == wire::type_reply);
      require(((header.flags & wire::flag_error) != 0) == (header.error != 0));
      require(header.error == 0 || header.size == sizeof header);
    }
    return next != VfioUserSession::Next::hang_up;
  }

  /// Both ends of every range, as the function is allowed to.
  void touch_memory() const {
    [[maybe_unused]] static volatile std::uint8_t sink = 0;
    for (const auto& [address, range] : function_.ranges()) {
      for (std::uint8_t* const byte : {range.memory, range.memory + range.size - 1}) {
        sink = *byte;
        if (range.writable) *byte = 1;
      }
    }
  }

  Input input_;
  test::MemoryFunction function_;
  VfioUserSession* session_ = nullptr;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Client({data, size}).run();
  return 0;
}
