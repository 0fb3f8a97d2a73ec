// Which queue a frame goes to and what its descriptor says: RSS, every filter and their order, packet types, checksums;
// and that no frame, however broken, makes the classifier look outside it.

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/packet_builder.hpp>
#include <ixcap/driver/emulator/receive_classifier.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>

namespace ixcap::emulator {
namespace {

using Descriptor = ixgbe::ReceiveDescriptor;

constexpr std::uint32_t good_ip = Descriptor::IPCS;
constexpr std::uint32_t good_tcp = Descriptor::IPCS | Descriptor::L4CS;
constexpr std::uint32_t good_udp = good_tcp | Descriptor::UDPCS;
constexpr std::uint32_t ip_tcp = Descriptor::type_ipv4 | Descriptor::type_tcp;
constexpr std::uint32_t ip_udp = Descriptor::type_ipv4 | Descriptor::type_udp;

// The published example of RSS: 66.9.149.187:2794 to 161.142.100.80:1766.
constexpr Ipv4Address source = 66u << 24 | 9 << 16 | 149 << 8 | 187;
constexpr Ipv4Address destination = 161u << 24 | 142 << 16 | 100 << 8 | 80;
constexpr std::uint8_t key[] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
                                0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
                                0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

PacketBuilder start(std::size_t length, std::uint16_t vlan = 0) {
  PacketBuilder builder(length);
  builder.ethernet({2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2});
  if (vlan != 0) builder.tag(0x8100, vlan);
  return builder;
}

Bytes tcp_frame(std::uint8_t flags = flag_ack, std::uint16_t vlan = 0) {
  PacketBuilder builder = start(100, vlan);
  const std::size_t payload = 30;
  builder.ethertype(0x0800).ipv4({source, destination, protocol_tcp, 0x1234}, tcp_header + payload);
  builder.tcp({.source_port = 2794, .destination_port = 1766, .flags = flags}, {}, Bytes(payload, 0x5A));
  return builder.take();
}

Bytes udp_frame() {
  PacketBuilder builder = start(100);
  builder.ethertype(0x0800).ipv4({source, destination, protocol_udp}, udp_header + 21).udp(2794, 1766, Bytes(21, 7));
  return builder.take();
}

Bytes tcp6_frame() {
  PacketBuilder builder = start(100);
  const Ipv6Address from{0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 7};
  const Ipv6Address to{0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 1};
  builder.ethertype(0x86DD).ipv6({from, to, protocol_tcp}, tcp_header);
  builder.tcp({.source_port = 2794, .destination_port = 1766}, {}, {});
  return builder.take();
}

class ReceiveClassifierTest : public testing::Test {
 protected:
  ReceiveVerdict classify(const Bytes& frame) {
    classifier_.refresh();
    const auto length = static_cast<std::uint32_t>(frame.size());
    return classifier_.classify({frame.data(), length, length});
  }

  void enable_rss(std::uint32_t fields) {
    registers_.set(ixgbe::MRQC, ixgbe::MRQC_MRQE_RSS | fields);
    registers_.set(ixgbe::RXCSUM, ixgbe::RXCSUM_PCSD);
    for (std::uint32_t i = 0; i < 40; i += 4) {
      std::uint32_t word;
      std::memcpy(&word, key + i, sizeof word);
      registers_.set(ixgbe::RSSRK, word, i / 4);
    }
    for (std::uint32_t i = 0; i < 32; ++i) registers_.set(ixgbe::RETA, 0x0F0E0D0C, i);
  }

  void add_five_tuple(std::uint32_t index, std::uint32_t ftqf, std::uint32_t queue) {
    const auto network = [](std::uint32_t value) { return __builtin_bswap32(value); };
    registers_.set(ixgbe::SAQF, network(source), index);
    registers_.set(ixgbe::DAQF, network(destination), index);
    registers_.set(ixgbe::SDPQF, network(2794u << 16 | 1766), index);
    registers_.set(ixgbe::FTQF, ftqf | ixgbe::FTQF_EN, index);
    registers_.set(ixgbe::L34TIMIR, queue << ixgbe::L34TIMIR_QUEUE_SHIFT, index);
  }

