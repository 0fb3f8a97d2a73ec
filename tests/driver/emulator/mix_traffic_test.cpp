// The mix is the same everywhere, has what filters tell apart, and every length and checksum in it is right.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ixcap/driver/emulator/mix_traffic.hpp>
#include <ixcap/driver/frame.hpp>

#include "tests/process.hpp"

namespace ixcap::emulator {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// One period of the mix that `options` describe.
std::vector<Bytes> mix(const std::string& options) {
  MixTraffic traffic(parse_traffic("mix?" + options));
  std::vector<Bytes> frames(traffic.period());
  for (Bytes& frame : frames) {
    const WireFrame* const next = traffic.next();
    frame.assign(next->bytes, next->bytes + next->captured_length);
    EXPECT_EQ(next->wire_length, next->captured_length);
  }
  return frames;
}

/// Frames that libpcap's own interpreter lets through.
std::size_t matches(const std::vector<Bytes>& frames, const char* expression) {
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> dead(pcap_open_dead(DLT_EN10MB, 65535), pcap_close);
  bpf_program program{};
  EXPECT_EQ(pcap_compile(dead.get(), &program, expression, 1, PCAP_NETMASK_UNKNOWN), 0) << expression;
  const auto count = std::ranges::count_if(frames, [&](const Bytes& frame) {
    pcap_pkthdr header{};
    header.caplen = header.len = static_cast<std::uint32_t>(frame.size());
    return pcap_offline_filter(&program, &header, frame.data()) != 0;
  });
  pcap_freecode(&program);
  return static_cast<std::size_t>(count);
}

std::uint64_t fnv1a(const std::vector<Bytes>& frames) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const Bytes& frame : frames) {
    for (const std::uint8_t byte : frame) hash = (hash ^ byte) * 0x100000001b3;
  }
  return hash;
}

TEST(MixTraffic, IsTheSameOnEveryMachine) {
  EXPECT_EQ(fnv1a(mix("seed=1")), 14778424508551934576u);
  EXPECT_EQ(fnv1a(mix("seed=1&size=64")), 62191455595181423u);
  EXPECT_NE(fnv1a(mix("seed=2")), fnv1a(mix("seed=1")));
}

TEST(MixTraffic, RepeatsItsPoolUntilItsCount) {
  const std::vector<Bytes> frames = mix("size=64");
  EXPECT_EQ(frames.size(), 4080u);
  EXPECT_EQ(mix("").size(), 2640u);
  const auto traffic = open_traffic(parse_traffic("mix?size=64&count=10000"));
  for (std::size_t i = 0; i < 10000; ++i) {
    const WireFrame* const frame = traffic->next();
    ASSERT_NE(frame, nullptr);
    ASSERT_TRUE(std::equal(frame->bytes, frame->bytes + frame->captured_length, frames[i % frames.size()].begin()));
  }
  EXPECT_EQ(traffic->next(), nullptr);
  EXPECT_EQ(traffic->next(), nullptr);
  EXPECT_FALSE(traffic->failure());
}

TEST(MixTraffic, PadsByLengthOnly) {
  const auto traffic = open_traffic(parse_traffic("mix?size=64&pad=100&count=1"));
  const WireFrame* const frame = traffic->next();
  EXPECT_EQ(frame->captured_length, 60u);
  EXPECT_EQ(frame->wire_length, 100u);
  EXPECT_EQ(traffic->zero_filled(), 0u);
}

TEST(MixTraffic, HasItsSizesExactly) {
  for (const std::uint32_t size : {64u, 65u, 81u, 128u, 1518u, 9018u, 15872u}) {
    for (const Bytes& frame : mix("size=" + std::to_string(size))) ASSERT_EQ(frame.size(), size - 4);
  }
  std::map<std::size_t, std::size_t> count_of_size;
  for (const Bytes& frame : mix("")) {
    const bool one_tag = frame[12] == 0x81;
    const bool two_tags = frame[12] == 0x88;
    ++count_of_size[frame.size() + 4 - (two_tags ? 8 : one_tag ? 4 : 0)];
  }
  EXPECT_EQ(count_of_size, (std::map<std::size_t, std::size_t>{{64, 1540}, {594, 880}, {1518, 220}}));
}

