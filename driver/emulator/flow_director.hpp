#pragma once

/// Flow Director (data sheet 7.1.2.7): thousands of filters that each send one flow to a queue.
///
///     packet ─► key, masked ─┬─ bucket hash (FDIRHKEY) ──► a list of filters ─┬─ signature mode: same signature hash
///                            └─ signature hash (FDIRSKEY)                     │   (FDIRSKEY)
///                                                                             └─ perfect mode: same fields
///
/// The table takes packet buffer: 64, 128 or 256 KiB by FDIRCTRL.PBALLOC, for 8, 16 or 32 thousand signature filters
/// or a quarter as many perfect ones, two less each. Software computes the bucket of a filter itself (FDIRHASH); one
/// that it computes otherwise than the card does is never found. Perfect filters are of IPv4 packets; nothing but IP is
/// looked at. Commands (FDIRCMD) are done when the write returns.
///
/// Not made: the low latency interrupt of a filter (FDIRCMD.INT).
///
/// Threads: one at a time (the Nic's lock).

#include <array>
#include <cstdint>
#include <vector>

#include <ixcap/driver/emulator/frame_parser.hpp>
#include <ixcap/driver/emulator/register_file.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/ixgbe/flow_hash.hpp>

namespace ixcap::emulator {

using ixgbe::FlowKey;

class FlowDirector {
 public:
  explicit FlowDirector(RegisterFile& registers) : registers_(registers) {}

  /// FDIRCTRL was written: the table is made anew, of the size and mode that it says.
  void start();

  /// FDIRCMD was written. Answers the causes of EICR that come of it.
  std::uint32_t command(std::uint32_t value) noexcept;

  /// Looks at keys, masks and mode again.
  void refresh() noexcept;

  /// Device reset: off.
  void reset() noexcept;

  /// Whether packets are looked up.
  bool on() const noexcept { return !buckets_.empty(); }

  /// What the table leaves of the receive packet buffer.
  std::uint32_t packet_buffer_bytes() const noexcept;

  /// What a descriptor tells of the look-up of a packet.
  struct Answer {
    bool matched = false;
    bool to_queue = false;
    std::uint8_t queue = 0;
    bool reported = false;     ///< `id` stands in the descriptor, instead of the RSS hash
    std::uint32_t id = 0;      ///< bucket hash 30:16, software's index or signature 15:0
    std::uint32_t status = 0;  ///< of dw2
  };
  Answer look_up(const WireFrame& frame, const ParsedFrame& parsed) const noexcept;

  /// A packet was looked up, and is not looked up again.
  void count(bool matched) noexcept { ++(matched ? matched_ : missed_); }

  /// Adds what was counted since the last call to FDIRMATCH and FDIRMISS.
  void flush_statistics() noexcept;

 private:
  static constexpr std::uint32_t none = 0xFFFFFFFF;

  struct Filter {
    FlowKey key;
    std::uint32_t next = none;
    std::uint32_t bucket = 0;   ///< hash as software gave it
    std::uint32_t index = 0;    ///< FDIRHASH 31:16: signature or software's index
    std::uint32_t command = 0;  ///< FDIRCMD as it was added
    bool collision = false;
    bool too_deep = false;  ///< its list was too long already when it was added
  };

  struct Place {
    std::uint32_t filter = none;
    std::uint32_t before = none;  ///< in the same list
    std::uint32_t depth = 0;      ///< filters before it; of the whole list if it was not found
  };

  FlowKey masked(FlowKey key) const noexcept;
  FlowKey key_of(const WireFrame& frame, const ParsedFrame& parsed) const noexcept;
  FlowKey key_in_registers(std::uint32_t command) const noexcept;
  std::uint32_t& head_of(std::uint32_t hash) noexcept { return buckets_[hash & (buckets_.size() - 1)]; }
  template <typename Wanted>
  Place find(std::uint32_t hash, Wanted wanted) const noexcept;
  std::uint32_t add(std::uint32_t command) noexcept;
  void remove() noexcept;
  void query(std::uint32_t command) noexcept;
  void clear() noexcept;
  void show_free() noexcept;
  void note_length(std::uint32_t length, std::uint32_t hash) noexcept;

  RegisterFile& registers_;
  bool perfect_ = false;
  std::uint32_t control_ = 0;  ///< FDIRCTRL
  std::uint32_t bucket_key_ = 0;
  std::uint32_t signature_key_ = 0;
  FlowKey mask_;  ///< bits that count; of ports: TCP's
  std::uint32_t udp_port_mask_ = 0;
  std::array<std::uint32_t, 4> source_mask_6_{}, destination_mask_6_{};
  std::vector<std::uint32_t> buckets_;  ///< the first filter of each; empty: Flow Director is off
  std::vector<Filter> filters_;
  std::uint32_t free_head_ = none;
  std::uint32_t free_count_ = 0;
  std::uint32_t collisions_ = 0;
  std::uint64_t matched_ = 0;
  std::uint64_t missed_ = 0;
};

}  // namespace ixcap::emulator
