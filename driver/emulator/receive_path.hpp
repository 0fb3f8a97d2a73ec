#pragma once

/// The software NIC's receive path: what happens to a frame between the wire and memory.
///
///     wire ─► MAC (errors) ─► L2 filters ─► queue ─► descriptor ─► DMA ─► write-back, in ring order
///               │               │             │
///             CRCERRS,          (RXNFGPC      └ none free: QPRDC with SRRCTL.DROP_EN, otherwise the frame waits in the
///             ROC, ...           − GPRC)        packet buffer, and MPC counts what finds no room there
///
/// There are two ways through. A driver that asks for no more than frames in queue 0, as a capture does, gets them by a
/// short one: nobody looks into a frame, and its descriptor says nothing of it. Otherwise each frame is classified
/// (ReceiveClassifier). Which of the two is decided when registers change, not for each frame.
///
/// A frame with an error is counted by the MAC, once, by what is worst about it, and goes no further; with FCTRL.SBP it
/// goes on, and its descriptor says what is wrong.
///
/// Every frame that receive() is given ends in exactly one of these, and in the statistics registers; or, when the ring
/// or a buffer was not mapped for DMA, in WireCounts::dma_faults, which no register tells of. A queue stands still at a
/// descriptor or buffer that is not mapped, with a fault for each frame, and goes on there once it is.
///
/// Threads: one at a time (the Nic's lock).

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ixcap/driver/emulator/dma_map.hpp>
#include <ixcap/driver/emulator/faults.hpp>
#include <ixcap/driver/emulator/flow_director.hpp>
#include <ixcap/driver/emulator/packet_buffer.hpp>
#include <ixcap/driver/emulator/queue_counts.hpp>
#include <ixcap/driver/emulator/queue_events.hpp>
#include <ixcap/driver/emulator/receive_classifier.hpp>
#include <ixcap/driver/emulator/receive_queue.hpp>
#include <ixcap/driver/emulator/register_file.hpp>
#include <ixcap/driver/emulator/time_stamps.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>

namespace ixcap::emulator {

/// What really happened to the frames on the wire, in 64 bits and never cleared: the truth that tests hold drivers'
/// statistics against. frames = rejected() + not_admitted + discarded + no_descriptor + missed + dma_faults + delivered
/// + waiting.
struct WireCounts {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;       ///< without FCS
  std::uint64_t crc_errors = 0;  ///< this and the next seven: bad in this way
  std::uint64_t illegal_symbols = 0;
  std::uint64_t error_bytes = 0;
  std::uint64_t length_errors = 0;
  std::uint64_t undersize = 0;
  std::uint64_t fragments = 0;      ///< undersize, and the CRC is wrong
  std::uint64_t oversize = 0;       ///< longer than MAXFRS
  std::uint64_t jabber = 0;         ///< oversize, and the CRC is wrong
  std::uint64_t bad_kept = 0;       ///< of these eight: stored like good ones (FCTRL.SBP)
  std::uint64_t not_admitted = 0;   ///< by the L2 filters
  std::uint64_t discarded = 0;      ///< the queue that they belong to is not enabled
  std::uint64_t no_descriptor = 0;  ///< dropped at a queue
  std::uint64_t missed = 0;         ///< dropped at the packet buffer
  std::uint64_t dma_faults = 0;     ///< the descriptor's buffer or the ring was not mapped for DMA, or made no sense
  std::uint64_t delivered = 0;      ///< written to memory
  std::uint64_t waiting = 0;        ///< in the packet buffer now
  std::uint64_t zero_filled = 0;    ///< of `frames`: truncated in their capture file, completed with zeros
  std::uint64_t unheard = 0;        ///< not among `frames`: came from the wire's other end while nobody listened

  /// Bad frames that went no further than the MAC.
  std::uint64_t rejected() const noexcept {
    return crc_errors + illegal_symbols + error_bytes + length_errors + undersize + fragments + oversize + jabber -
           bad_kept;
  }
};

class ReceivePath {
 public:
  /// `events` and `stamps` may be null.
  ReceivePath(RegisterFile& registers, const DmaMap& dma, QueueEvents* events = nullptr, TimeStamps* stamps = nullptr);

  /// A register other than a tail was written: the next refresh() looks at all of them.
  void invalidate() noexcept { stale_ = true; }

  /// Looks at the registers again; to be called before the others after the driver may have changed something.
  void refresh() noexcept;

  /// Whether a frame on the wire would be taken: RXCTRL.RXEN, and a queue enabled.
  bool listening() const noexcept { return listening_; }

  /// Whether `frame` would find its descriptors free now.
  bool has_room(const WireFrame& frame) noexcept;

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

  FlowDirector& flow_director() noexcept { return flow_director_; }

  /// What goes wrong with descriptors; nullptr: nothing.
  void set_faults(Faults* faults) noexcept;