TEST(MixTraffic, RefusesSizesNoFrameHas) {
  for (const std::uint32_t size : {0u, 63u, 15873u}) {
    EXPECT_THROW(open_traffic({.sizes = TrafficSpec::Sizes::fixed, .fixed_size = size}), Error);
  }
}

TEST(MixTraffic, GivesEveryKindOfFilterAShare) {
  for (const char* const options : {"", "size=64", "size=128", "size=1518"}) {
    const std::vector<Bytes> frames = mix(options);
    for (const char* const expression :
         {"tcp", "udp", "udp port 53", "ip6", "arp", "icmp", "vlan", "vlan and vlan", "tcp[tcpflags] & tcp-syn != 0",
          "tcp[tcpflags] & (tcp-syn|tcp-ack) == (tcp-syn|tcp-ack)", "tcp[tcpflags] & tcp-fin != 0", "tcp port 80",
          "tcp dst port 443", "host 8.8.8.8 or net 10.0.0.0/8", "host 8.8.8.8", "ip[6:2] & 0x1fff != 0",
          "ip[6:2] & 0x3fff != 0", "ether broadcast", "less 68"}) {
      const std::size_t count = matches(frames, expression);
      if (std::string(expression) == "less 68" && std::string(options).starts_with("size=")) continue;
      EXPECT_GE(count, frames.size() / 240) << expression << " in mix?" << options;
      EXPECT_LE(count, frames.size() * 3 / 4) << expression << " in mix?" << options;
    }
  }
  const std::vector<Bytes> imix = mix("");
  for (const char* const expression : {"len > 1000", "ip6 and tcp", "ip6 and udp", "ip6 and udp port 53", "icmp6"}) {
    EXPECT_GE(matches(imix, expression), imix.size() / 240) << expression;
  }
}

TEST(MixTraffic, HasTheSharesItsHeaderLists) {
  const std::vector<Bytes> frames = mix("");
  const auto share = [&](const char* expression) {
    return static_cast<double>(matches(frames, expression)) / static_cast<double>(frames.size());
  };
  EXPECT_NEAR(share("ip and tcp"), 0.5083, 0.001);
  EXPECT_NEAR(share("ip and udp and ip[6:2] & 0x3fff == 0"), 0.2083, 0.001);
  EXPECT_NEAR(share("ip6"), 0.0917, 0.001);
  EXPECT_NEAR(share("vlan"), 0.0833, 0.001);
  EXPECT_NEAR(share("arp"), 0.05, 0.001);
  EXPECT_NEAR(share("icmp"), 0.0417, 0.001);
  EXPECT_NEAR(share("ip[6:2] & 0x3fff != 0"), 0.0167, 0.001);
}

// The checksums are verified with code that shares nothing with the generator's: a sum that includes a right checksum
// is all ones (RFC 1071).

std::uint32_t get16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint32_t>(bytes[at] * 256 + bytes[at + 1]);
}

bool sums_to_ones(std::vector<std::uint8_t> bytes) {
  if (bytes.size() % 2 != 0) bytes.push_back(0);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) sum += get16(bytes, i);
  return sum % 0xffff == 0 && sum != 0;
}

/// Addresses, protocol and length, then what they protect.
void check_transport(std::span<const std::uint8_t> addresses, unsigned protocol,
                     std::span<const std::uint8_t> segment) {
  Bytes summed(addresses.begin(), addresses.end());
  const Bytes length{0, static_cast<std::uint8_t>(protocol), static_cast<std::uint8_t>(segment.size() >> 8),
                     static_cast<std::uint8_t>(segment.size())};
  if (protocol == 1)
    summed.clear();
  else
    summed.insert(summed.end(), length.begin(), length.end());
  summed.insert(summed.end(), segment.begin(), segment.end());
  EXPECT_TRUE(sums_to_ones(summed)) << "protocol " << protocol;
  if (protocol == 17) {
    EXPECT_EQ(get16(segment, 4), segment.size());
    EXPECT_NE(get16(segment, 6), 0u);
  }
}

