#pragma once

/// IEEE 1588 in the software NIC (data sheet 7.9): the card's clock, and which frames get a stamp.
///
///     SYSTIM ─► RXSTMP  the first PTP message that TSYNCRXCTL and RXMTRL name; its descriptor has TS
///            └► TXSTMP  the first frame sent whose descriptor asks for it (TSTAMP)
///
/// Each latch holds one stamp until its upper half is read; whatever comes before that gets none. A message is PTP over
/// Ethernet, with ETQF's 1588 bit on for its ethertype, or PTP over UDP and IPv4 to RXMTRL's port.
///
/// A receive latch keeps its stamp even if the frame is dropped behind the MAC, as on the card: then no descriptor says
/// so, and a driver has to empty the latch by itself.
///
/// Threads: one at a time (the Nic's lock).

#include <cstdint>
#include <vector>

#include <ixcap/driver/emulator/register_file.hpp>
#include <ixcap/driver/emulator/system_time.hpp>
#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::emulator {

/// What the receive latch has held: the truth for tests.
struct LatchedStamp {
  std::uint64_t systim;
  std::uint32_t source_low;                ///< RXSATRL
  std::uint32_t source_high_and_sequence;  ///< RXSATRH

  bool operator==(const LatchedStamp&) const = default;
};

class TimeStamps {
 public:
  TimeStamps(RegisterFile& registers, const Clock& host);

  /// Whether reads and writes of `reg` are for this: clock and latches.
  static bool keeps(const ixgbe::Register& reg) noexcept;
  std::uint32_t read(const ixgbe::Register& reg) noexcept;
  void write(const ixgbe::Register& reg, std::uint32_t value) noexcept;

  /// Looks at TSYNCRXCTL, RXMTRL, ETQF and TSYNCTXCTL again.
  void refresh() noexcept;

  /// Whether received frames are looked at: TSYNCRXCTL.EN.
  bool receiving() const noexcept { return receiving_; }

  /// A frame has come: whether its stamp is in the latch now.
  bool receive(const WireFrame& frame) noexcept;

  /// A frame goes out whose descriptor asks for a stamp.
  void send() noexcept;

  /// The stamps that the receive latch has held since the NIC was made, oldest first; of very many the last ones.
  std::vector<LatchedStamp> latched() const;

  SystemTime& time() noexcept { return time_; }
  const SystemTime& time() const noexcept { return time_; }

  /// Device reset, after the registers': clock and latches empty.
  void reset() noexcept;

 private:
  /// Where the PTP message of a frame begins, from the frame's start; 0 if it has none.
  struct Message {
    std::uint32_t offset = 0;
    bool over_udp = false;
  };
  Message find(const WireFrame& frame) const noexcept;
  bool wanted(const WireFrame& frame, const Message& message) const noexcept;

  static constexpr std::size_t most_remembered = 4096;

  RegisterFile& registers_;
  SystemTime time_;
  std::vector<LatchedStamp> latched_;  ///< number i is at i % most_remembered
  std::uint64_t latched_count_ = 0;
  std::uint32_t upper_half_ = 0;  ///< of SYSTIM when its lower half was read
  bool receiving_ = false;
  bool ethertype_stamped_ = false;  ///< ETQF has PTP's ethertype with the 1588 bit
  std::uint32_t type_ = 0;          ///< TSYNCRXCTL.TYPE
  std::uint32_t rxmtrl_ = 0;
  std::uint32_t vlan_ethertype_ = 0;
};

}  // namespace ixcap::emulator
