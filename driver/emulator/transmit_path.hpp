#pragma once

/// The software NIC's transmit path: from the driver's descriptors to frames on the wire.
///
///     tail ─► descriptors up to EOP ─► gather (DMA) ─► offloads ─► VLAN tag, padding, FCS ─► Wire
///                                                                     └ TSE: one packet, many frames
///     then, for each descriptor with RS: DD, or the head written back (TDWBAL.HEAD_WB_EN)
///
/// A packet is taken when all of it is there, up to its EOP. What a card would choke on is not sent but counted, and
/// its descriptors are given back like all others: a driver that waits for them goes on. Where a descriptor is not
/// mapped, while others of its ring are, the queue waits until it is.
///
/// Threads: one at a time (the Nic's lock).

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ixcap/driver/emulator/descriptor_ring.hpp>
#include <ixcap/driver/emulator/dma_map.hpp>
#include <ixcap/driver/emulator/queue_counts.hpp>
#include <ixcap/driver/emulator/queue_events.hpp>
#include <ixcap/driver/emulator/register_file.hpp>
#include <ixcap/driver/emulator/time_stamps.hpp>
#include <ixcap/driver/emulator/transmit_offload.hpp>
#include <ixcap/driver/emulator/wire.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>

namespace ixcap::emulator {

/// What really happened to what the driver asked to send, never cleared:
/// packets = sent + unsent + malformed + dma_faults, where a packet that is cut into segments is one.
struct TransmitCounts {
  std::uint64_t packets = 0;     ///< taken from the queues
  std::uint64_t sent = 0;        ///< given to the wire, in one frame or more
  std::uint64_t unsent = 0;      ///< thrown away because there is no link
  std::uint64_t malformed = 0;   ///< too short, too long, never ended, or headers that are not where the driver says
  std::uint64_t dma_faults = 0;  ///< a buffer or the ring was not mapped for DMA
  std::uint64_t frames = 0;      ///< on the wire
  std::uint64_t bytes = 0;       ///< of these frames, without FCS
  std::uint64_t padding = 0;     ///< of these bytes: added to short frames

  std::uint64_t descriptor_faults = 0;  ///< times that a queue met a descriptor that was not mapped, and waited
  std::uint64_t write_back_faults = 0;  ///< heads that could not be written back: TDWBA was not mapped for DMA
};

class TransmitPath {
 public:
  /// The shortest packet that a driver may give to the card, bytes.
  static constexpr std::uint32_t shortest_packet = 17;

  /// Packets that one run() takes from one queue at most.
  static constexpr std::size_t most_packets = 64;

  /// `events` and `stamps` may be null.
  TransmitPath(RegisterFile& registers, const DmaMap& dma, QueueEvents* events = nullptr, TimeStamps* stamps = nullptr);

  /// Sends what the driver has given to the queues so far to `wire`; throws it away if that is null: there is no link.
  /// Answers the number of packets.
  std::size_t run(Wire* wire) noexcept;

  /// TXDCTL.ENABLE was written.
  void set_queue_enabled(std::uint32_t index, bool enabled) noexcept;

  /// Device reset: queues off.
  void reset() noexcept;

  /// Adds what was counted since the last call to the statistics registers, and brings TDH up to date.
  void flush_statistics() noexcept;

  const TransmitCounts& counts() const noexcept { return counts_; }
  QueueCounts queue_counts(std::uint32_t index) const noexcept;

 private:
  static constexpr std::uint32_t queue_count = ixgbe::TDT.count;
  static constexpr std::uint32_t no_tail = 0xFFFFFFFF;

  /// The longest packet: PAYLEN has 18 bits.
  static constexpr std::uint32_t longest_packet = 1u << 18;
  static constexpr std::uint32_t vlan_tag_bytes = 4;

  struct Queue {
    bool enabled = false;
    DescriptorRing<ixgbe::TransmitDescriptor> ring;
    std::uint32_t size = 0;  ///< descriptors
    std::uint32_t head = 0;
    std::uint32_t unfinished_tail = no_tail;    ///< up to this tail the packet at the head is not all there
    std::uint64_t unfinished_generation = 0;    ///< of the DMA map then
    std::array<TransmitContext, 2> contexts{};  ///< as of the head
    std::uint64_t packets = 0;                  ///< since flush_statistics(), like the next
    std::uint64_t bytes = 0;
  };

  /// The packet at the head of a queue, gathered.
  struct Packet {
    std::uint32_t length = 0;
    std::uint32_t descriptors = 0;
    std::uint32_t command = 0;      ///< of the first data descriptor
    std::uint32_t status = 0;       ///< of the first data descriptor
    std::uint32_t last_status = 0;  ///< of the last
    bool has_data = false;
    bool complete = false;
    bool unreachable = false;  ///< one of its descriptors is not mapped
    bool fault = false;
    bool too_long = false;
  };

  /// Counted since the last flush_statistics().
  struct Pending {
    std::uint64_t packets, bytes, broadcast, multicast;
    std::array<std::uint64_t, 6> by_size;  ///< PTC64 ... PTC1522
  };

  std::size_t run_queue(std::uint32_t index, Wire* wire) noexcept;
  bool refresh_queue(std::uint32_t index) noexcept;
  Packet gather(Queue& queue, std::uint32_t tail) noexcept;
  void gather_data(Packet& packet, const ixgbe::TransmitDescriptor& descriptor) noexcept;
  void send(Queue& queue, const Packet& packet, Wire* wire) noexcept;
  bool send_legacy(Queue& queue, const Packet& packet, Wire& wire) noexcept;
  bool send_advanced(Queue& queue, const Packet& packet, Wire& wire) noexcept;
  bool send_segments(Queue& queue, const Packet& packet, const TransmitContext& context, Wire& wire) noexcept;
  bool send_frame(Queue& queue, std::uint8_t* frame, std::uint32_t length, std::uint32_t command, std::uint16_t vlan,
                  Wire& wire) noexcept;
  void keep_counts(std::uint32_t index) noexcept;
  void count(Queue& queue, std::span<const std::uint8_t> frame) noexcept;
  bool report(const Queue& queue, std::uint32_t index, std::uint32_t from, std::uint32_t count) noexcept;

  RegisterFile& registers_;
  const DmaMap& dma_;
  QueueEvents* events_;
  TimeStamps* stamps_;
  std::array<Queue, queue_count> queues_;
  std::array<QueueCounts, queue_count> queue_counts_{};  ///< up to the last flush_statistics() or reset()
  std::vector<std::uint32_t> enabled_;                   ///< queues, in the order of their enabling; never reallocated
  std::vector<std::uint8_t> packet_;                     ///< room for a tag, then the packet that is being sent
  std::vector<std::uint8_t> segment_;                    ///< room for a tag, then one segment of it
  Pending pending_{};
  TransmitCounts counts_;
};

}  // namespace ixcap::emulator
