// Offloads by themselves: segments put together again are the packet, every checksum is right, and headers that are not
// where the driver says are refused without touching the packet.

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/packet_builder.hpp>
#include <ixcap/driver/emulator/transmit_offload.hpp>
#include <ixcap/driver/frame.hpp>

namespace ixcap::emulator {
namespace {

using L4 = TransmitContext::L4;

constexpr Ipv4Address source = 0x0A000001;
constexpr Ipv4Address destination = 0x0A000002;
constexpr Ipv6Address source6{0xFD, 1};
constexpr Ipv6Address destination6{0xFD, 2};
constexpr std::uint32_t mac = 14;

Bytes payload(std::size_t length) {
  Bytes bytes(length);
  for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<std::uint8_t>(i * 13 + i / 256);
  return bytes;
}

/// A right packet of the wanted kind, and its context. MSS is left to the test.
struct Sample {
  Bytes packet;
  TransmitContext context;
};

Sample sample(bool ipv4, L4 l4, std::size_t length) {
  const std::size_t l4_header = l4 == L4::tcp ? tcp_header + 12 : udp_header;
  const std::size_t ip_header = ipv4 ? ipv4_header : ipv6_header;
  PacketBuilder builder(mac + ip_header + l4_header + length);
  const std::uint8_t protocol = l4 == L4::tcp ? protocol_tcp : protocol_udp;
  builder.ethernet({2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}).ethertype(ipv4 ? 0x0800 : 0x86DD);
  if (ipv4) {
    builder.ipv4({source, destination, protocol, 0xFFFE}, l4_header + length);
  } else {
    builder.ipv6({source6, destination6, protocol}, l4_header + length);
  }
  if (l4 == L4::tcp) {
    const TcpHeader header{40000, 80, 0xFFFFFF00, 7, 0x80 | flag_ack | flag_push | flag_fin};
    builder.tcp(header, Bytes(12, 1), payload(length));
  } else {
    builder.udp(40000, 53, payload(length));
  }
  TransmitContext context;
  context.mac_length = mac;
  context.ip_length = static_cast<std::uint32_t>(ip_header);
  context.l4_length = static_cast<std::uint32_t>(l4_header);
  context.ipv4 = ipv4;
  context.l4 = l4;
  return {builder.take(), context};
}

std::uint8_t* l4_of(Sample& sample) {
  return sample.packet.data() + mac + sample.context.ip_length;
}
std::uint32_t checksum_offset(L4 l4) {
  return l4 == L4::tcp ? 16 : 6;
}

/// The pseudo-header's sum over `l4_bytes` of upper layer, 0 of length left out as segmentation wants it.
std::uint16_t seed(const std::uint8_t* ip, bool ipv4, L4 l4, std::uint32_t l4_bytes) {
  const std::span<const std::uint8_t> addresses(ip + (ipv4 ? 12 : 8), ipv4 ? 8 : 32);
  return InternetSum().add(addresses).add(l4 == L4::tcp ? protocol_tcp : protocol_udp).add(l4_bytes).folded();
}

/// Puts zero into the IPv4 checksum and the seed into the other, as a driver does.
void prepare(Sample& sample, bool for_segmentation) {
  std::uint8_t* const ip = sample.packet.data() + mac;
  if (sample.context.ipv4) store_big_16(ip + 10, 0);
  const auto l4_bytes = static_cast<std::uint32_t>(sample.packet.size()) - mac - sample.context.ip_length;
  store_big_16(l4_of(sample) + checksum_offset(sample.context.l4),
               seed(ip, sample.context.ipv4, sample.context.l4, for_segmentation ? 0 : l4_bytes));
}

struct Kind {
  const char* name;
  bool ipv4;
  L4 l4;
};

class Offload : public testing::TestWithParam<Kind> {};

TEST_P(Offload, CompletesChecksums) {
  for (const std::size_t length : {0u, 1u, 18u, 1000u, 1447u}) {
    const Sample right = sample(GetParam().ipv4, GetParam().l4, length);
    Sample prepared = right;
    prepare(prepared, false);
    EXPECT_NE(prepared.packet, right.packet);
    if (GetParam().ipv4) {
      EXPECT_TRUE(insert_ip_checksum(prepared.packet, prepared.context));
    }
    EXPECT_TRUE(insert_l4_checksum(prepared.packet, prepared.context));
    EXPECT_EQ(prepared.packet, right.packet) << length;
  }
}

TEST_P(Offload, CutsIntoSegmentsThatAreRightPacketsByThemselves) {
  const auto [name, ipv4, l4] = GetParam();
  for (const std::size_t length : {0u, 1u, 999u, 1000u, 1001u, 5000u, 64'000u}) {
    Sample whole = sample(ipv4, l4, length);
    const Bytes data = payload(length);
    whole.context.mss = 1000;
    if (length <= 65'000) prepare(whole, true);
    Segmentation segmentation(whole.packet, whole.context);
    ASSERT_TRUE(segmentation.sound());
    ASSERT_EQ(segmentation.segments(), std::max<std::size_t>(1, (length + 999) / 1000));
    Bytes put_together;
    Bytes room(segmentation.longest_segment());
    std::uint32_t count = 0;
    const std::uint32_t headers = whole.context.header_length();
    while (const std::uint32_t bytes = segmentation.next(room.data())) {
      const std::uint8_t* const ip = room.data() + mac;
      const std::uint8_t* const upper = ip + whole.context.ip_length;
      const std::uint32_t l4_bytes = bytes - mac - whole.context.ip_length;
      if (ipv4) {
        EXPECT_EQ(load_big_16(ip + 2), bytes - mac);
        EXPECT_EQ(load_big_16(ip + 4), static_cast<std::uint16_t>(0xFFFE + count)) << "wraps around";
        EXPECT_EQ(InternetSum().add({ip, 20}).folded(), 0xFFFF);
      } else {
        EXPECT_EQ(load_big_16(ip + 4), l4_bytes);
      }
      EXPECT_EQ(InternetSum().add(seed(ip, ipv4, l4, l4_bytes)).add({upper, l4_bytes}).folded(), 0xFFFF);
      if (l4 == L4::tcp) {
        EXPECT_EQ(load_big_32(upper + 4), 0xFFFFFF00 + count * 1000);
        const bool last = count + 1 == segmentation.segments();
        const unsigned flags = flag_ack | (count == 0 ? 0x80u : 0u) | (last ? flag_fin | flag_push : 0u);
        EXPECT_EQ(upper[13], flags) << "CWR on the first only, FIN and PSH on the last only";
      } else {
        EXPECT_EQ(load_big_16(upper + 4), l4_bytes);
      }
      put_together.insert(put_together.end(), room.begin() + headers, room.begin() + bytes);
      ++count;
    }
    EXPECT_EQ(count, segmentation.segments());
    EXPECT_EQ(put_together, data);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Offload,
                         testing::Values(Kind{"TcpOverIpv4", true, L4::tcp}, Kind{"UdpOverIpv4", true, L4::udp},
                                         Kind{"TcpOverIpv6", false, L4::tcp}, Kind{"UdpOverIpv6", false, L4::udp}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(TransmitOffload, WritesAllOnesWhereUdpWouldHaveNoChecksum) {
  Sample udp = sample(true, L4::udp, 2);
  prepare(udp, false);
  // Make the sum come out as all ones, so that its complement is zero.
  const std::uint16_t sum = InternetSum().add({l4_of(udp), 8}).folded();
  store_big_16(l4_of(udp) + 8, 0xFFFFu - sum);
  ASSERT_TRUE(insert_l4_checksum(udp.packet, udp.context));
  EXPECT_EQ(load_big_16(l4_of(udp) + 6), 0xFFFF);
}

TEST(TransmitOffload, ComputesSctpsCrc) {
  Bytes packet(mac + 20 + 12 + 9);
  const std::string_view text = "123456789";
  std::copy(text.begin(), text.end(), packet.end() - 9);
  packet[mac + 20 + 8] = 0xAA;  // what was in the field does not matter
  TransmitContext context{.mac_length = mac, .ip_length = 20, .ipv4 = true, .l4 = L4::sctp};
  ASSERT_TRUE(insert_l4_checksum(packet, context));
  Bytes zeroed(packet.begin() + mac + 20, packet.end());
  std::fill(zeroed.begin() + 8, zeroed.begin() + 12, std::uint8_t{0});
  const std::uint32_t crc = crc32c(zeroed);
  EXPECT_EQ(std::memcmp(packet.data() + mac + 20 + 8, &crc, 4), 0);
}

TEST(TransmitOffload, ComputesALegacyChecksum) {
  Bytes packet(40, 1);
  EXPECT_TRUE(insert_legacy_checksum(packet, 14, 38));
  EXPECT_EQ(load_big_16(packet.data() + 38), static_cast<std::uint16_t>(~InternetSum().add(Bytes(26, 1)).folded()));
  const Bytes before = packet;
  EXPECT_FALSE(insert_legacy_checksum(packet, 14, 39)) << "half of it outside";
  EXPECT_FALSE(insert_legacy_checksum(packet, 40, 20));
  EXPECT_EQ(packet, before);
}

TEST(TransmitOffload, RefusesSegmentsThatMakeNoSense) {
  const Sample good = sample(true, L4::tcp, 5000);
  const auto sound = [&good](auto change) {
    Sample bad = good;
    bad.context.mss = 1000;
    change(bad);
    return Segmentation(bad.packet, bad.context).sound();
  };
  EXPECT_TRUE(sound([](Sample&) {}));
  EXPECT_FALSE(sound([](Sample& bad) { bad.context.mss = 0; }));
  EXPECT_FALSE(sound([](Sample& bad) { bad.context.mss = 1; })) << "too many segments";
  EXPECT_FALSE(sound([](Sample& bad) { bad.context.mac_length = 13; }));
  EXPECT_FALSE(sound([](Sample& bad) { bad.context.ip_length = 19; }));
  EXPECT_FALSE(sound([](Sample& bad) { bad.context.l4_length = 19; }));
  EXPECT_FALSE(sound([](Sample& bad) { bad.context.ipv4 = false; })) << "20 bytes hold no IPv6 header";
  EXPECT_FALSE(sound([](Sample& bad) { bad.context.l4 = L4::sctp; }));
  EXPECT_FALSE(sound([](Sample& bad) { bad.context.l4 = L4::reserved; }));
  EXPECT_FALSE(sound([](Sample& bad) { bad.packet.resize(bad.context.header_length() - 1); }));
  EXPECT_FALSE(sound([](Sample& bad) {
    bad.packet.resize(40'000);
    bad.context.mss = longest_frame;
  })) << "segments longer than a frame";
}

TEST(TransmitOffload, SurvivesGarbage) {
  std::mt19937 random(1);
  for (int i = 0; i < 50'000; ++i) {
    Bytes packet(random() % 200);
    const ixgbe::TransmitDescriptor descriptor{random() | std::uint64_t{random()} << 32,
                                               static_cast<std::uint32_t>(random()),
                                               static_cast<std::uint32_t>(random())};
    TransmitContext context = TransmitContext::of(descriptor);
    if (i % 2 == 0) context.mac_length = mac;
    if (i % 4 == 0) context.ip_length = 20;
    if (i % 8 == 0) context.l4_length = 20;
    insert_ip_checksum(packet, context);
    insert_l4_checksum(packet, context);
    insert_legacy_checksum(packet, static_cast<std::uint32_t>(random() % 256),
                           static_cast<std::uint32_t>(random() % 256));
    Segmentation segmentation(packet, context);
    if (!segmentation.sound()) continue;
    Bytes room(segmentation.longest_segment());
    while (segmentation.next(room.data()) != 0) {
    }
  }
}

}  // namespace
}  // namespace ixcap::emulator
