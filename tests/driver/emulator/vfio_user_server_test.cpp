// The server at its socket: whole messages however they are cut, one client after the other, garbage, and nothing left
// behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>

#include <ixcap/driver/emulator/vfio_user_server.hpp>
#include <ixcap/driver/error.hpp>

#include "tests/driver/memory_function.hpp"
#include "tests/driver/vfio_user_messages.hpp"
#include "tests/files.hpp"

namespace ixcap::emulator {
namespace {

using namespace test;
using pci::FileDescriptor;
using testing::HasSubstr;
using testing::SizeIs;
using wire::Command;

/// A client as rude as a test wants it to be.
class RawClient {
 public:
  explicit RawClient(const std::string& path) : socket_(pci::connect_vfio_user(path)) {}

  void send(const Bytes& bytes, std::vector<int> files = {}) const {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 64)> control{};
    iovec part = {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!files.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(sizeof(int) * files.size());
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int) * files.size());
      std::memcpy(CMSG_DATA(header), files.data(), sizeof(int) * files.size());
    }
    ::sendmsg(socket_.number(), &message, MSG_NOSIGNAL);  // a server that has hung up is one
  }

  /// The next reply; none when the server has hung up.
  std::optional<Bytes> receive() const {
    Bytes bytes(sizeof(wire::Header));
    if (!receive_all(bytes.data(), bytes.size())) return std::nullopt;
    wire::Header header = {};
    wire::read_structure(bytes, header);
    bytes.resize(header.size);
    if (!receive_all(bytes.data() + sizeof header, bytes.size() - sizeof header)) return std::nullopt;
    return bytes;
  }

  /// The errno value of the answer; -1 if there is none.
  int ask(Command command, const Bytes& payload, std::vector<int> files = {}) const {
    send(message(command, payload), std::move(files));
    const std::optional<Bytes> reply = receive();
    wire::Header header = {};
    return reply.has_value() && wire::read_structure(*reply, header) ? static_cast<int>(header.error) : -1;
  }
  int negotiate() const { return ask(Command::version, version_payload(0, client_capabilities)); }

  void finish_sending() const { ::shutdown(socket_.number(), SHUT_WR); }

 private:
  bool receive_all(std::uint8_t* bytes, std::size_t count) const {
    return count == 0 || ::recv(socket_.number(), bytes, count, MSG_WAITALL) == static_cast<ssize_t>(count);
  }

  FileDescriptor socket_;
};

std::size_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

