// Flow Director as drivers use it: filters by signature and by fields, masks, the table's limits, and what registers
// and descriptors tell of it.

#include <gtest/gtest.h>

#include <bitset>
#include <random>

#include <ixcap/driver/emulator/flow_director.hpp>
#include <ixcap/driver/emulator/packet_builder.hpp>

#include "tests/driver/emulator/rings.hpp"

namespace ixcap::emulator {
namespace {

using namespace ixgbe;
using test::ListWire;
using test::Packet;
using test::ReceiveRing;

constexpr std::uint32_t bucket_key = 0x3DAD14E2;  // what every driver writes
constexpr std::uint32_t signature_key = 0x174D3614;
constexpr Ipv4Address client = 10u << 24 | 1;
constexpr Ipv4Address server = 192u << 24 | 168 << 16 | 7;
constexpr std::uint16_t client_port = 40000;
constexpr std::uint16_t server_port = 443;
constexpr std::uint32_t kind_udp = 1;
constexpr std::uint32_t kind_tcp = 2;

/// The hash as its definition has it: bit by bit over the 336 bits of the key in their order, the tag first and the
/// kind of flow last.
std::uint32_t slow_hash(const FlowKey& key, std::uint32_t hash_key) {
  constexpr std::size_t stream_bits = 336;
  std::bitset<stream_bits> stream;
  const auto put = [&stream](std::uint32_t half, std::size_t at) {
    for (std::size_t bit = 0; bit < 16; ++bit) stream[at + bit] = (half >> bit & 1) != 0;
  };
  put(key.flow, stream_bits - 16);
  put(key.flexible, stream_bits - 32);
  std::size_t at = stream_bits - 64;
  const auto put_word = [&](std::uint32_t word) {
    put(word >> 16, at);
    put(word, at + 16);
    at -= 32;
  };
  put_word(key.ports);
  for (const std::uint32_t word : key.source) put_word(word);
  for (const std::uint32_t word : key.destination) put_word(word);
  put(key.flow >> 16, 0);
  std::uint32_t hash = 0;
  for (std::size_t i = 0; i + 1 < 352; ++i) {
    if ((hash_key >> ((i + 1) % 32) & 1) == 0) continue;
    for (std::size_t bit = 0; bit < 15; ++bit) {
      // The stream with its end before it, and its beginning behind it.
      const std::size_t place = (i + bit + stream_bits - 15) % stream_bits;
      hash ^= std::uint32_t{stream[place]} << bit;
    }
  }
  return hash;
}

TEST(FlowHash, IsWhatItsDefinitionSays) {
  std::mt19937 random(20);
  for (int round = 0; round < 2000; ++round) {
    FlowKey key;
    key.flow = static_cast<std::uint32_t>(random());
    for (std::uint32_t& word : key.source) word = static_cast<std::uint32_t>(random());
    for (std::uint32_t& word : key.destination) word = static_cast<std::uint32_t>(random());
    key.ports = static_cast<std::uint32_t>(random());
    key.flexible = static_cast<std::uint32_t>(random()) & 0xFFFF;
    ASSERT_EQ(flow_hash(key, bucket_key), slow_hash(key, bucket_key)) << round;
    ASSERT_EQ(flow_hash(key, signature_key), slow_hash(key, signature_key)) << round;
    const auto other = static_cast<std::uint32_t>(random());
    ASSERT_EQ(flow_hash(key, other), slow_hash(key, other)) << round;
  }
}

Packet tcp_frame(std::uint16_t source_port = client_port, std::uint16_t vlan = 0, Ipv4Address source = client) {
  PacketBuilder builder(100);
  builder.ethernet({2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2});
  if (vlan != 0) builder.tag(0x8100, vlan);
  builder.ethertype(0x0800).ipv4({source, server, protocol_tcp}, tcp_header);
  builder.tcp({.source_port = source_port, .destination_port = server_port, .flags = flag_ack}, {}, {});
  return builder.take();
}

Packet udp_frame() {
  PacketBuilder builder(100);
  builder.ethernet({2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}).ethertype(0x0800);
  builder.ipv4({client, server, protocol_udp}, udp_header).udp(client_port, server_port, {});
  return builder.take();
}

Packet tcp6_frame() {
  PacketBuilder builder(100);
  builder.ethernet({2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}).ethertype(0x86DD);
  builder.ipv6({{1, 2, 3, 4}, {5, 6, 7, 8}, protocol_tcp}, tcp_header);
  builder.tcp({.source_port = client_port, .destination_port = server_port, .flags = flag_ack}, {}, {});
  return builder.take();
}

/// The key of a frame that tcp_frame() makes. Its flexible bytes are where every driver has them: the ethertype.
FlowKey tcp_key(std::uint16_t source_port = client_port, std::uint16_t vlan = 0, Ipv4Address source = client) {
  FlowKey key;
  key.flow = kind_tcp << 16 | vlan;
  key.source[0] = source;
  key.destination[0] = server;
  key.ports = std::uint32_t{source_port} << 16 | server_port;
  key.flexible = vlan != 0 ? 0x8100 : 0x0800;
  return key;
}

constexpr std::uint32_t ethertype_words = 6u << FDIRCTRL_FLEX_SHIFT;
constexpr std::uint32_t add_command = FDIRCMD_CMD_ADD_FLOW | FDIRCMD_FILTER_UPDATE | FDIRCMD_LAST | FDIRCMD_QUEUE_EN;

class FlowDirectorTest : public testing::Test {
 protected:
  FlowDirectorTest() {
    test::bring_up(nic_);
    nic_.connect(&wire_);
    write(RXCSUM, RXCSUM_PCSD);
  }