  /// Lets the enabled queue with the lowest number take no descriptors any more, up to reset(): its frames are dropped,
  /// or wait in the packet buffer, as SRRCTL.DROP_EN has it.
  void hang_queue() noexcept;

  /// Whether descriptors of frames that were delivered are not written back yet, as can be with faults only.
  bool write_back_is_late() const noexcept;
  /// Writes them back.
  void write_back_late() noexcept;

  const WireCounts& counts() const noexcept { return counts_; }
  QueueCounts queue_counts(std::uint32_t index) const noexcept;

 private:
  /// Counted since the last flush_statistics().
  struct Pending {
    std::uint64_t total_packets, total_bytes, unfiltered, good_packets, good_bytes, broadcast, multicast, missed;
    std::array<std::uint64_t, 6> by_size;  ///< PRC64 ... PRC1522
    std::array<std::uint64_t, 8> bad;      ///< in the order of WireCounts
  };

  static constexpr std::uint32_t queue_count = ixgbe::RDT.count;
  static constexpr std::uint32_t plain_queue = 0;  ///< where everything goes that is not classified

  /// Longer than MAXFRS, or whatever else is in force; a tag comes on top of that (data sheet 8.2.3.22.8).
  bool too_long(const WireFrame& frame) const noexcept {
    return frame.wire_length + fcs_bytes > longest_ && !long_by_its_tag(frame);
  }
  bool long_by_its_tag(const WireFrame& frame) const noexcept;
  bool admitted(const WireFrame& frame) const noexcept;
  bool vlan_admitted(const WireFrame& frame) const noexcept;
  bool in_multicast_table(const std::uint8_t* address) const noexcept;
  bool is_own_address(const std::uint8_t* address) const noexcept;
  bool bad(const WireFrame& frame) const noexcept { return frame.damage != 0 || too_long(frame); }
  WireFrame as_kept(const WireFrame& frame) const noexcept;
  void keep_counts(std::uint32_t index) noexcept;
  void count_on_wire(const WireFrame& frame) noexcept;
  void count_good(const WireFrame& frame) noexcept;
  /// Whether `wanted` descriptors are free; a queue without a ring takes every frame as a fault.
  bool has_descriptors(std::uint32_t index, std::uint32_t wanted) noexcept {
    ReceiveQueue& queue = queues_[index];
    return !queue.ring.mapped() || queue.free_descriptors(registers_, index, wanted) >= wanted;
  }
  void receive_bad(const WireFrame& frame);
  void receive_unmapped(const WireFrame& frame) noexcept;
  ReceiveVerdict judge(const WireFrame& frame, bool stamped) const noexcept;
  void receive_classified(const WireFrame& frame, bool stamped);
  void keep_or_drop(ReceiveQueue& queue, const WireFrame& frame, bool starved, bool stamped);
  void deliver(ReceiveQueue& queue, const WireFrame& frame, bool stamped) noexcept;
  void deliver_classified(ReceiveQueue& queue, const WireFrame& frame, const ReceiveVerdict& verdict) noexcept;
  WireFrame as_stored(const ReceiveQueue& queue, const WireFrame& frame, const ReceiveVerdict& verdict) noexcept;
  std::uint32_t stored_length(const ReceiveQueue& queue, const WireFrame& frame,
                              const ReceiveVerdict& verdict) const noexcept;
  std::uint32_t descriptors_for(const ReceiveQueue& queue, const WireFrame& frame,
                                const ReceiveVerdict& verdict) const noexcept;
  void prefetch(const ReceiveQueue& queue, std::uint32_t slot) const noexcept;
  bool write_frame(ReceiveQueue& queue, const WireFrame& frame) noexcept;
  void write_back(std::uint32_t index) noexcept;
  void write_back_with_faults() noexcept;
  void starve_queues() noexcept;

  RegisterFile& registers_;
  const DmaMap& dma_;
  QueueEvents* events_;
  TimeStamps* stamps_;
  Faults* faults_ = nullptr;
  FlowDirector flow_director_;
  ReceiveClassifier classifier_;
  bool stale_ = true;  ///< classifier_ does not know the registers as they are
  bool listening_ = false;
  bool plain_ = true;       ///< frames are not classified
  bool admit_all_ = false;  ///< promiscuous in every way: the usual case of a capture
  bool stamping_ = false;   ///< PTP messages are looked for
  bool strip_fcs_ = true;
  bool store_bad_ = false;  ///< FCTRL.SBP
  std::uint32_t longest_ = 0;
  std::array<ReceiveQueue, queue_count> queues_;
  std::array<QueueCounts, queue_count> queue_counts_{};  ///< up to the last flush_statistics() or reset()
  std::vector<std::uint32_t> enabled_;                   ///< queues, in the order of their enabling; never reallocated
  PacketBuffer packet_buffer_;
  std::vector<std::uint8_t> stored_;  ///< a frame as it goes to memory, where that is not as it came
  Pending pending_{};
  WireCounts counts_;
};

}  // namespace ixcap::emulator