/// What the server tells, and waiting for it.
class Talk {
 public:
  VfioUserServer::Log log() {
    return [this](const std::string& sentence) {
      const std::scoped_lock lock(mutex_);
      sentences_.push_back(sentence);
      changed_.notify_all();
    };
  }
  /// Waits until sentences with `words` were told `times` times.
  void wait_for(const std::string& words, std::ptrdiff_t times = 1) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return count(words) >= times; });
  }
  std::ptrdiff_t told(const std::string& words) {
    const std::scoped_lock lock(mutex_);
    return count(words);
  }

 private:
  std::ptrdiff_t count(const std::string& words) const {
    return std::count_if(sentences_.begin(), sentences_.end(),
                         [&](const std::string& sentence) { return sentence.find(words) != std::string::npos; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> sentences_;
};

class VfioUserServerTest : public testing::Test {
 protected:
  ~VfioUserServerTest() override { EXPECT_EQ(function_.bad_accesses + function_.bad_ranges, 0u); }

  TemporaryFolder folder_;
  std::string path_ = folder_.file("nic.sock");
  MemoryFunction function_;
  Talk talk_;
  std::optional<VfioUserServer> server_{std::in_place, function_, path_, talk_.log()};
};

TEST_F(VfioUserServerTest, ServesOneClientAfterTheOther) {
  for (unsigned turn = 1; turn <= 3; ++turn) {
    {
      const RawClient client(path_);
      EXPECT_EQ(client.negotiate(), 0);
      EXPECT_EQ(client.ask(Command::region_write, payload_of(wire::RegionAccess{8, 0, 4}, turn)), 0);
    }
    talk_.wait_for("is over", turn);
    EXPECT_EQ(function_.resets, turn);
  }
}

TEST_F(VfioUserServerTest, LetsTheNextClientWaitForItsTurn) {
  std::optional<RawClient> first(path_);
  EXPECT_EQ(first->negotiate(), 0);
  const RawClient second(path_);
  second.send(message(Command::version, version_payload(0, client_capabilities)));
  EXPECT_EQ(first->ask(Command::device_reset, {}), 0);
  first.reset();
  EXPECT_TRUE(second.receive().has_value());
}

TEST_F(VfioUserServerTest, PutsMessagesTogetherHoweverTheyAreCut) {
  const RawClient client(path_);
  Bytes stream = message(Command::version, version_payload(0, client_capabilities), 1);
  for (std::uint16_t id = 2; id <= 3; ++id) {
    const Bytes more = message(Command::region_write, payload_of(wire::RegionAccess{8, 0, 4}, std::uint32_t{id}), id);
    stream.insert(stream.end(), more.begin(), more.end());
  }
  for (const std::uint8_t byte : stream) client.send({byte});
  for (std::uint16_t id = 1; id <= 3; ++id) {
    const std::optional<Bytes> reply = client.receive();
    ASSERT_TRUE(reply.has_value());
    wire::Header header = {};
    wire::read_structure(*reply, header);
    EXPECT_EQ(header.id, id);
    EXPECT_EQ(header.error, 0u);
  }
  EXPECT_THAT(function_.writes, SizeIs(2));
}

TEST_F(VfioUserServerTest, TakesTheLongestMessageAndNoLongerOne) {
  const RawClient client(path_);
  EXPECT_EQ(client.negotiate(), 0);
  Bytes longest = payload_of(wire::RegionAccess{0, 0, wire::most_data_bytes});
  longest.resize(wire::most_message_bytes - sizeof(wire::Header));
  EXPECT_EQ(client.ask(Command::region_write, longest), EINVAL);
  longest.push_back(0);
  EXPECT_EQ(client.ask(Command::region_write, longest), -1);
  talk_.wait_for("no message");
}

TEST_F(VfioUserServerTest, HangsUpWhereTheNextMessageCannotBeFound) {
  for (const std::uint32_t size : {0u, 15u, wire::most_message_bytes + 1, 0xffffffffu}) {
    const RawClient client(path_);
    EXPECT_EQ(client.negotiate(), 0);
    client.send(payload_of(wire::Header{1, 13, size, 0, 0}));
    EXPECT_FALSE(client.receive().has_value());
  }
}

TEST_F(VfioUserServerTest, SurvivesGarbage) {
  std::minstd_rand random(1);
  for (unsigned turn = 0; turn < 200; ++turn) {
    const RawClient client(path_);
    if (turn % 2 == 0) client.send(message(Command::version, version_payload(0, client_capabilities)));
    for (unsigned part = 0; part < 8; ++part) {
      Bytes garbage(random() % 200);
      for (std::uint8_t& byte : garbage) byte = static_cast<std::uint8_t>(random() >> 8);
      if (turn % 4 >= 2) garbage = message(static_cast<Command>(random() % 20), garbage, 1, wire::flag_no_reply);
      client.send(garbage);
    }
    client.finish_sending();
    while (client.receive().has_value()) continue;
  }
  const RawClient client(path_);
  EXPECT_EQ(client.negotiate(), 0);
}

TEST_F(VfioUserServerTest, GoesOnAfterAClientThatLeavesInTheMiddleOfAMessage) {
  for (const std::size_t length : {1u, 15u, 16u, 20u}) {
    const RawClient client(path_);
    Bytes cut = message(Command::version, version_payload(0, client_capabilities));
    cut.resize(length);
    client.send(cut);
  }
  const RawClient client(path_);
  EXPECT_EQ(client.negotiate(), 0);
}

TEST_F(VfioUserServerTest, ClosesEveryFileThatItWasGiven) {
  const FileDescriptor file = memory_file(4);
  const FileDescriptor counter = event_counter();
  const std::size_t before = open_files();
  for (unsigned turn = 1; turn <= 20; ++turn) {
    {
      const RawClient client(path_);
      EXPECT_EQ(client.negotiate(), 0);
      EXPECT_EQ(client.ask(Command::dma_map, payload_of(wire::DmaMap{32, 3, 0, 0x1000, 0x1000}), {file.number()}), 0);
      const Bytes attach = payload_of(wire::SetIrqs{20, wire::irq_data_eventfd | wire::irq_action_trigger, 2, 0, 1});
      EXPECT_EQ(client.ask(Command::device_set_irqs, attach, {counter.number()}), 0);
      EXPECT_EQ(client.ask(Command::device_reset, {}, std::vector<int>(16, file.number())), 0) << "unasked";
      EXPECT_EQ(client.ask(Command::device_reset, {}, std::vector<int>(60, file.number())), 0) << "far too many";
      EXPECT_EQ(client.ask(Command::dma_map, payload_of(wire::DmaMap{32, 3, 0, 0, 1}), {file.number()}), EINVAL);
      client.send(payload_of(std::uint16_t{1}), {file.number()});  // with the first byte of a message that never ends
    }
    talk_.wait_for("is over", turn);
  }
  // The first client's end of the socket and the server's are closed by now, whoever closed last.
  EXPECT_EQ(open_files(), before);
}

TEST_F(VfioUserServerTest, TellsOfRefusalsWithinBounds) {
  {
    const RawClient client(path_);
    for (unsigned i = 0; i < 50; ++i) EXPECT_EQ(client.ask(Command::device_reset, {}), EINVAL);
  }
  talk_.wait_for("is over");
  EXPECT_EQ(talk_.told("refused a message of command 13: the version is to be agreed upon first"), 20);
}

TEST_F(VfioUserServerTest, EndsWithAClientConnected) {
  const RawClient client(path_);
  EXPECT_EQ(client.negotiate(), 0);
  server_.reset();
  EXPECT_FALSE(client.receive().has_value());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(VfioUserServerTest, EndsWithAClientThatDoesNotListen) {
  const RawClient client(path_);
  EXPECT_EQ(client.negotiate(), 0);
  // More answers than the socket holds: the server waits for room, and this client never makes any.
  const Bytes read = message(Command::region_read, payload_of(wire::RegionAccess{0, 0, MemoryFunction::bar_bytes}));
  for (unsigned i = 0; i < 200; ++i) client.send(read);
  server_.reset();
}

TEST_F(VfioUserServerTest, LetsNobodyElseConnect) {
  struct stat status = {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u & status.st_mode) << "its owner alone";
}

TEST(VfioUserListener, ReplacesASocketThatNobodyListensAt) {
  const TemporaryFolder folder;
  const std::string path = folder.file("nic.sock");
  { const FileDescriptor stale = pci::listen_vfio_user(path); }
  ASSERT_TRUE(std::filesystem::exists(path));
  MemoryFunction function;
  const VfioUserServer server(function, path);
  EXPECT_EQ(RawClient(path).negotiate(), 0);
}

TEST(VfioUserListener, RefusesAPathThatIsTaken) {
  const TemporaryFolder folder;
  const auto refusal = [](const std::string& path) -> std::string {
    try {
      pci::listen_vfio_user(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "listens";
  };
  const FileDescriptor other = pci::listen_vfio_user(folder.file("nic.sock"));
  EXPECT_THAT(refusal(folder.file("nic.sock")), HasSubstr("somebody listens there"));
  const FileDescriptor file(::open(folder.file("file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_THAT(refusal(folder.file("file")), HasSubstr("no socket"));
  EXPECT_THAT(refusal(folder.file("nowhere/nic.sock")), HasSubstr("No such file"));
  EXPECT_THAT(refusal(std::string(200, 'x')), HasSubstr("longer than 107 bytes"));
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
}

}  // namespace
}  // namespace ixcap::emulator
