// A TAP interface as a wire. Names that are none are refused with a sentence; frames cross where this machine lets the
// test make an interface, which takes root.

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <ixcap/driver/emulator/tap_wire.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::emulator {
namespace {

constexpr int patience_ms = 5000;

TEST(TapWire, RefusesNamesThatAreNone) {
  for (const char* name : {"", ".", "..", "sixteen_letters_", "a b", "a/b", "a:1", "tap%d", "\xFF"}) {
    EXPECT_THROW(TapWire wire(name), Error) << name;
  }
}

class TapWireTest : public testing::Test {
 protected:
  void SetUp() override {
    try {
      wire_ = std::make_unique<TapWire>(name_);
    } catch (const Error& error) {
      GTEST_SKIP() << "no TAP interface here: " << error.what();
    }
    ifreq request{};
    name_.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    stack_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    ASSERT_GE(stack_, 0) << std::strerror(errno);
    ASSERT_EQ(::ioctl(stack_, SIOCSIFFLAGS, &request), 0) << std::strerror(errno);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(name_.c_str()));
    ASSERT_EQ(::bind(stack_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
  }
  void TearDown() override {
    if (stack_ >= 0) ::close(stack_);
  }

  static bool readable(int file) {
    pollfd poll{file, POLLIN, 0};
    return ::poll(&poll, 1, patience_ms) == 1;
  }

  const std::string name_ = "ixt" + std::to_string(::getpid() % 100'000'000);
  std::unique_ptr<TapWire> wire_;
  int stack_ = -1;
};

/// Of an ethertype for experiments, so that nothing else on the interface is taken for it.
std::vector<std::uint8_t> sample_frame() {
  std::vector<std::uint8_t> frame(100, 0x42);
  std::fill_n(frame.begin(), 6, std::uint8_t{0xFF});
  frame[6] = 2;
  frame[12] = 0x88;
  frame[13] = 0xB5;
  return frame;
}

TEST_F(TapWireTest, CarriesFramesToTheStack) {
  const std::vector<std::uint8_t> frame = sample_frame();
  wire_->send(frame);
  EXPECT_EQ(wire_->lost(), 0u);
  std::vector<std::uint8_t> received(2000);
  do {
    ASSERT_TRUE(readable(stack_));
    received.resize(2000);
    const ssize_t length = ::recv(stack_, received.data(), received.size(), 0);
    ASSERT_GT(length, 0);
    received.resize(static_cast<std::size_t>(length));
  } while (received.size() < 14 || received[12] != 0x88 || received[13] != 0xB5);
  EXPECT_EQ(received, frame);
}

TEST_F(TapWireTest, CarriesFramesFromTheStack) {
  const std::vector<std::uint8_t> frame = sample_frame();
  ASSERT_EQ(::send(stack_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  for (;;) {
    ASSERT_TRUE(readable(wire_->file()));
    const auto received = wire_->receive();
    ASSERT_FALSE(received.empty());
    if (received.size() < 14 || received[12] != 0x88 || received[13] != 0xB5) continue;  // the stack's own talk
    EXPECT_TRUE(std::equal(received.begin(), received.end(), frame.begin(), frame.end()));
    break;
  }
}

TEST_F(TapWireTest, PadsShortFramesOfTheStackAsACardWould) {
  std::vector<std::uint8_t> frame = sample_frame();
  frame.resize(42);
  ASSERT_EQ(::send(stack_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  std::vector<std::uint8_t> received;
  do {
    ASSERT_TRUE(readable(wire_->file()));
    const auto bytes = wire_->receive();
    received.assign(bytes.begin(), bytes.end());
  } while (received.size() < 14 || received[12] != 0x88 || received[13] != 0xB5);
  frame.resize(60, 0);
  EXPECT_EQ(received, frame);
  EXPECT_GE(wire_->padding(), 18u);
}

TEST_F(TapWireTest, TellsWhetherTheInterfaceIsUp) {
  EXPECT_TRUE(wire_->up());
  ifreq request{};
  name_.copy(request.ifr_name, IFNAMSIZ - 1);
  ASSERT_EQ(::ioctl(stack_, SIOCSIFFLAGS, &request), 0) << std::strerror(errno);
  EXPECT_FALSE(wire_->up());
}

TEST_F(TapWireTest, AnswersWithNothingWhenNothingIsThere) {
  while (!wire_->receive().empty()) {
  }
}

TEST_F(TapWireTest, TellsWhoHoldsTheInterfaceAlready) {
  try {
    const TapWire again(name_);
    FAIL() << "opened twice";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(name_), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace ixcap::emulator
