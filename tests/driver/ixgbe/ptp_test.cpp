// PTP event messages are found wherever they may be, and nothing else is taken for one.

#include <gtest/gtest.h>

#include <random>

#include <ixcap/driver/ixgbe/ptp.hpp>

#include "tests/driver/ptp_frames.hpp"

namespace ixcap::ixgbe {
namespace {

using test::PtpFrame;

TEST(Ptp, FindsEventMessages) {
  for (const bool over_udp : {false, true}) {
    for (const std::uint16_t vlan : {std::uint16_t{0}, std::uint16_t{7}}) {
      for (std::uint8_t type = 0; type < 16; ++type) {
        const auto frame = PtpFrame{.type = type, .sequence = 0x1234, .vlan = vlan, .over_udp = over_udp}.bytes();
        const auto message = ptp_event(frame);
        ASSERT_EQ(message.empty(), type > 3) << "over UDP " << over_udp << ", VLAN " << vlan << ", type " << +type;
        if (message.empty()) continue;
        EXPECT_EQ(message[ptp_identity_offset], 0x11);
        EXPECT_EQ(message[ptp_sequence_offset], 0x12);
      }
    }
  }
}

TEST(Ptp, FindsThemOverIpv6) {
  std::vector<std::uint8_t> frame = PtpFrame{.over_udp = true}.bytes();
  constexpr std::size_t ip = 14;
  std::vector<std::uint8_t> header(40);
  header[0] = 0x60;
  header[6] = 17;
  frame[12] = 0x86;
  frame[13] = 0xDD;
  frame.erase(frame.begin() + ip, frame.begin() + ip + 20);
  frame.insert(frame.begin() + ip, header.begin(), header.end());
  EXPECT_FALSE(ptp_event(frame).empty());
  frame[ip + 6] = 6;
  EXPECT_TRUE(ptp_event(frame).empty());
}

TEST(Ptp, TakesNothingElseForOne) {
  EXPECT_TRUE(ptp_event(PtpFrame{.version = 1}.bytes()).empty());
  EXPECT_TRUE(ptp_event(PtpFrame{.over_udp = true, .port = 320}.bytes()).empty());
  auto fragment = PtpFrame{.over_udp = true}.bytes();
  fragment[20] = 0x20;  // more fragments
  EXPECT_TRUE(ptp_event(fragment).empty());
  auto other = PtpFrame{}.bytes();
  other[13] = 0xCC;
  EXPECT_TRUE(ptp_event(other).empty());
}

TEST(Ptp, StaysWithinAFrame) {
  std::mt19937 random(1);
  for (const bool over_udp : {false, true}) {
    const auto whole = PtpFrame{.vlan = 7, .over_udp = over_udp}.bytes();
    for (std::size_t length = 0; length < whole.size(); ++length) {
      // Memory of its own, whose end a sanitizer watches.
      std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      cut.shrink_to_fit();
      const auto message = ptp_event(cut);
      EXPECT_TRUE(message.empty() || message.data() + message.size() == cut.data() + cut.size());
      for (std::uint8_t& byte : cut) byte = static_cast<std::uint8_t>(random());
      ptp_event(cut);
    }
  }
}

}  // namespace
}  // namespace ixcap::ixgbe