  RegisterFile registers_;
  FlowDirector flow_director_{registers_};
  ReceiveClassifier classifier_{registers_, flow_director_};
};

TEST_F(ReceiveClassifierTest, IsIdleAfterResetAndNotOnceSomethingIsAskedFor) {
  classifier_.refresh();
  EXPECT_TRUE(classifier_.idle());
  for (const auto& [reg, value] : {std::pair{&ixgbe::MRQC, ixgbe::MRQC_MRQE_RSS},
                                   {&ixgbe::RXCSUM, ixgbe::RXCSUM_PCSD},
                                   {&ixgbe::SYNQF, ixgbe::SYNQF_EN},
                                   {&ixgbe::ETQF, ixgbe::ETQF_EN},
                                   {&ixgbe::FTQF, ixgbe::FTQF_EN}}) {
    registers_.set(*reg, value, reg->count - 1);
    classifier_.refresh();
    EXPECT_FALSE(classifier_.idle()) << reg->name;
    registers_.reset();
  }
}

TEST_F(ReceiveClassifierTest, HashesAsThePublishedExamples) {
  enable_rss(ixgbe::MRQC_TCP_IPV4 | ixgbe::MRQC_IPV4 | ixgbe::MRQC_TCP_IPV6 | ixgbe::MRQC_IPV6);
  const ReceiveVerdict tcp = classify(tcp_frame());
  EXPECT_EQ(tcp.hash, 0x51CCC178u);
  EXPECT_EQ(tcp.types, ip_tcp | Descriptor::rss_tcp_ipv4);
  EXPECT_EQ(tcp.queue, 0xCu + (0x51CCC178u & 0x7F) % 4);
  const ReceiveVerdict udp = classify(udp_frame());
  EXPECT_EQ(udp.hash, 0x323E8FC2u) << "addresses only: UDP is not enabled";
  EXPECT_EQ(udp.types, ip_udp | Descriptor::rss_ipv4);
  EXPECT_EQ(classify(tcp6_frame()).hash, 0x40207D3Du);
  registers_.set(ixgbe::MRQC, ixgbe::MRQC_MRQE_RSS | ixgbe::MRQC_IPV6 | ixgbe::MRQC_UDP_IPV4);
  EXPECT_EQ(classify(tcp6_frame()).hash, 0x2CC18CD5u);
  EXPECT_EQ(classify(udp_frame()).hash, 0x51CCC178u);
  EXPECT_EQ(classify(udp_frame()).types & Descriptor::rss_type_mask, Descriptor::rss_udp_ipv4);
  EXPECT_EQ(classify(tcp_frame()).types, ip_tcp) << "no hash for it";
  EXPECT_EQ(classify(tcp_frame()).queue, 0u);
}

TEST_F(ReceiveClassifierTest, ReportsTheHashOnlyWithPcsd) {
  enable_rss(ixgbe::MRQC_TCP_IPV4);
  registers_.set(ixgbe::RXCSUM, ixgbe::RXCSUM_IPPCSE);
  const ReceiveVerdict verdict = classify(tcp_frame());
  EXPECT_EQ(verdict.types, ip_tcp);
  EXPECT_EQ(verdict.hash, 0x1234u) << "the IP identification instead";
  EXPECT_EQ(verdict.queue, 0xCu + (0x51CCC178u & 0x7F) % 4) << "and yet it is spread";
}

TEST_F(ReceiveClassifierTest, JudgesChecksums) {
  EXPECT_EQ(classify(tcp_frame()).status, good_tcp);
  EXPECT_EQ(classify(udp_frame()).status, good_udp);
  EXPECT_EQ(classify(tcp6_frame()).status, Descriptor::L4CS) << "IPv6 has none of its own";
  Bytes bad = tcp_frame();
  bad[60] ^= 1;
  EXPECT_EQ(classify(bad).status, good_tcp | Descriptor::TCPE);
  bad = tcp_frame();
  bad[14 + 8] ^= 1;
  EXPECT_EQ(classify(bad).status, good_ip | Descriptor::IPE);
  Bytes without = udp_frame();
  without[14 + 20 + 6] = without[14 + 20 + 7] = 0;
  EXPECT_EQ(classify(without).status, good_ip) << "a UDP datagram may have none";
  Bytes fragment = udp_frame();
  fragment[14 + 6] = 0x20;
  store_big_16(fragment.data() + 24, 0);
  store_big_16(fragment.data() + 24, InternetSum().add({fragment.data() + 14, 20}).checksum());
  EXPECT_EQ(classify(fragment).status, good_ip);
  EXPECT_EQ(classify(fragment).types, Descriptor::type_ipv4);
  Bytes cut = tcp_frame();
  cut.resize(60);
  EXPECT_EQ(classify(cut).status, good_ip) << "shorter than its own length";
}

TEST_F(ReceiveClassifierTest, JudgesSctpsCrc) {
  PacketBuilder builder = start(80);
  builder.ethertype(0x0800).ipv4({source, destination, 132}, 12 + 16);
  Bytes frame = builder.take();
  for (std::size_t i = 34; i < 62; ++i) frame[i] = static_cast<std::uint8_t>(i);
  const std::uint32_t checksum = sctp_checksum({frame.data() + 34, 28});
  std::memcpy(frame.data() + 34 + 8, &checksum, sizeof checksum);
  EXPECT_EQ(classify(frame).status, good_tcp);
  EXPECT_EQ(classify(frame).types, Descriptor::type_ipv4 | Descriptor::type_sctp);
  frame[50] ^= 1;
  EXPECT_EQ(classify(frame).status, good_tcp | Descriptor::TCPE);
}

TEST_F(ReceiveClassifierTest, CountsWhatACaptureFileLeftOutAsZeros) {
  PacketBuilder builder = start(400);
  builder.ethertype(0x0800).ipv4({source, destination, protocol_udp}, udp_header + 300).udp(1, 2, Bytes(300, 0));
  const Bytes frame = builder.take();
  classifier_.refresh();
  EXPECT_EQ(classifier_.classify({frame.data(), 60, 400}).status, good_udp);
}

TEST_F(ReceiveClassifierTest, SeesBehindTags) {
  const ReceiveVerdict verdict = classify(tcp_frame(flag_ack, 0x6005));
  EXPECT_TRUE(verdict.tagged);
  EXPECT_EQ(verdict.vlan, 0x6005);
  EXPECT_EQ(verdict.types, ip_tcp);
  EXPECT_EQ(verdict.status, good_tcp);
  registers_.set(ixgbe::VLNCTRL, 0x9100);
  EXPECT_FALSE(classify(tcp_frame(flag_ack, 5)).tagged);
  EXPECT_EQ(classify(tcp_frame(flag_ack, 5)).types, 0u);
}

TEST_F(ReceiveClassifierTest, FollowsIpv6ExtensionHeaders) {
  PacketBuilder builder = start(120);
  builder.ethertype(0x86DD).ipv6({{1}, {2}, 0}, 8 + 16 + udp_header + 4);
  builder.u8(60).u8(0).append(Bytes(6, 0));             // hop-by-hop options, then
  builder.u8(protocol_udp).u8(1).append(Bytes(14, 0));  // destination options
  builder.udp(1, 2, Bytes(4, 9));
  const ReceiveVerdict verdict = classify(builder.take());
  EXPECT_EQ(verdict.types, Descriptor::type_ipv6 | Descriptor::type_ipv6 << 1 | Descriptor::type_udp);
}

TEST_F(ReceiveClassifierTest, SteersByEthertype) {
  registers_.set(ixgbe::ETQF, 0x88F7 | ixgbe::ETQF_EN, 3);
  registers_.set(ixgbe::ETQS, 100u << ixgbe::ETQS_QUEUE_SHIFT | ixgbe::ETQS_QEN, 3);
  PacketBuilder builder = start(60);
  builder.ethertype(0x88F7);
  const Bytes frame = builder.take();
  EXPECT_EQ(classify(frame).queue, 100u);
  EXPECT_EQ(classify(frame).types, 0x8000u | 3u << 4);
  registers_.set(ixgbe::ETQS, 0, 3);
  EXPECT_EQ(classify(frame).queue, 0u) << "recognised all the same";
  EXPECT_EQ(classify(frame).types, 0x8000u | 3u << 4);
}

TEST_F(ReceiveClassifierTest, SteersByFiveTuple) {
  add_five_tuple(7, 0, 9);
  EXPECT_EQ(classify(tcp_frame()).queue, 9u);
  EXPECT_EQ(classify(udp_frame()).queue, 0u) << "the protocol differs";
  add_five_tuple(7, 1, 9);
  EXPECT_EQ(classify(udp_frame()).queue, 9u);
  EXPECT_EQ(classify(tcp6_frame()).queue, 0u) << "IPv4 only";
  const std::uint32_t any_field[] = {ixgbe::FTQF_ANY_SOURCE, ixgbe::FTQF_ANY_DESTINATION, ixgbe::FTQF_ANY_SOURCE_PORT,
                                     ixgbe::FTQF_ANY_DESTINATION_PORT};
  const ixgbe::Register* const field_register[] = {&ixgbe::SAQF, &ixgbe::DAQF, &ixgbe::SDPQF, &ixgbe::SDPQF};
  const std::uint32_t changed_bit[] = {1, 1, 1, 1u << 16};
  for (int i = 0; i < 4; ++i) {
    add_five_tuple(7, 0, 9);
    const std::uint32_t value = registers_.get(*field_register[i], 7);
    registers_.set(*field_register[i], value ^ changed_bit[i], 7);
    EXPECT_EQ(classify(tcp_frame()).queue, 0u) << i;
    registers_.set(ixgbe::FTQF, registers_.get(ixgbe::FTQF, 7) | any_field[i], 7);
    EXPECT_EQ(classify(tcp_frame()).queue, 9u) << i;
  }
}

TEST_F(ReceiveClassifierTest, TakesTheFiveTupleFilterOfHighestPriority) {
  add_five_tuple(0, 2u << ixgbe::FTQF_PRIORITY_SHIFT, 20);
  add_five_tuple(1, 7u << ixgbe::FTQF_PRIORITY_SHIFT, 21);
  add_five_tuple(2, 7u << ixgbe::FTQF_PRIORITY_SHIFT, 22);
  EXPECT_EQ(classify(tcp_frame()).queue, 21u);
}

TEST_F(ReceiveClassifierTest, SteersSynsBeforeOrAfterTheFiveTuples) {
  enable_rss(ixgbe::MRQC_TCP_IPV4);
  registers_.set(ixgbe::SYNQF, ixgbe::SYNQF_EN | 5u << ixgbe::SYNQF_QUEUE_SHIFT);
  EXPECT_EQ(classify(tcp_frame(flag_syn)).queue, 5u) << "before RSS";
  EXPECT_GE(classify(tcp_frame()).queue, 0xCu);
  add_five_tuple(0, 0, 9);
  EXPECT_EQ(classify(tcp_frame(flag_syn)).queue, 9u);
  registers_.set(ixgbe::SYNQF, registers_.get(ixgbe::SYNQF) | ixgbe::SYNQF_PRIORITY);
  EXPECT_EQ(classify(tcp_frame(flag_syn)).queue, 5u);
}

TEST_F(ReceiveClassifierTest, SaysWhereHeadersEnd) {
  const auto split_at = [this](std::uint32_t psrtype, const Bytes& frame) {
    registers_.set(ixgbe::PSRTYPE, psrtype);
    return classify(frame).header_length;
  };
  EXPECT_EQ(split_at(0, tcp_frame()), 0u);
  EXPECT_EQ(split_at(ixgbe::PSRTYPE_TCP, tcp_frame()), 54u);
  EXPECT_EQ(split_at(ixgbe::PSRTYPE_UDP, udp_frame()), 42u);
  EXPECT_EQ(split_at(ixgbe::PSRTYPE_UDP, tcp_frame()), 0u);
  EXPECT_EQ(split_at(ixgbe::PSRTYPE_UDP | ixgbe::PSRTYPE_IPV4, tcp_frame()), 34u);
  EXPECT_EQ(split_at(ixgbe::PSRTYPE_IPV6, tcp6_frame()), 54u);
  EXPECT_EQ(split_at(ixgbe::PSRTYPE_L2, tcp_frame(0, 5)), 18u);
}

TEST_F(ReceiveClassifierTest, SurvivesBrokenFrames) {
  enable_rss(0xFFFF0000);
  registers_.set(ixgbe::SYNQF, ixgbe::SYNQF_EN);
  registers_.set(ixgbe::PSRTYPE, 0xFFFFFFFF);
  add_five_tuple(0, 0, 9);
  classifier_.refresh();
  std::mt19937 random(11);
  const Bytes samples[] = {tcp_frame(), udp_frame(), tcp6_frame(), tcp_frame(flag_syn, 5)};
  for (int round = 0; round < 100'000; ++round) {
    const Bytes& sample = samples[random() % 4];
    const Bytes frame(sample.begin(), sample.begin() + static_cast<std::ptrdiff_t>(random() % (sample.size() + 1)));
    Bytes broken = frame;  // of exactly its size, so that the sanitizer sees an access behind it
    for (int i = 0; i < 3 && !broken.empty(); ++i)
      broken[random() % broken.size()] = static_cast<std::uint8_t>(random());
    const auto length = static_cast<std::uint32_t>(broken.size());
    const std::uint32_t wire_length = length + (random() % 2 == 0 ? 0 : static_cast<std::uint32_t>(random() % 2000));
    const ReceiveVerdict verdict = classifier_.classify({broken.data(), length, wire_length});
    ASSERT_LE(verdict.header_length, length);
    ASSERT_LT(verdict.queue, 128u);
  }
}

}  // namespace
}  // namespace ixcap::emulator
