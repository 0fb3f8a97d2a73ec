// Both directions of every flow come to one queue, flows spread over all queues, and each queue counts for itself.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/emulator/packet_builder.hpp>
#include <ixcap/driver/emulator/toeplitz.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/port.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/rss.hpp>

#include "tests/driver/list_traffic.hpp"

namespace ixcap::ixgbe {
namespace {

using emulator::Drive;
using emulator::Nic;
using emulator::PacketBuilder;

constexpr std::uint32_t seed = 7;
constexpr std::uint32_t flows = 2048;
constexpr std::uint32_t frame_length = 110;
constexpr std::uint32_t number_at = frame_length - 4;  // the flow's number stands at the end of its frames

enum class Kind { tcp4, udp4, icmp4, tcp6, udp6, none6, kinds };

struct Flow {
  Kind kind;
  std::array<std::uint8_t, 32> addresses;  // of both ends, 16 bytes each; IPv4 takes 4
  std::uint16_t ports[2];
};

test::ListedFrame frame_of(const Flow& flow, std::uint32_t number, bool back) {
  const auto from = static_cast<std::size_t>(back ? 1 : 0);
  const std::size_t to = 1 - from;
  PacketBuilder builder(frame_length);
  builder.ethernet({2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2});
  const std::array<std::uint8_t, 16> payload{};
  const auto v4 = [&flow](std::size_t end) {
    std::uint32_t address;
    std::memcpy(&address, flow.addresses.data() + 16 * end, sizeof address);
    return address;
  };
  const auto v6 = [&flow](std::size_t end) {
    emulator::Ipv6Address address;
    std::memcpy(address.data(), flow.addresses.data() + 16 * end, address.size());
    return address;
  };
  const auto ip4 = [&](std::uint8_t protocol, std::size_t length) {
    builder.ethertype(0x0800).ipv4({v4(from), v4(to), protocol}, length);
  };
  const auto ip6 = [&](std::uint8_t protocol, std::size_t length) {
    builder.ethertype(0x86DD).ipv6({v6(from), v6(to), protocol}, length);
  };
  const auto tcp = [&] { builder.tcp({flow.ports[from], flow.ports[to]}, {}, payload); };
  const auto udp = [&] { builder.udp(flow.ports[from], flow.ports[to], payload); };
  switch (flow.kind) {
    case Kind::tcp4:
      ip4(emulator::protocol_tcp, emulator::tcp_header + payload.size());
      tcp();
      break;
    case Kind::udp4:
      ip4(emulator::protocol_udp, emulator::udp_header + payload.size());
      udp();
      break;
    case Kind::icmp4:
      ip4(emulator::protocol_icmp, emulator::icmp_echo_header + payload.size());
      builder.icmp_echo(back, 1, 1, payload);
      break;
    case Kind::tcp6:
      ip6(emulator::protocol_tcp, emulator::tcp_header + payload.size());
      tcp();
      break;
    case Kind::udp6:
      ip6(emulator::protocol_udp, emulator::udp_header + payload.size());
      udp();
      break;
    default:
      ip6(emulator::protocol_none, 0);
  }
  std::vector<std::uint8_t> bytes = builder.take();
  std::memcpy(bytes.data() + number_at, &number, sizeof number);
  return {std::move(bytes), frame_length};
}

std::vector<Flow> draw_flows() {
  std::mt19937 random(seed);
  std::vector<Flow> drawn(flows);
  for (std::uint32_t i = 0; i < flows; ++i) {
    drawn[i].kind = static_cast<Kind>(i % static_cast<std::uint32_t>(Kind::kinds));
    for (std::uint8_t& byte : drawn[i].addresses) byte = static_cast<std::uint8_t>(random());
    for (std::uint16_t& port : drawn[i].ports) port = static_cast<std::uint16_t>(random());
  }
  return drawn;
}

/// Which queue the frames of each flow came to, and how many came to each queue.
struct Spread {
  std::map<std::uint32_t, std::vector<std::uint32_t>> queues_of_flow;
  std::vector<std::uint64_t> frames_of_queue;
};

Spread receive(std::vector<test::ListedFrame> frames, std::uint32_t queues) {
  Nic nic(std::make_unique<test::ListTraffic>(std::move(frames)), {}, Drive::stepped);
  Port port(nic, {.descriptors = fewest_descriptors, .queues = queues});
  port.start_receiving();
  Spread spread;
  spread.frames_of_queue.resize(queues);
  Frame lent[batch_size];
  while (!nic.traffic_ended()) {
    nic.step(32);
    for (std::uint32_t queue = 0; queue < queues; ++queue) {
      const std::size_t count = port.queue(queue).poll(lent);
      for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t number;
        std::memcpy(&number, lent[i].data + number_at, sizeof number);
        spread.queues_of_flow[number].push_back(queue);
      }
      spread.frames_of_queue[queue] += count;
      port.queue(queue).release();
    }
  }
  port.stop_receiving();
  for (std::uint32_t queue = 0; queue < queues; ++queue) {
    EXPECT_EQ(port.statistics().total().queue[queue].packets, spread.frames_of_queue[queue]);
  }
  return spread;
}

TEST(Rss, SendsBothDirectionsOfAFlowToOneQueueAndSpreadsFlowsEvenly) {
  RecordProperty("seed", static_cast<int>(seed));
  const std::vector<Flow> drawn = draw_flows();
  std::vector<test::ListedFrame> frames;
  for (std::uint32_t i = 0; i < flows; ++i) {
    frames.push_back(frame_of(drawn[i], i, false));
    frames.push_back(frame_of(drawn[i], i, true));
  }
  for (const std::uint32_t queues : {1u, 2u, 3u, 4u, 8u, 16u}) {
    const Spread spread = receive(frames, queues);
    ASSERT_EQ(spread.queues_of_flow.size(), flows);
    for (const auto& [flow, seen] : spread.queues_of_flow) {
      ASSERT_EQ(seen.size(), 2u);
      ASSERT_EQ(seen[0], seen[1]) << "flow " << flow << " of kind " << static_cast<int>(drawn[flow].kind);
    }
    const double fair = 2.0 * flows / queues;
    for (const std::uint64_t count : spread.frames_of_queue) {
      EXPECT_GT(static_cast<double>(count), 0.6 * fair) << queues << " queues";
      EXPECT_LT(static_cast<double>(count), 1.4 * fair) << queues << " queues";
    }
  }
}

TEST(Rss, SendsWhatHasNoAddressesToTheFirstQueue) {
  const Spread spread = receive(std::vector<test::ListedFrame>(10, test::make_frame(frame_length)), 4);
  EXPECT_EQ(spread.frames_of_queue, (std::vector<std::uint64_t>{10, 0, 0, 0}));
}

TEST(Rss, HasAKeyUnderWhichNoTwoSumsOfWordsCollide) {
  emulator::Toeplitz::Key key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(symmetric_key_word >> i % 4 * 8);
  const emulator::Toeplitz toeplitz(key);
  std::vector<bool> seen(0x10000);
  for (std::uint32_t word = 0; word < seen.size(); ++word) {
    const std::uint8_t input[] = {static_cast<std::uint8_t>(word >> 8), static_cast<std::uint8_t>(word)};
    const std::uint32_t hash = toeplitz.hash(input) & 0xFFFF;
    ASSERT_FALSE(seen[hash]) << word;
    seen[hash] = true;
  }
}

TEST(Rss, IsOffWithOneQueue) {
  Nic nic(nullptr, {}, Drive::stepped);
  const Port port(nic, {});
  EXPECT_EQ(nic.read(MRQC.offset()), 0u);
}

TEST(Rss, RefusesQueuesThatThePortDoesNotSpreadOver) {
  Nic nic(nullptr, {}, Drive::stepped);
  for (const std::uint32_t queues : {0u, 17u, 128u}) {
    EXPECT_THROW(Port(nic, {.queues = queues}), Error) << queues;
  }
}

}  // namespace
}  // namespace ixcap::ixgbe
