#pragma once

/// Traffic: where the software NIC's frames come from, and how fast the wire carries them.
///
/// A traffic is named by a string, the part after `emulator:` of an interface (docs/traffic.md):
///
///     FILE                            a pcap or pcapng file with Ethernet frames; `-` is standard input
///     mix                             seeded generator: TCP, UDP with DNS, IPv6, ARP, VLAN, fragments
///     FILE?rate=10G&loop=3            options follow the last '?', joined by '&'
///     (nothing)                       the same as mix
///
/// Threads: a Traffic is used by one thread at a time. Errors: parse_traffic and open_traffic throw ixcap::Error;
/// next() never throws, it ends the traffic and leaves the reason in failure().

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <ixcap/driver/emulator/fault_spec.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::emulator {

/// A frame on the wire, without preamble and FCS. Of any length a file may claim, 0 included: whether it is too short
/// or too long is for the receiver to say.
struct WireFrame {
  /// The bound on wire_length, libpcap's largest snapshot: a file that claims more is corrupt, and is cut to this.
  static constexpr std::uint32_t longest = 262144;

  const std::uint8_t* bytes;      ///< captured_length bytes, valid until the next call of Traffic::next()
  std::uint32_t captured_length;  ///< bytes present; the rest of the frame, up to wire_length, is zeros
  std::uint32_t wire_length;      ///< the frame's length on the wire, >= captured_length, <= longest
  std::uint8_t damage = 0;        ///< what happened to it on the way (damage.hpp); no Traffic does anything to its own
  std::uint64_t recorded_ns = 0;  ///< when it was captured, by its file: nanoseconds since 1970 UTC; 0: generated
  bool starts_file = false;       ///< the first of its file, in each pass through it
};

/// How fast the wire carries frames.
struct Rate {
  enum class Unit {
    as_fast_as_received,  ///< `max`: the next frame comes when a descriptor is free for it, so none is lost
    bits_per_second,      ///< `10G`: wire time of 10GBASE-R scaled to this rate, preamble, FCS and gap included
    frames_per_second,    ///< `14.88Mpps`
  };
  Unit unit = Unit::as_fast_as_received;
  double value = 0;  ///< in `unit`; above 0 unless as_fast_as_received

  /// Picoseconds from the start of a frame of `wire_length` bytes to the start of the next, rounded to the nearest;
  /// 0 for as_fast_as_received. Bytes on the wire are wire_length + 4 FCS + 8 preamble + 12 gap (IEEE 802.3 clauses 3
  /// and 4.4.2), so 10G is 800 ps a byte and 67.2 ns for the shortest frame.
  std::uint64_t spacing_ps(std::uint32_t wire_length) const noexcept;
};

/// The rates as they are written; ends the sentence "give ...".
inline constexpr std::string_view rate_forms =
    "max, bits per second from 1K to 1000G (10G, 2.5G, 500M) or frames per second from 0.001pps to 1000Mpps "
    "(14.88Mpps, 1000pps)";

/// The rate that `text` stands for; nothing if it is none of rate_forms.
std::optional<Rate> parse_rate(std::string_view text);

/// A traffic string taken apart. Every option has the default shown in its comment.
struct TrafficSpec {
  static constexpr std::uint64_t forever = 0;
  static constexpr std::uint32_t smallest_size = 64;    ///< with FCS: the shortest legal Ethernet frame
  static constexpr std::uint32_t largest_size = 15872;  ///< with FCS: 15.5 KiB, the longest the 82599 receives
  enum class Sizes { imix, fixed };

  std::string source = "mix";     ///< "mix", or the path of a capture file, "-" for standard input
  Rate rate{};                    ///< rate=max
  std::uint64_t loop = 1;         ///< loop=1: times a file is replayed; 0 = forever (files only)
  std::uint64_t count = forever;  ///< count=0: frames after which the traffic ends; 0 = no limit
  std::uint64_t seed = 1;         ///< seed=1 (mix only)
  Sizes sizes = Sizes::imix;      ///< size=imix (mix only)
  std::uint32_t fixed_size = 0;   ///< size=64..15872: bytes with FCS, as link rates are quoted (mix only)
  std::uint32_t pad = 0;          ///< pad=0..15868: shorter frames are zero-filled to this length (without FCS)

  FaultSpec faults{};  ///< fault=none: what goes wrong with the NIC that receives it

  bool is_mix() const noexcept { return source == "mix"; }
};

/// Throws Error naming the option, its value and the values that are taken. Does not look at the file.
TrafficSpec parse_traffic(std::string_view text);

class Traffic {
 public:
  virtual ~Traffic() = default;

  /// The next frame in wire order, or nullptr at the end, after which every call returns nullptr. Reading from a pipe
  /// waits for its writer.
  virtual const WireFrame* next() noexcept = 0;

  /// Why the traffic ended before its source did (a truncated file, say); empty for a regular end.
  virtual const std::optional<Error>& failure() const noexcept = 0;

  /// Frames handed out so far whose file kept less of them than their wire length. Padding is not counted.
  virtual std::uint64_t zero_filled() const noexcept = 0;

  /// Whether next() may wait for somebody else.
  virtual bool may_wait() const noexcept { return false; }

  /// Ends a next() that waits, and the traffic with it. Any thread, at any time.
  virtual void cancel() noexcept {}
};

/// Opens what `spec` names. Throws Error if the file is missing, is no capture file, or has another link type than
/// Ethernet. A capture file without a single frame opens, and ends at once.
std::unique_ptr<Traffic> open_traffic(const TrafficSpec& spec);

}  // namespace ixcap::emulator
