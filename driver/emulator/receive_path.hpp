#pragma once

/// The software NIC's receive path: what happens to a frame between the wire and memory.
///
///     wire ─► MAC (length) ─► L2 filters ─► queue ─► descriptor ─► DMA ─► write-back, in ring order
///               │               │             │
///               ROC             (RXNFGPC      └ none free: QPRDC with SRRCTL.DROP_EN, otherwise the frame waits in the
///                                − GPRC)        packet buffer, and MPC counts what finds no room there
///
/// Every frame that receive() is given ends in exactly one of these, and in the statistics registers; or, when the ring
/// or a buffer was not mapped for DMA, in WireCounts::dma_faults, which no register tells of.
///
/// Threads: one at a time (the Nic's lock).

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ixcap/driver/emulator/dma_map.hpp>
#include <ixcap/driver/emulator/packet_buffer.hpp>
#include <ixcap/driver/emulator/queue_events.hpp>
#include <ixcap/driver/emulator/register_file.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>

namespace ixcap::emulator {

/// What really happened to the frames on the wire, in 64 bits and never cleared: the truth that tests hold drivers'
/// statistics against. frames = oversize + not_admitted + no_descriptor + missed + dma_faults + delivered + waiting.
struct WireCounts {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;          ///< without FCS
  std::uint64_t oversize = 0;       ///< longer than MAXFRS
  std::uint64_t not_admitted = 0;   ///< by the L2 filters
  std::uint64_t no_descriptor = 0;  ///< dropped at a queue
  std::uint64_t missed = 0;         ///< dropped at the packet buffer
  std::uint64_t dma_faults = 0;     ///< the descriptor's buffer or the ring was not mapped for DMA, or made no sense
  std::uint64_t delivered = 0;      ///< written to memory
  std::uint64_t waiting = 0;        ///< in the packet buffer now
  std::uint64_t zero_filled = 0;    ///< of `frames`: truncated in their capture file, completed with zeros
};

class ReceivePath {
 public:
  /// `events` may be null.
  ReceivePath(RegisterFile& registers, const DmaMap& dma, QueueEvents* events = nullptr)
      : registers_(registers), dma_(dma), events_(events) {}

  /// Looks at the registers again; to be called before the others after the driver may have changed something.
  void refresh() noexcept;

  /// Whether a frame on the wire would be taken: RXCTRL.RXEN, and a queue enabled.
  bool listening() const noexcept { return listening_; }

  /// Whether a frame of `wire_length` bytes would find its descriptors free now.
  bool has_room(std::uint32_t wire_length) noexcept;

  void receive(const WireFrame& frame);

  /// Writes back the descriptors of all frames since the last call. Until then the driver sees none of them: like the
  /// card, which writes descriptors back a cache line at a time, and because both sides would fight for every line.
  void write_back() noexcept;

  /// Moves what waits in the packet buffer to descriptors that have become free.
  void drain_packet_buffer();

  /// RXDCTL.ENABLE was written.
  void set_queue_enabled(std::uint32_t index, bool enabled) noexcept;

  /// Device reset: queues off, packet buffer empty.
  void reset() noexcept;

  /// Adds what was counted since the last call to the statistics registers, which stick at their maximum.
  void flush_statistics() noexcept;

  const WireCounts& counts() const noexcept { return counts_; }

 private:
  /// Filled descriptors that one write_back() takes at most.
  static constexpr std::size_t most_filled = 256;

  struct Queue {
    bool enabled = false;
    ixgbe::ReceiveDescriptor* ring = nullptr;  ///< nullptr while not (or no longer) mapped
    std::uint32_t size = 0;                    ///< descriptors
    std::uint32_t head = 0;
    std::uint32_t tail = 0;
    std::uint32_t buffer_bytes = 0;
    bool drop_enabled = false;
    std::vector<ixgbe::ReceiveStatus> filled;  ///< what write_back() has to write, in ring order; never reallocated
    std::uint32_t write_back_from = 0;         ///< descriptors from here to head are filled and not written back yet
    std::uint64_t packets = 0;                 ///< since flush_statistics(), like the next two
    std::uint64_t bytes = 0;
    std::uint64_t no_descriptor = 0;
  };

  /// Counted since the last flush_statistics().
  struct Pending {
    std::uint64_t total_packets, total_bytes, oversize, unfiltered, good_packets, good_bytes, broadcast, multicast;
    std::uint64_t missed;
    std::array<std::uint64_t, 6> by_size;  ///< PRC64 ... PRC1522
  };

  static constexpr std::uint32_t queue_count = ixgbe::RDT.count;
  static constexpr std::uint32_t only_queue = 0;  ///< MRQC off: everything goes to queue 0

  void refresh_queue(std::uint32_t index) noexcept;
  bool admitted(const WireFrame& frame) const noexcept;
  bool vlan_admitted(const WireFrame& frame) const noexcept;
  bool in_multicast_table(const std::uint8_t* address) const noexcept;
  bool is_own_address(const std::uint8_t* address) const noexcept;
  void count_on_wire(const WireFrame& frame) noexcept;
  std::uint32_t free_descriptors(Queue& queue, std::uint32_t wanted) noexcept;
  std::uint32_t descriptors_for(const Queue& queue, std::uint32_t length) const noexcept;
  void deliver(Queue& queue, const WireFrame& frame) noexcept;
  void prefetch(const Queue& queue, std::uint32_t slot) const noexcept;
  void write_back(Queue& queue) noexcept;
  bool write_frame(Queue& queue, const WireFrame& frame) noexcept;

  RegisterFile& registers_;
  const DmaMap& dma_;
  QueueEvents* events_;
  bool listening_ = false;
  bool admit_all_ = false;  ///< promiscuous in every way: the usual case of a capture
  std::uint32_t longest_ = 0;
  std::array<Queue, queue_count> queues_;
  PacketBuffer packet_buffer_;
  Pending pending_{};
  WireCounts counts_;
};

}  // namespace ixcap::emulator
