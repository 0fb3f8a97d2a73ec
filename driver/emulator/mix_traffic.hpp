#pragma once

/// The traffic `mix`: a seeded mixture of the kinds of frame that filters tell apart, made once and replayed for ever.
///
/// The constructor builds a pool of frames; next() only walks it, about 3 ns a frame. The pool is dealt in decks of 240
/// frames, each shuffled by itself, as many decks as fit 1 MiB (at least one, at most 17): 4,080 frames of 64 bytes,
/// 2,640 of imix. The same spec gives the same frames, byte for byte, on every machine.
///
/// Sizes: `imix` is 64, 594 and 1518 bytes with FCS in 7:4:1 (140, 80 and 20 frames of a deck), tagged frames 4 or 8
/// longer. With a fixed size every frame has exactly that size, tagged or not.
///
/// Shares, the same for every size (frame_mixer.hpp has the deck, and how each kind fills its frame):
///
///     TCP over IPv4     50.8 %   SYN 5, SYN-ACK 3.3, ACK 10.8, FIN 3.3, HTTP 7.5, TLS 13.3, other 7.5
///     UDP over IPv4     20.8 %   DNS queries 6.7, DNS answers 5.8, other 8.3
///     IPv6               9.2 %   TCP 5, UDP 0.8, DNS 0.8, ICMPv6 0.8, no upper layer 1.7
///     VLAN-tagged        8.3 %   802.1Q 6.7, 802.1ad over 802.1Q 1.7
///     ARP                5.0 %
///     ICMP               4.2 %
///     IPv4 fragments     1.7 %
///
/// Every length and checksum is right. 10.0.0.0/8 holds half of the IPv4 clients, 8.8.8.8 is half of the DNS servers.

#include <cstddef>
#include <cstdint>
#include <optional>

#include <ixcap/driver/emulator/frame_pool.hpp>
#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::emulator {

class MixTraffic final : public Traffic {
 public:
  /// Uses seed, sizes, fixed_size, count and pad of `spec`. Throws Error if fixed_size is out of its range.
  explicit MixTraffic(const TrafficSpec& spec);

  const WireFrame* next() noexcept override {
    if (frames_left_ == 0) return nullptr;
    --frames_left_;
    const std::size_t position = position_;
    position_ = position + 1 == pool_.frames().size() ? 0 : position + 1;
    return &pool_.frames()[position];
  }

  const std::optional<Error>& failure() const noexcept override { return failure_; }
  std::uint64_t zero_filled() const noexcept override { return 0; }

  /// Frames after which the traffic repeats itself.
  std::size_t period() const noexcept { return pool_.frames().size(); }

 private:
  FramePool pool_;
  std::size_t position_ = 0;
  std::uint64_t frames_left_;
  const std::optional<Error> failure_;  // stays empty: a generator does not fail
};

}  // namespace ixcap::emulator
