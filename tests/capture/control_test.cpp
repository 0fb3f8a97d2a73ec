// The owner of a shared capture changes it from another process; nobody else does, and no message does harm.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <random>
#include <thread>

#include <ixcap/capture/attach.hpp>
#include <ixcap/capture/control.hpp>
#include <ixcap/capture/session.hpp>
#include <ixcap/capture/share.hpp>
#include <ixcap/filter/expression.hpp>

#include "tests/files.hpp"

namespace ixcap::capture {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Controlled : public testing::Test {
 protected:
  pci::FileDescriptor connect() const {
    pci::FileDescriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return socket;
  }

  test::TemporaryFolder folder;
  const std::string name = folder.file("capture.sock");
  Session session{{.interface = "emulator:mix?rate=1kpps", .expression = "tcp"}};
  std::optional<Share> share{std::in_place,   name,         pcapng::InterfaceDescription{},
                             session.rings(), Share::Log{}, commands_for(session)};
};

TEST_F(Controlled, FiltersAreAddedReplacedRemovedAndListed) {
  Control control(name);
  EXPECT_THAT(control.filters(), ElementsAre(Filters::Entry{0, "tcp"}));
  EXPECT_EQ(control.add_filter("udp port 53"), 1u);
  EXPECT_EQ(session.filters().bits(), 3u) << "it holds when the call returns";
  EXPECT_EQ(control.add_filter("arp"), 2u);
  control.replace_filter(0, "icmp");
  control.remove_filter(1);
  const std::vector<Filters::Entry> expected{{0, "icmp"}, {2, "arp"}};
  EXPECT_EQ(control.filters(), expected);
  EXPECT_EQ(session.filters().list(), expected);
  EXPECT_THAT(session.filters().changes_since(0).front().by,
              HasSubstr("user " + std::to_string(geteuid()) + " (process " + std::to_string(getpid()) + ")"));
}

TEST_F(Controlled, WhatTheCaptureRefusesIsThrownHere) {
  Control control(name);
  try {
    control.add_filter("tcp prot 80");
    FAIL();
  } catch (const filter::ExpressionError& error) {
    EXPECT_EQ(error.picture(), "tcp prot 80\n    ^");
  }
  try {
    control.remove_filter(9);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.subject(), "bit 9");
    EXPECT_EQ(error.reason(), "no filter has it");
  }
  EXPECT_THROW(control.add_filter(std::string(longest_control_text + 1, 'x')), Error);
  std::string hosts = "host 10.0.0.1";
  for (int i = 2; i < 40; ++i) hosts += " or host 10.0.0." + std::to_string(i);
  EXPECT_EQ(control.add_filter(hosts), 1u) << "still connected";
  EXPECT_EQ(control.filters().back().expression, hosts);
}

TEST_F(Controlled, SixtyFourFiltersAreListed) {
  Control control(name);
  for (unsigned bit = 1; bit < filter::most_filters; ++bit) session.filters().add("");
  EXPECT_EQ(control.filters(), session.filters().list());
  EXPECT_THROW(control.add_filter("udp"), Error);
}

TEST_F(Controlled, TheLedgerIsTold) {
  Control control(name);
  session.start();
  session.stop();
  EXPECT_EQ(control.statistics(), session.ledger().to_string());
}

TEST_F(Controlled, ReadersComeAndGoMeanwhile) {
  Control control(name);
  const Attachment reader({.name = name});
  EXPECT_EQ(share->readers(), 1u) << "a controller is none";
  control.add_filter("udp");
}

TEST_F(Controlled, TheEndOfTheCaptureIsTold) {
  Control control(name);
  control.filters();
  share.reset();
  EXPECT_THROW(control.filters(), Error);
  EXPECT_THROW(Control{name}, Error);
}

TEST_F(Controlled, MoreConnectionsThanThereCanBeAreRefused) {
  std::vector<std::unique_ptr<Control>> controls;
  for (std::size_t i = 0; i < ControlServer::most_connections; ++i) {
    controls.push_back(std::make_unique<Control>(name));
    controls.back()->filters();
  }
  try {
    Control(name).filters();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.reason(), "too many others do so now");
  }
  controls.clear();
  const auto served_again = [&] {
    try {
      return Control(name).filters().size() == 1;
    } catch (const Error&) {
      return false;
    }
  };
  while (!served_again()) std::this_thread::yield();
}