using Datagrams = std::map<std::uint32_t, Bytes>;  // halves of fragmented ones, by address and identification

void check_ipv4(std::span<const std::uint8_t> packet, Datagrams& halves) {
  ASSERT_EQ(packet[0], 0x45);
  ASSERT_LE(get16(packet, 2), packet.size());
  EXPECT_TRUE(sums_to_ones({packet.begin(), packet.begin() + 20}));
  packet = packet.first(get16(packet, 2));
  const auto addresses = packet.subspan(12, 8);
  const auto payload = packet.subspan(20);
  if ((get16(packet, 6) & 0x3fff) == 0) return check_transport(addresses, packet[9], payload);

  Bytes& half = halves[get16(packet, 4) << 16 | get16(packet, 14)];
  if (half.empty()) {
    half.assign(payload.begin(), payload.end());
    EXPECT_EQ(get16(packet, 6), 0x2000u);
    EXPECT_EQ(half.size() % 8, 0u);
    return;
  }
  EXPECT_EQ(get16(packet, 6) * 8, half.size());
  half.insert(half.end(), payload.begin(), payload.end());
  check_transport(addresses, packet[9], half);
  half.clear();
}

void check_ipv6(std::span<const std::uint8_t> packet) {
  ASSERT_EQ(packet[0] >> 4, 6);
  ASSERT_LE(get16(packet, 4) + 40, packet.size());
  if (packet[6] != 59) check_transport(packet.subspan(8, 32), packet[6], packet.subspan(40, get16(packet, 4)));
}

TEST(MixTraffic, HasRightLengthsAndChecksums) {
  for (const char* const options :
       {"", "seed=2", "size=64", "size=65", "size=67", "size=78", "size=101", "size=1518", "size=15872"}) {
    SCOPED_TRACE(options);
    Datagrams halves;
    for (const Bytes& frame : mix(options)) {
      std::size_t type = 12;
      while (get16(frame, type) == 0x88a8 || get16(frame, type) == 0x8100) type += 4;
      const auto packet = std::span(frame).subspan(type + 2);
      switch (get16(frame, type)) {
        case 0x0800:
          check_ipv4(packet, halves);
          break;
        case 0x86dd:
          check_ipv6(packet);
          break;
        case 0x0806:
          EXPECT_EQ(get16(packet, 4), 0x0604u);
          break;
        default:
          ADD_FAILURE() << "ethertype " << get16(frame, type);
      }
      if (::testing::Test::HasFailure()) return;
    }
    for (const auto& [key, half] : halves) EXPECT_TRUE(half.empty()) << "a datagram without its second half";
  }
}

TEST(MixTraffic, DissectsCleanlyInWireshark) {
  if (!test::on_path("tshark")) GTEST_SKIP() << "tshark is not installed";
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) / ("ixcap_mix_" + std::to_string(::getpid()) + ".pcap");
  for (const char* const options : {"", "size=64", "size=81", "size=1518"}) {
    pcap_t* const dead = pcap_open_dead(DLT_EN10MB, 65535);
    pcap_dumper_t* const dumper = pcap_dump_open(dead, path.c_str());
    for (const Bytes& frame : mix(options)) {
      pcap_pkthdr header{};
      header.caplen = header.len = static_cast<std::uint32_t>(frame.size());
      pcap_dump(reinterpret_cast<u_char*>(dumper), &header, frame.data());
    }
    pcap_dump_close(dumper);
    pcap_close(dead);
    const std::string command = "tshark -n -r '" + path.string() +
                                "' -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE "
                                "-Y '_ws.malformed || _ws.short || _ws.expert.group == \"Malformed\" || "
                                "_ws.expert.group == \"Checksum\" || _ws.expert.severity == \"Error\"' 2>/dev/null";
    std::FILE* const output = ::popen(command.c_str(), "r");
    std::string complaints;
    for (int c = std::fgetc(output); c != EOF; c = std::fgetc(output)) complaints += static_cast<char>(c);
    EXPECT_EQ(::pclose(output), 0) << "tshark failed";
    EXPECT_EQ(complaints, "") << "mix?" << options;
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace ixcap::emulator