  std::uint32_t read(const Register& reg) { return nic_.read(reg.offset()); }
  void write(const Register& reg, std::uint32_t value) { nic_.write(reg.offset(), value); }

  void start(std::uint32_t control) {
    write(FDIRHKEY, bucket_key);
    write(FDIRSKEY, signature_key);
    write(FDIRCTRL, control | ethertype_words);
    ASSERT_NE(read(FDIRCTRL) & FDIRCTRL_INIT_DONE, 0u);
  }

  /// As Linux adds the filter of a flow that it sends.
  void add_signature(const FlowKey& key, std::uint32_t queue, std::uint32_t flags = add_command) {
    write(FDIRHASH, flow_hash(key, signature_key) << 16 | flow_hash(key, bucket_key));
    write(FDIRCMD, flags | (key.flow >> 16 & 7) << FDIRCMD_FLOW_TYPE_SHIFT | queue << FDIRCMD_RX_QUEUE_SHIFT);
    EXPECT_EQ(read(FDIRCMD) & FDIRCMD_CMD_MASK, 0u);
  }

  /// As Linux adds what `ethtool -N` asks for. `key` is masked already, for the sake of its hash.
  void add_perfect(const FlowKey& key, std::uint32_t number, std::uint32_t queue, std::uint32_t flags = add_command) {
    const auto swapped = [](std::uint32_t value) { return __builtin_bswap32(value); };
    write(FDIRIPSA, swapped(key.source[0]));
    write(FDIRIPDA, swapped(key.destination[0]));
    write(FDIRPORT, key.ports << 16 | key.ports >> 16);
    write(FDIRVLAN, swapped(key.flexible) | (key.flow & 0xFFFF));
    write(FDIRHASH, (flow_hash(key, bucket_key) & 0x1FFF) | number << 16);
    write(FDIRCMD, flags | (key.flow >> 16 & 7) << FDIRCMD_FLOW_TYPE_SHIFT | queue << FDIRCMD_RX_QUEUE_SHIFT);
  }

  /// The queue where `frame` arrives; rings have the numbers of their queues.
  std::uint32_t queue_of(const Packet& frame) {
    std::array<std::uint32_t, 3> before{};
    for (std::uint32_t queue = 0; queue < 3; ++queue) before[queue] = rings_[queue].filled();
    receive(frame);
    for (std::uint32_t queue = 0; queue < 3; ++queue) {
      if (rings_[queue].filled() != before[queue]) return queue;
    }
    return 99;
  }

  void receive(const Packet& frame) {
    wire_.coming.push_back(frame);
    EXPECT_EQ(nic_.step(1), 1u);
  }

  /// What is said of the frame that ring `queue` received last.
  std::uint32_t last_status(std::uint32_t queue) { return rings_[queue].status(rings_[queue].filled() - 1); }
  std::uint32_t last_id(std::uint32_t queue) { return rings_[queue].hash(rings_[queue].filled() - 1); }
  std::uint32_t last_rss_type(std::uint32_t queue) { return rings_[queue].info(rings_[queue].filled() - 1) & 0xF; }