TEST_F(Controlled, AReaderOfAnotherUserIsNotObeyed) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can be somebody else";
  const std::string parent = name.substr(0, name.rfind('/'));
  ASSERT_EQ(chmod(parent.c_str(), 0755), 0);
  ASSERT_EQ(chmod(name.c_str(), 0666), 0);
  const pid_t child = fork();
  if (child == 0) {
    constexpr uid_t nobody = 65534;
    if (setresuid(nobody, nobody, nobody) != 0) _exit(2);
    try {
      const Attachment may_read({.name = name});
      Control(name).add_filter("udp");
    } catch (const Error& error) {
      _exit(error.reason().starts_with("it is somebody else's") ? 0 : 3);
    }
    _exit(4);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(session.filters().changes(), 0u);
}

ControlMessage request(ControlVerb verb, std::uint32_t text_bytes) {
  ControlMessage message = {};
  message.magic = control_magic;
  message.version = control_version;
  message.code = static_cast<std::uint32_t>(verb);
  message.text_bytes = text_bytes;
  return message;
}

ControlStatus status_of(const ControlMessage& message, const std::string& text) {
  std::vector<char> bytes(sizeof message + text.size());
  std::memcpy(bytes.data(), &message, sizeof message);
  text.copy(bytes.data() + sizeof message, text.size());
  ControlStatus status = ControlStatus::done;
  return parse_command(bytes, status).has_value() ? ControlStatus::done : status;
}

TEST(ControlProtocol, OnlyWholeRequestsAreCommands) {
  EXPECT_EQ(status_of(request(ControlVerb::add_filter, 3), "udp"), ControlStatus::done);
  EXPECT_EQ(status_of(request(ControlVerb::add_filter, 4), "udp"), ControlStatus::malformed);
  EXPECT_EQ(status_of(request(ControlVerb::add_filter, 2), "udp"), ControlStatus::malformed);
  EXPECT_EQ(status_of(request(ControlVerb::add_filter, 3), std::string("u\0p", 3)), ControlStatus::malformed);
  EXPECT_EQ(status_of(request(ControlVerb{0}, 0), ""), ControlStatus::malformed);
  EXPECT_EQ(status_of(request(ControlVerb{6}, 0), ""), ControlStatus::malformed);
  const std::string long_text(longest_control_text + 1, 'x');
  EXPECT_EQ(status_of(request(ControlVerb::add_filter, longest_control_text + 1), long_text), ControlStatus::malformed);
  ControlMessage other = request(ControlVerb::statistics, 0);
  other.version = 2;
  EXPECT_EQ(status_of(other, ""), ControlStatus::other_version);
  ControlStatus status = ControlStatus::done;
  EXPECT_FALSE(parse_command({}, status).has_value());
  EXPECT_EQ(status, ControlStatus::malformed);
}

TEST(ControlProtocol, LongAnswersAreCut) {
  const std::vector<char> message = encode_reply({.text = std::string(longest_control_text + 100, 'x')});
  EXPECT_EQ(message.size(), sizeof(ControlMessage) + longest_control_text);
}

// Messages of random length and content, and real ones with bits turned over.
TEST_F(Controlled, GarbageDoesNoHarm) {
  constexpr std::uint32_t seed = 5;
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 500; ++round) {
    const pci::FileDescriptor socket = connect();
    std::vector<char> bytes(random() % 300);
    for (char& byte : bytes) byte = static_cast<char>(random());
    if (round % 2 == 0) {
      const ControlMessage message = request(static_cast<ControlVerb>(1 + random() % 5), 3);
      bytes.resize(sizeof message + 3, 'u');
      std::memcpy(bytes.data(), &message, sizeof message);
      bytes[8 + random() % (bytes.size() - 8)] ^= static_cast<char>(1u << random() % 8);
    }
    ASSERT_EQ(send(socket.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    if (bytes.empty()) continue;  // the same as the end of the connection
    char answer[8192];
    EXPECT_GT(recv(socket.number(), answer, sizeof answer, 0), 0) << "round " << round;
  }
  Control control(name);
  const std::vector<Filters::Entry> filters = control.filters();
  EXPECT_EQ(filters, session.filters().list());
}

TEST_F(Controlled, WithoutAHandlerNothingIsControlled) {
  RingMemory memory({.size_bytes = RingMemory::smallest_size_bytes});
  const std::string other = folder.file("other.sock");
  const Share no_control(other, {}, {&memory});
  Control control(other);
  try {
    control.filters();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.reason(), "it takes no commands");
  }
}

}  // namespace
}  // namespace ixcap::capture
