// Whatever stands in a run of descriptors, every vector level answers as the scalar one does; and so does a queue that
// uses it.

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include <ixcap/driver/ixgbe/descriptor_vectors.hpp>
#include <ixcap/driver/ixgbe/rx_queue.hpp>

#include "tests/driver/raw_device.hpp"

namespace ixcap::ixgbe {
namespace {

constexpr std::uint32_t seed = 599;
constexpr std::uint32_t ring_size = fewest_descriptors;

/// Words of all kinds: as good frames have them, nearly so, and noise.
ReceiveStatus draw_status(std::mt19937_64& random) {
  const auto length = static_cast<std::uint32_t>(random() % (buffer_bytes + 2));
  const std::uint64_t one_bit = std::uint64_t{1} << random() % 64;
  switch (random() % 16) {
    case 0:
      return {random()};
    case 1:
      return {0};
    case 2:
      return ReceiveStatus::of(length, false);
    case 3:
      return {ReceiveStatus::of(length, true).bits ^ one_bit};
    case 4:
      return ReceiveStatus::of(static_cast<std::uint32_t>(random() % 0x10000), true);
    default:
      return {ReceiveStatus::of(length, true).bits | (random() & 0xFFFF'0000'C000'FFE0)};  // VLAN, checksums
  }
}

TEST(DescriptorVectors, ScalarIsAlwaysThereAndFirst) {
  ASSERT_FALSE(available_vector_levels().empty());
  EXPECT_EQ(available_vector_levels().front(), VectorLevel::scalar);
  EXPECT_EQ(name_of(VectorLevel::avx512), "avx512");
}

TEST(DescriptorVectors, EveryLevelTakesTheSameFrames) {
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937_64 random(seed);
  alignas(128) std::array<ReceiveDescriptor, ring_size> ring;
  const auto* const buffers = reinterpret_cast<const std::uint8_t*>(0x1234'5678'9000);
  std::array<Frame, ring_size + 1> expected;
  std::array<Frame, ring_size + 1> got;
  std::array<std::uint32_t, ring_size + 1> taken_so_many{};
  for (int round = 0; round < 20'000; ++round) {
    // Long runs of good frames are rare among random words: most rounds have but a few others.
    const std::uint64_t others = random() % 4;
    for (ReceiveDescriptor& one : ring) one.write_back(random(), ReceiveStatus::of(60, true));
    for (std::uint64_t i = 0; i < others; ++i) ring[random() % ring_size].status = draw_status(random).bits;
    if (round % 4 == 0) {
      for (ReceiveDescriptor& one : ring) one.status = draw_status(random).bits;
    }
    const auto first = static_cast<std::uint32_t>(random() % ring_size);
    const auto count = static_cast<std::uint32_t>(random() % (ring_size - first + 1));
    const std::uint8_t* const buffer = buffers + first * buffer_stride;
    const std::uint32_t taken =
        descriptor_vectors(VectorLevel::scalar).take(&ring[first], count, buffer, expected.data());
    ++taken_so_many[taken];
    for (const VectorLevel level : available_vector_levels()) {
      std::memset(got.data(), 0xEE, sizeof got);
      ASSERT_EQ(descriptor_vectors(level).take(&ring[first], count, buffer, got.data()), taken) << name_of(level);
      ASSERT_EQ(std::memcmp(got.data(), expected.data(), taken * sizeof(Frame)), 0) << name_of(level);
      ASSERT_EQ(got[count].wire_length, 0xEEEEEEEEu) << name_of(level) << " writes past the room it was given";
    }
  }
  EXPECT_GT(taken_so_many[0], 0u);
  EXPECT_GT(taken_so_many[ring_size - 1], 0u);
}

TEST(DescriptorVectors, EveryLevelArmsTheSameDescriptors) {
  alignas(128) std::array<ReceiveDescriptor, ring_size> ring;
  for (const VectorLevel level : available_vector_levels()) {
    for (std::uint32_t first = 0; first < ring_size; ++first) {
      for (std::uint32_t count = 0; first + count <= ring_size; ++count) {
        for (ReceiveDescriptor& one : ring) one = {~0ull, ~0ull};
        descriptor_vectors(level).arm(&ring[first], count, 0xFFFF'FFFF'F000);
        for (std::uint32_t i = 0; i < ring_size; ++i) {
          const bool armed = i >= first && i < first + count;
          ASSERT_EQ(ring[i].status, armed ? 0 : ~0ull) << name_of(level);
          ASSERT_EQ(ring[i].address, armed ? 0xFFFF'FFFF'F000 + std::uint64_t{i - first} * buffer_stride : ~0ull);
        }
      }
    }
  }
}

/// A queue of one level, and what it lent.
struct Contender {
  explicit Contender(VectorLevel vector_level)
      : level(vector_level),
        device(std::make_unique<test::RawDevice>()),
        queue(std::make_unique<RxQueue>(*device, 0, ring_size, RxQueueOptions{.vectors = vector_level})) {}

  VectorLevel level;
  std::unique_ptr<test::RawDevice> device;
  std::unique_ptr<RxQueue> queue;
  std::array<Frame, batch_size> lent{};
};

void expect_same_batch(const Contender& one, const Contender& reference, std::size_t count) {
  ASSERT_EQ(one.queue->marked(), reference.queue->marked());
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(one.lent[i].captured_length, reference.lent[i].captured_length);
    ASSERT_EQ(one.lent[i].wire_length, reference.lent[i].wire_length);
    ASSERT_EQ(std::memcmp(one.lent[i].data, reference.lent[i].data, one.lent[i].captured_length), 0);
    if ((one.queue->marked() >> i & 1) != 0) {
      ASSERT_EQ(one.queue->status(i).bits, reference.queue->status(i).bits);
    }
  }
}

TEST(DescriptorVectors, QueuesOfEveryLevelLendTheSameOverGarbageChainsAndTurnsOfTheRing) {
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937_64 random(seed);
  std::vector<Contender> contenders;
  for (const VectorLevel level : available_vector_levels()) contenders.emplace_back(level);
  for (Contender& one : contenders) {
    std::uint8_t* const buffers = one.queue->pages().data() + ring_size * sizeof(ReceiveDescriptor);
    for (std::uint32_t i = 0; i < ring_size * buffer_stride; ++i) buffers[i] = static_cast<std::uint8_t>(i / 61);
  }
  const Contender& reference = contenders.front();
  std::uint32_t slot = 0;
  std::uint64_t lent = 0;
  std::uint64_t marked = 0;
  for (int round = 0; round < 20'000; ++round) {
    for (std::uint64_t left = random() % (ring_size + 1); left > 0; --left, slot = (slot + 1) % ring_size) {
      const ReceiveStatus status = random() % 8 == 0 ? draw_status(random) : ReceiveStatus::of(60, true);
      for (Contender& one : contenders) one.device->ring[slot].write_back(round, status);
    }
    const std::size_t wanted = random() % (batch_size + 1);
    const std::size_t count = contenders.front().queue->poll(std::span(contenders.front().lent).first(wanted));
    for (Contender& one : std::span(contenders).subspan(1)) {
      ASSERT_EQ(one.queue->poll(std::span(one.lent).first(wanted)), count) << name_of(one.level);
      expect_same_batch(one, reference, count);
    }
    for (Contender& one : contenders) {
      one.queue->release();
      ASSERT_EQ(one.device->tail, reference.device->tail) << name_of(one.level);
      ASSERT_EQ(std::memcmp(one.device->ring, reference.device->ring, ring_size * sizeof(ReceiveDescriptor)), 0);
      ASSERT_EQ(one.queue->malformed(), reference.queue->malformed());
    }
    lent += count;
    marked += reference.queue->marked() != 0 ? 1 : 0;
  }
  EXPECT_GT(lent, 100'000u);
  EXPECT_GT(marked, 100u);
  EXPECT_GT(reference.queue->malformed(), 100u);
}

}  // namespace
}  // namespace ixcap::ixgbe