  ListWire wire_;
  Nic nic_{nullptr, {}, Drive::stepped};
  std::array<ReceiveRing, 3> rings_{ReceiveRing{nic_, 0}, ReceiveRing{nic_, 1}, ReceiveRing{nic_, 2}};
};

TEST_F(FlowDirectorTest, IsOffAfterReset) {
  EXPECT_EQ(read(FDIRCTRL), 0u);
  EXPECT_EQ(queue_of(tcp_frame()), 0u);
  EXPECT_EQ(read(FDIRMISS), 0u);
  start(1);
  EXPECT_EQ(read(FDIRFREE), 8192u - 2);
  write(CTRL, CTRL_RST);
  EXPECT_EQ(read(FDIRCTRL), 0u);
}

TEST_F(FlowDirectorTest, SteersByTheSignatureOfAFlow) {
  start(1);
  add_signature(tcp_key(), 2);
  EXPECT_EQ(queue_of(tcp_frame()), 2u);
  EXPECT_NE(last_status(2) & ReceiveDescriptor::FLM, 0u);
  EXPECT_EQ(last_rss_type(2), 0u) << "nothing is reported that was not asked for";
  EXPECT_EQ(queue_of(tcp_frame(client_port + 1)), 0u);
  EXPECT_EQ(queue_of(udp_frame()), 0u);
  EXPECT_EQ(queue_of(Packet(60, 7)), 0u);
  EXPECT_EQ(read(FDIRMATCH), 1u);
  EXPECT_EQ(read(FDIRMISS), 2u) << "what is not IP is not looked up";
  EXPECT_EQ(read(FDIRUSTAT), 1u);
  EXPECT_EQ(read(FDIRUSTAT), 0u) << "reading clears";
}

TEST_F(FlowDirectorTest, TakesHashAndCommandInOneWrite) {
  start(1);
  constexpr std::uint8_t memory_and_master[] = {0x06, 0};
  nic_.write_config(4, memory_and_master);
  const FlowKey key = tcp_key(client_port, 5);
  const std::uint64_t hash = flow_hash(key, signature_key) << 16 | flow_hash(key, bucket_key);
  const std::uint64_t command = add_command | kind_tcp << FDIRCMD_FLOW_TYPE_SHIFT | 1u << FDIRCMD_RX_QUEUE_SHIFT;
  nic_.write_bar(0, FDIRHASH.offset(), 8, command << 32 | hash);
  EXPECT_EQ(queue_of(tcp_frame(client_port, 5)), 1u);
  EXPECT_EQ(queue_of(tcp_frame(client_port, 6)), 0u);
}

TEST_F(FlowDirectorTest, SteersIpv6BySignature) {
  start(1);
  FlowKey key;
  key.flow = (kind_tcp | 4) << 16;
  key.source[0] = 0x01020304;
  key.destination[0] = 0x05060708;
  key.ports = std::uint32_t{client_port} << 16 | server_port;
  key.flexible = 0x86DD;
  add_signature(key, 1);
  EXPECT_EQ(queue_of(tcp6_frame()), 1u);
  write(FDIRIP6M, 1u << 3 | 1u << 19);  // the fourth byte of either address
  EXPECT_EQ(queue_of(tcp6_frame()), 0u) << "another hash";
  key.source[0] &= 0xFFFFFF00;
  key.destination[0] &= 0xFFFFFF00;
  add_signature(key, 2);
  EXPECT_EQ(queue_of(tcp6_frame()), 2u);
}

TEST_F(FlowDirectorTest, UpdatesAFilterOrMarksIt) {
  start(1 | FDIRCTRL_REPORT_STATUS);
  add_signature(tcp_key(), 1);
  add_signature(tcp_key(), 2);
  EXPECT_EQ(queue_of(tcp_frame()), 2u);
  EXPECT_EQ(last_status(2) & ReceiveDescriptor::FDIR_COLLISION, 0u);
  EXPECT_EQ(read(FDIRFREE), 8192u - 3);
  add_signature(tcp_key(), 1, add_command & ~FDIRCMD_FILTER_UPDATE);
  EXPECT_EQ(queue_of(tcp_frame()), 2u);
  EXPECT_NE(last_status(2) & ReceiveDescriptor::FDIR_COLLISION, 0u);
  EXPECT_EQ(read(FDIRFREE), (8192u - 3) | 1u << FDIRFREE_COLL_SHIFT);
}

TEST_F(FlowDirectorTest, ReportsWhatItFound) {
  start(1 | FDIRCTRL_REPORT_STATUS_ALWAYS);
  const std::uint32_t bucket = flow_hash(tcp_key(), bucket_key) & 0x1FFF;
  const std::uint32_t signature = flow_hash(tcp_key(), signature_key);
  EXPECT_EQ(queue_of(tcp_frame()), 0u);
  EXPECT_EQ(last_rss_type(0), ReceiveDescriptor::rss_flow_director);
  EXPECT_EQ(last_id(0), bucket << 16 | signature);
  EXPECT_EQ(last_status(0) & ReceiveDescriptor::FLM, 0u);
  add_signature(tcp_key(), 1);
  EXPECT_EQ(queue_of(tcp_frame()), 1u);
  EXPECT_EQ(last_id(1), bucket << 16 | signature);
  EXPECT_NE(last_status(1) & ReceiveDescriptor::FLM, 0u);
}

TEST_F(FlowDirectorTest, MatchesAllFieldsInPerfectMode) {
  start(1 | FDIRCTRL_PERFECT_MATCH | FDIRCTRL_REPORT_STATUS);
  EXPECT_EQ(read(FDIRFREE), 2048u - 2);
  add_perfect(tcp_key(client_port, 5), 77, 2);
  EXPECT_EQ(queue_of(tcp_frame(client_port, 5)), 2u);
  EXPECT_NE(last_status(2) & ReceiveDescriptor::FLM, 0u);
  EXPECT_EQ(last_rss_type(2), ReceiveDescriptor::rss_flow_director);
  EXPECT_EQ(last_id(2), (flow_hash(tcp_key(client_port, 5), bucket_key) & 0x7FF) << 16 | 77);
  EXPECT_EQ(queue_of(tcp_frame(client_port, 6)), 0u) << "another VLAN";
  EXPECT_EQ(queue_of(tcp_frame(client_port, 5, client + 1)), 0u);
  EXPECT_EQ(queue_of(tcp_frame(client_port + 1, 5)), 0u);
  EXPECT_EQ(queue_of(tcp_frame()), 0u);
  EXPECT_EQ(queue_of(tcp6_frame()), 0u) << "IPv4 only";
}

TEST_F(FlowDirectorTest, NeverFindsAFilterInTheWrongBucket) {
  start(1 | FDIRCTRL_PERFECT_MATCH);
  add_perfect(tcp_key(), 1, 2);
  EXPECT_EQ(queue_of(tcp_frame()), 2u);
  write(FDIRHKEY, bucket_key ^ 0x10);
  EXPECT_EQ(queue_of(tcp_frame()), 0u) << "the card looks elsewhere now";
}

TEST_F(FlowDirectorTest, ComparesOnlyWhatTheMasksLeave) {
  start(1 | FDIRCTRL_PERFECT_MATCH);
  write(FDIRM, FDIRM_VLANID | FDIRM_VLANP | FDIRM_POOL | FDIRM_FLEX | FDIRM_DIPV6);
  write(FDIRSIP4M, __builtin_bswap32(0x000000FF));  // the last byte of the source
  write(FDIRTCPM, 0x0000F000);                      // mirrored: the low four bits of the source port
  FlowKey key = tcp_key();
  key.source[0] &= 0xFFFFFF00;
  key.ports &= 0xFFF0FFFF;
  key.flexible = 0;
  add_perfect(key, 1, 2);
  EXPECT_EQ(queue_of(tcp_frame()), 2u);
  EXPECT_EQ(queue_of(tcp_frame(client_port, 5)), 2u) << "any VLAN";
  EXPECT_EQ(queue_of(tcp_frame(client_port, 0, client + 200)), 2u);
  EXPECT_EQ(queue_of(tcp_frame(client_port + 15)), 2u);
  EXPECT_EQ(queue_of(tcp_frame(client_port + 16)), 0u);
  EXPECT_EQ(queue_of(tcp_frame(client_port, 0, client + 256)), 0u);
}

TEST_F(FlowDirectorTest, MasksTheKindOfFlow) {
  start(1 | FDIRCTRL_PERFECT_MATCH);
  write(FDIRM, FDIRM_L4P);
  write(FDIRTCPM, 0xFFFFFFFF);
  write(FDIRUDPM, 0xFFFFFFFF);
  FlowKey key = tcp_key();
  key.flow = 0;
  key.ports = 0;
  add_perfect(key, 1, 1);
  EXPECT_EQ(queue_of(tcp_frame()), 1u);
  EXPECT_EQ(queue_of(udp_frame()), 1u);
}

TEST_F(FlowDirectorTest, ComparesFlexibleBytes) {
  start(1 | FDIRCTRL_PERFECT_MATCH);
  FlowKey key = tcp_key();
  key.flexible = 0x1234;
  add_perfect(key, 1, 2);
  EXPECT_EQ(queue_of(tcp_frame()), 0u);
  constexpr std::uint32_t in_payload = 30;  // words
  start(1 | FDIRCTRL_PERFECT_MATCH);
  write(FDIRCTRL, 1 | FDIRCTRL_PERFECT_MATCH | in_payload << FDIRCTRL_FLEX_SHIFT);
  add_perfect(key, 1, 2);
  Packet frame = tcp_frame();
  frame[60] = 0x12;
  frame[61] = 0x34;
  EXPECT_EQ(queue_of(frame), 2u);
}

TEST_F(FlowDirectorTest, DropsIntoTheDropQueue) {
  start(1 | FDIRCTRL_PERFECT_MATCH | FDIRCTRL_REPORT_STATUS | 127u << FDIRCTRL_DROP_Q_SHIFT);
  add_perfect(tcp_key(), 1, 127, add_command | FDIRCMD_DROP);
  EXPECT_EQ(queue_of(tcp_frame()), 99u);
  EXPECT_EQ(nic_.counts().discarded, 1u);
  EXPECT_EQ(read(FDIRMATCH), 1u);
  write(FDIRCTRL, 1 | FDIRCTRL_PERFECT_MATCH | FDIRCTRL_REPORT_STATUS | ethertype_words | 1u << FDIRCTRL_DROP_Q_SHIFT);
  add_perfect(tcp_key(), 1, 127, add_command | FDIRCMD_DROP);
  EXPECT_EQ(queue_of(tcp_frame()), 1u) << "a queue like any other";
  EXPECT_NE(last_status(1) & ReceiveDescriptor::FDIR_DROP, 0u);
}

TEST_F(FlowDirectorTest, QueriesAndRemoves) {
  start(1 | FDIRCTRL_PERFECT_MATCH);
  add_perfect(tcp_key(), 9, 2);
  const std::uint32_t hash = (flow_hash(tcp_key(), bucket_key) & 0x1FFF) | 9u << 16;
  write(FDIRPORT, 0);
  write(FDIRHASH, hash);
  write(FDIRCMD, FDIRCMD_CMD_QUERY);
  EXPECT_NE(read(FDIRCMD) & FDIRCMD_FILTER_VALID, 0u);
  EXPECT_EQ(read(FDIRCMD) & FDIRCMD_CMD_MASK, 0u);
  EXPECT_EQ(read(FDIRCMD) >> FDIRCMD_RX_QUEUE_SHIFT & QUEUE_MASK, 2u);
  EXPECT_EQ(read(FDIRPORT), std::uint32_t{server_port} << 16 | client_port);
  write(FDIRCMD, FDIRCMD_CMD_REMOVE_FLOW);
  EXPECT_EQ(queue_of(tcp_frame()), 0u);
  EXPECT_EQ(read(FDIRUSTAT), 1u | 1u << FDIRUSTAT_REMOVE_SHIFT);
  EXPECT_EQ(read(FDIRFREE), 2048u - 2);
  write(FDIRCMD, FDIRCMD_CMD_QUERY);
  EXPECT_EQ(read(FDIRCMD) & FDIRCMD_FILTER_VALID, 0u);
  write(FDIRCMD, FDIRCMD_CMD_REMOVE_FLOW);
  EXPECT_EQ(read(FDIRFSTAT), 1u << FDIRFSTAT_FREMOVE_SHIFT);
}

TEST_F(FlowDirectorTest, HasAsManyFiltersAsItsMemoryHolds) {
  const auto fill = [this](std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) add_perfect(tcp_key(static_cast<std::uint16_t>(i)), i & 0xFFFF, 1);
  };
  for (const auto& [size, most] : {std::pair{1u, 2046u}, {2u, 4094u}, {3u, 8190u}}) {
    start(size | FDIRCTRL_PERFECT_MATCH);
    fill(most);
    EXPECT_EQ(read(FDIRFREE), 0u) << size;
    EXPECT_EQ(read(FDIRFSTAT), 0u);
    EXPECT_EQ(read(EICR) & EICR_FLOW_DIR, 0u);
    add_perfect(tcp_key(60000), 60000, 1);
    EXPECT_EQ(read(FDIRFSTAT), 1u);
    EXPECT_NE(read(EICR) & EICR_FLOW_DIR, 0u);
  }
  for (const auto& [size, most] : {std::pair{1u, 8190u}, {2u, 16382u}, {3u, 32766u}}) {
    start(size);
    EXPECT_EQ(read(FDIRFREE), most);
  }
}

TEST_F(FlowDirectorTest, TellsWhenFewAreLeftAndWhichListIsLong) {
  start(1 | FDIRCTRL_PERFECT_MATCH | FDIRCTRL_REPORT_STATUS | 1u << FDIRCTRL_MAX_LENGTH_SHIFT |
        4u << FDIRCTRL_FULL_THRESH_SHIFT);
  write(FDIRM, FDIRM_FLEX);
  // Flows whose addresses differ by the same bits: their sums, and so their buckets, are one.
  FlowKey first = tcp_key();
  first.flexible = 0;
  const std::uint32_t bucket = flow_hash(first, bucket_key);
  for (std::uint32_t i = 0; i < 4; ++i) {
    FlowKey key = first;
    key.source[0] ^= i;
    key.destination[0] ^= i;
    ASSERT_EQ(flow_hash(key, bucket_key), bucket);
    add_perfect(key, i, 1);
  }
  EXPECT_EQ(read(FDIRLEN), 4u | (bucket & 0x1FFF) << FDIRLEN_MAXHASH_SHIFT);
  EXPECT_EQ(queue_of(tcp_frame()), 1u);
  EXPECT_EQ(last_status(1) & ReceiveDescriptor::FDIR_LENGTH, 0u) << "the first of its list";
  EXPECT_EQ(read(EICR) & EICR_FLOW_DIR, 0u);
  for (std::uint32_t i = 4; i < 2046 - 63; ++i) {
    FlowKey key = tcp_key(static_cast<std::uint16_t>(i));
    key.flexible = 0;
    add_perfect(key, i, 1);
  }
  EXPECT_EQ(read(FDIRFREE) & 0xFFFF, 63u);
  EXPECT_NE(read(EICR) & EICR_FLOW_DIR, 0u) << "below four times sixteen";
}

TEST_F(FlowDirectorTest, IsEmptiedAsLinuxDoes) {
  start(1 | FDIRCTRL_PERFECT_MATCH);
  add_perfect(tcp_key(), 9, 2);
  write(FDIRFREE, 0);
  write(FDIRCMD, read(FDIRCMD) | FDIRCMD_CLEARHT);
  write(FDIRCMD, read(FDIRCMD) & ~FDIRCMD_CLEARHT);
  write(FDIRHASH, 0);
  write(FDIRCTRL, read(FDIRCTRL) & ~FDIRCTRL_INIT_DONE);
  EXPECT_NE(read(FDIRCTRL) & FDIRCTRL_INIT_DONE, 0u);
  EXPECT_EQ(read(FDIRFREE), 2048u - 2);
  EXPECT_EQ(queue_of(tcp_frame()), 0u);
}

TEST_F(FlowDirectorTest, ComesAfterTheFiveTuplesAndBeforeRss) {
  start(1);
  add_signature(tcp_key(), 1);
  write(MRQC, MRQC_MRQE_RSS | MRQC_TCP_IPV4);
  for (std::uint32_t i = 0; i < RETA.count; ++i) nic_.write(RETA.offset(i), 0);
  EXPECT_EQ(queue_of(tcp_frame()), 1u);
  EXPECT_EQ(last_rss_type(1), ReceiveDescriptor::rss_tcp_ipv4) << "and the hash is told all the same";
  nic_.write(FTQF.offset(3), FTQF_EN | 0x1Fu << 25);
  nic_.write(L34TIMIR.offset(3), 2u << L34TIMIR_QUEUE_SHIFT);
  EXPECT_EQ(queue_of(tcp_frame()), 2u);
  EXPECT_EQ(read(FDIRMATCH), 1u) << "not looked up again";
}

TEST_F(FlowDirectorTest, TakesItsMemoryFromThePacketBuffer) {
  start(3);
  nic_.write(SRRCTL.offset(0), nic_.read(SRRCTL.offset(0)) & ~SRRCTL_DROP_EN);
  for (std::uint32_t i = 0; i < 500; ++i) receive(Packet(1000, 8));
  const std::uint64_t kept = nic_.counts().waiting;
  EXPECT_EQ(kept, 256u * 1024 / 1000) << "of 512 KiB";
  EXPECT_EQ(nic_.counts().missed, 500 - kept - (ReceiveRing::size - 1));
}

}  // namespace
}  // namespace ixcap::emulator
