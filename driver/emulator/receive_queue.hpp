#pragma once

/// One receive queue of the software NIC: its ring, and how frames are laid into it.
///
/// All kinds of descriptors that the card has are here: legacy, advanced with one buffer, advanced with a header buffer
/// (data sheet 7.1.5, 7.1.6, 7.1.10). The usual case of a capture, one-buffer descriptors that say nothing of their
/// frame, is ReceivePath's own.
///
/// Threads: one at a time (the Nic's lock).

#include <cstdint>
#include <vector>

#include <ixcap/driver/emulator/descriptor_ring.hpp>
#include <ixcap/driver/emulator/dma_map.hpp>
#include <ixcap/driver/emulator/receive_classifier.hpp>
#include <ixcap/driver/emulator/register_file.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>

namespace ixcap::emulator {

struct ReceiveQueue {
  /// Filled descriptors that one write_back() takes at most.
  static constexpr std::size_t most_filled = 256;

  enum class Layout : std::uint8_t { legacy, one_buffer, split, split_always };

  /// What a descriptor will say once it is written back.
  struct Filled {
    std::uint64_t first_half;
    ixgbe::ReceiveStatus second_half;
  };

  /// How the first descriptor of a frame is used.
  struct Split {
    std::uint32_t in_header_buffer = 0;  ///< bytes
    std::uint32_t reported = 0;          ///< of dw0 and dw2: SPH with the header's length, HBO
    std::uint32_t reported_status = 0;
  };

  bool enabled = false;
  DescriptorRing<ixgbe::ReceiveDescriptor> ring;
  std::uint32_t size = 0;  ///< descriptors
  std::uint32_t head = 0;
  std::uint32_t tail = 0;
  std::uint32_t buffer_bytes = 0;
  bool drop_enabled = false;
  std::vector<Filled> filled;         ///< what write_back() has to write, in ring order; never reallocated
  std::uint32_t write_back_from = 0;  ///< descriptors from here to head are filled and not written back yet
  std::uint64_t packets = 0;          ///< since ReceivePath::flush_statistics(), like the next two
  std::uint64_t bytes = 0;
  std::uint64_t no_descriptor = 0;
  bool armed = false;        ///< it has had a descriptor since start()
  bool starved = false;      ///< by a fault: takes no notice of the tail, which is at the head
  bool hung = false;         ///< by a fault: starved until the card is reset
  unsigned late_passes = 0;  ///< that filled descriptors wait for a fault to end
  bool to_announce = false;  ///< descriptors were written back, and nobody was told yet
  Layout layout = Layout::one_buffer;
  bool strip_vlan = false;
  std::uint32_t header_bytes = 0;  ///< of a header buffer

  /// RXDCTL.ENABLE goes on: an empty ring.
  void start();

  /// Looks at the registers of the queue, which is number `index`, again. Descriptors that are filled and not written
  /// back never will be if the ring is another now.
  void refresh(const RegisterFile& registers, const DmaMap& dma, std::uint32_t index) noexcept;

  /// Free descriptors, looking at the tail register only if fewer than `wanted` are known.
  std::uint32_t free_descriptors(const RegisterFile& registers, std::uint32_t index, std::uint32_t wanted) noexcept {
    const std::uint32_t known = distance();
    if (known >= wanted || starved) return known;
    const std::uint32_t new_tail = registers.load_doorbell(ixgbe::RDT, index);
    if (new_tail < size) tail = new_tail;  // a tail outside the ring is ignored
    armed |= tail != head;
    return distance();
  }

  /// Nothing comes of waiting for its descriptors: the driver has given it none, or it hangs, and wants frames dropped.
  bool drops_all() const noexcept { return drop_enabled && (!armed || hung); }

  /// Descriptors that a frame of `length` bytes takes, without a header buffer.
  std::uint32_t descriptors_for(std::uint32_t length) const noexcept {
    return length <= buffer_bytes ? 1 : (length + buffer_bytes - 1) / buffer_bytes;
  }

  std::uint32_t after(std::uint32_t slot) const noexcept { return slot + 1 == size ? 0 : slot + 1; }

  Split split_for(std::uint32_t length, const ReceiveVerdict& verdict) const noexcept;

  /// Copies the frame, which is all there, into the buffers of the descriptors at the head and leaves these to
  /// write_back(). False, and the head stays, if one of the descriptors or buffers is not mapped: once it is, the queue
  /// goes on where it stopped, and its driver sees no gap.
  bool write_frame(const WireFrame& frame, const ReceiveVerdict& verdict, const Split& split,
                   const DmaMap& dma) noexcept;

  /// Writes back the descriptors of all frames since the last call.
  void write_back() noexcept;

 private:
  /// From the head to the tail.
  std::uint32_t distance() const noexcept { return tail >= head ? tail - head : tail + size - head; }

  Filled describe(const ixgbe::ReceiveDescriptor& descriptor, std::uint32_t length, bool end_of_packet,
                  const ReceiveVerdict& verdict, const Split& split) const noexcept;
};

}  // namespace ixcap::emulator
