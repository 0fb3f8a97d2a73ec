// Addresses and ports are found wherever they are captured, nothing is found where they are not, and not a byte behind
// the captured ones is read.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/flow_key.hpp>

#include "tests/filter/packets.hpp"

namespace ixcap::filter {
namespace {

const Flow flow4 = {6, Address::ipv4(0x0a000001), 1234, Address::ipv4(0x0a000002), 80};
const Flow flow6 = {17, Address::parse("2001:db8::1"), 5353, Address::parse("2001:db8::2"), 53};

constexpr std::uint32_t ip_at = 14;

void expect_flow(const Bytes& bytes, const Flow& flow) {
  const FrameKey key = frame_key(frame_of(bytes));
  EXPECT_TRUE(key.has_source && key.has_destination && key.has_ports);
  EXPECT_EQ(key.flow, flow);
}

void expect_addresses_only(const Bytes& bytes, const Flow& flow) {
  const FrameKey key = frame_key(frame_of(bytes));
  EXPECT_TRUE(key.has_source && key.has_destination);
  EXPECT_FALSE(key.has_ports);
  EXPECT_EQ(key.flow.source, flow.source);
  EXPECT_EQ(key.flow.destination, flow.destination);
}

void expect_nothing(const Bytes& bytes) {
  const FrameKey key = frame_key(frame_of(bytes));
  EXPECT_FALSE(key.has_source || key.has_destination || key.has_ports);
}

Bytes tagged(std::initializer_list<std::uint16_t> ethertypes) {
  Bytes bytes(12, 2);
  for (const std::uint16_t ethertype : ethertypes) {
    put(bytes, ethertype, 2);
    if (ethertype == 0x8100 || ethertype == 0x88a8) put(bytes, 5, 2);
  }
  return bytes;
}

TEST(Address, IsReadAndWrittenAsText) {
  EXPECT_EQ(Address::parse("10.0.0.1"), Address::ipv4(0x0a000001));
  EXPECT_EQ(Address::parse("10.0.0.1").to_string(), "10.0.0.1");
  EXPECT_EQ(Address::parse("2001:db8::1").to_string(), "2001:db8::1");
  for (const std::string_view text : {"", "10.0.0", "10.0.0.1 ", "example.org", "10.0.0.0/8", "::1%eth0"}) {
    EXPECT_THROW(Address::parse(text), Error) << text;
  }
  EXPECT_THROW(Address::parse(std::string_view("10.0.0.1\0", 9)), Error);
}

TEST(FrameKey, FindsTheFlowOfBothFamiliesAndEveryProtocolWithPorts) {
  for (Flow flow : {flow4, flow6}) {
    for (const std::uint8_t protocol : std::to_array<std::uint8_t>({6, 17, 132})) {
      flow.protocol = protocol;
      expect_flow(packet_of(flow), flow);
    }
    for (const std::uint8_t protocol : std::to_array<std::uint8_t>({1, 47, 50, 58})) {
      flow.protocol = protocol;
      expect_addresses_only(packet_of(flow), flow);
    }
  }
}

TEST(FrameKey, LooksBehindTwoTagsAndNoMore) {
  expect_flow(packet_of(flow4, tagged({0x8100, 0x0800})), flow4);
  expect_flow(packet_of(flow4, tagged({0x88a8, 0x0800})), flow4);
  expect_flow(packet_of(flow6, tagged({0x88a8, 0x8100, 0x86dd})), flow6);
  expect_nothing(packet_of(flow4, tagged({0x88a8, 0x8100, 0x8100, 0x0800})));
}

TEST(FrameKey, FindsNothingInWhatIsNotIp) {
  expect_nothing({});
  expect_nothing(packet_of(flow4, ethernet(0x0806)));
  expect_nothing(packet_of(flow6, ethernet(0x0800)));
  expect_nothing(packet_of(flow4, ethernet(0x86dd)));
  Bytes short_header = packet_of(flow4);
  short_header[ip_at] = 0x44;
  expect_nothing(short_header);
}

TEST(FrameKey, GoesByTheLengthOfAnIpv4Header) {
  Bytes options = packet_of(flow4);
  options[ip_at] = 0x46;
  options.insert(options.begin() + ip_at + 20, 4, 0);
  expect_flow(options, flow4);
}

TEST(FrameKey, FindsPortsInFirstFragmentsOnly) {
  Bytes first = packet_of(flow4);
  first[ip_at + 6] = 0x20;
  expect_flow(first, flow4);
  Bytes later = packet_of(flow4);
  later[ip_at + 7] = 1;
  expect_addresses_only(later, flow4);

  const std::uint32_t extension_at = ip_at + 40;
  Bytes first6 = packet_of(flow6, {}, {44});
  first6[extension_at + 3] = 1;  // more fragments
  expect_flow(first6, flow6);
  Bytes later6 = packet_of(flow6, {}, {44});
  later6[extension_at + 3] = 8;
  expect_addresses_only(later6, flow6);
}

TEST(FrameKey, WalksOverExtensionHeadersUpToABound) {
  expect_flow(packet_of(flow6, {}, {0, 43, 60, 44, 135, 139, 140}), flow6);
  expect_flow(packet_of(flow6, {}, {0, 0, 0, 0, 0, 0, 0, 0}), flow6);
  expect_addresses_only(packet_of(flow6, {}, {0, 0, 0, 0, 0, 0, 0, 0, 0}), flow6);

  const std::uint32_t extension_at = ip_at + 40;
  Bytes long_one = packet_of(flow6, {}, {60});
  long_one[extension_at + 1] = 2;
  long_one.insert(long_one.begin() + extension_at + 8, 16, 0);
  expect_flow(long_one, flow6);
  Bytes authenticated = packet_of(flow6, {}, {51});
  authenticated[extension_at + 1] = 4;  // of four bytes each, less two
  authenticated.insert(authenticated.begin() + extension_at + 8, 16, 0);
  expect_flow(authenticated, flow6);
  Bytes beyond = packet_of(flow6, {}, {60});
  beyond[extension_at + 1] = 255;
  expect_addresses_only(beyond, flow6);
}

TEST(HostKey, ReadsWhatHostReads) {
  const FrameKey ip = host_key(frame_of(packet_of(flow4)));
  EXPECT_TRUE(ip.has_source && ip.has_destination && !ip.has_ports);
  EXPECT_EQ(ip.flow.source, flow4.source);
  EXPECT_EQ(ip.flow.destination, flow4.destination);
  EXPECT_EQ(host_key(frame_of(packet_of(flow6))).flow.destination, flow6.destination);
  for (const std::uint16_t ethertype : std::to_array<std::uint16_t>({0x0806, 0x8035})) {
    Bytes arp = ethernet(ethertype);
    put(arp, 0x0001'0800'0604'0001, 8);
    arp.insert(arp.end(), 6, 2);
    put(arp, flow4.source);
    arp.insert(arp.end(), 6, 0);
    put(arp, flow4.destination);
    const FrameKey key = host_key(frame_of(arp));
    EXPECT_TRUE(key.has_source && key.has_destination);
    EXPECT_EQ(key.flow.source, flow4.source);
    EXPECT_EQ(key.flow.destination, flow4.destination);
    arp.pop_back();
    const FrameKey cut = host_key(frame_of(arp));
    EXPECT_TRUE(cut.has_source && !cut.has_destination);
  }
  EXPECT_FALSE(host_key(frame_of(packet_of(flow4, tagged({0x8100, 0x0800})))).has_source);
}

/// Two pages, the second of which nobody may touch.
class Fence {
 public:
  Fence()
      : size_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))),
        pages_(static_cast<std::uint8_t*>(
            mmap(nullptr, 2 * size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    mprotect(pages_ + size_, size_, PROT_NONE);
  }
  ~Fence() { munmap(pages_, 2 * size_); }
  Fence(const Fence&) = delete;
  Fence& operator=(const Fence&) = delete;

  /// The first `length` bytes, right before the fence.
  Frame cut(const Bytes& bytes, std::size_t length) {
    std::uint8_t* const start = pages_ + size_ - length;
    if (length != 0) std::memcpy(start, bytes.data(), length);
    return {start, static_cast<std::uint32_t>(length), static_cast<std::uint32_t>(bytes.size())};
  }

 private:
  std::size_t size_;
  std::uint8_t* pages_;
};

TEST(FrameKey, ReadsNothingBehindTheCapturedBytes) {
  std::vector<Bytes> frames = sample_frames();
  frames.push_back(packet_of(flow6, tagged({0x88a8, 0x8100, 0x86dd}), {0, 43, 51, 44, 60}));
  frames.push_back(packet_of(flow4, tagged({0x8100, 0x0800})));
  Fence fence;
  for (const Bytes& frame : frames) {
    const FrameKey whole = frame_key(frame_of(frame));
    const FrameKey whole_host = host_key(frame_of(frame));
    for (std::size_t length = 0; length <= std::min<std::size_t>(frame.size(), 4096); ++length) {
      const FrameKey key = frame_key(fence.cut(frame, length));
      if (key.has_source) {
        ASSERT_EQ(key.flow.source, whole.flow.source);
      }
      if (key.has_ports) {
        ASSERT_EQ(key.flow, whole.flow);
      }
      const FrameKey host = host_key(fence.cut(frame, length));
      if (host.has_source) {
        ASSERT_EQ(host.flow.source, whole_host.flow.source);
      }
      if (host.has_destination) {
        ASSERT_EQ(host.flow.destination, whole_host.flow.destination);
      }
    }
  }
}

TEST(FrameKey, TakesAnyBytes) {
  Random random(1);
  Fence fence;
  for (int i = 0; i < 200'000; ++i) {
    Bytes bytes = random_frame(random);
    if (bytes.size() > 20 && i % 4 != 0) {
      const bool ipv6 = i % 2 != 0;
      bytes[12] = ipv6 ? 0x86 : 0x08;
      bytes[13] = ipv6 ? 0xdd : 0x00;
      bytes[14] = static_cast<std::uint8_t>((ipv6 ? 0x60 : 0x40) | bytes[14] % 16);
    }
    frame_key(fence.cut(bytes, bytes.size()));
    host_key(fence.cut(bytes, bytes.size()));
  }
}

}  // namespace
}  // namespace ixcap::filter
