#pragma once

/// Which queue a frame goes to, and what its descriptor says about it (data sheet 7.1.2, 7.1.6.2, 7.1.11).
///
///     ETQF ─► SYNQF (priority 1) ─► 5-tuple filters, 7 first ─► SYNQF (priority 0) ─► Flow Director ─► RSS ─► queue 0
///
/// The first that matches says the queue. RSS is MRQC.MRQE = 1; the modes with traffic classes or pools put everything
/// into queue 0. The registers are looked at in refresh(); classify() works on what was made of them there.
///
/// Threads: one at a time (the Nic's lock).

#include <array>
#include <cstdint>
#include <vector>

#include <ixcap/driver/emulator/flow_director.hpp>
#include <ixcap/driver/emulator/frame_parser.hpp>
#include <ixcap/driver/emulator/register_file.hpp>
#include <ixcap/driver/emulator/toeplitz.hpp>
#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::emulator {

enum class FlowDirectorOutcome : std::uint8_t { not_asked, matched, missed };

/// A frame's queue, and the fields of its descriptor that depend on its bytes.
struct ReceiveVerdict {
  std::uint32_t queue = 0;
  std::uint32_t types = 0;          ///< of dw0: RSS type and packet type
  std::uint32_t hash = 0;           ///< dw1
  std::uint32_t status = 0;         ///< of dw2: which checksums were looked at, and which of them are wrong
  bool tagged = false;              ///< has a VLAN tag behind its addresses
  std::uint16_t vlan = 0;           ///< that tag
  std::uint32_t header_length = 0;  ///< bytes up to where PSRTYPE has it split; 0: not at all
  FlowDirectorOutcome flow_director = FlowDirectorOutcome::not_asked;
};

class ReceiveClassifier {
 public:
  ReceiveClassifier(const RegisterFile& registers, FlowDirector& flow_director)
      : registers_(registers), flow_director_(flow_director) {}

  /// Looks at the registers again.
  void refresh() noexcept;

  /// Whether the driver asks for nothing of all this: no filter, but such as only let time stamps be taken, no RSS, and
  /// RXCSUM as after reset, which says that nobody looks at hash and checksums either. Frames then need not be
  /// classified at all.
  bool idle() const noexcept { return idle_; }

  ReceiveVerdict classify(const WireFrame& frame) const noexcept;

 private:
  struct EthertypeFilter {
    std::uint16_t ethertype;
    std::uint8_t index;
    bool only_stamps;
    bool to_queue;
    std::uint8_t queue;
  };

  /// In network order, as they lie in the frame.
  struct FiveTupleFilter {
    std::uint32_t ftqf;
    std::uint32_t source, destination;
    std::uint16_t source_port, destination_port;
    std::uint8_t queue;

    bool matches(const WireFrame& frame, const ParsedFrame& parsed) const noexcept;
  };

  void refresh_filters() noexcept;
  const EthertypeFilter* ethertype_filter(const ParsedFrame& parsed) const noexcept;
  const FiveTupleFilter* five_tuple_filter(const WireFrame& frame, const ParsedFrame& parsed) const noexcept;
  void take_rss(const WireFrame& frame, const ParsedFrame& parsed, ReceiveVerdict& verdict) const noexcept;
  void take_flow_director(const WireFrame& frame, const ParsedFrame& parsed, ReceiveVerdict& verdict) const noexcept;
  std::uint32_t rss_type(const ParsedFrame& parsed) const noexcept;
  std::uint32_t header_length(const ParsedFrame& parsed) const noexcept;

  const RegisterFile& registers_;
  FlowDirector& flow_director_;
  bool idle_ = true;
  std::uint32_t vlan_ethertype_ = 0;
  std::uint32_t rxcsum_ = 0;
  std::uint32_t mrqc_ = 0;
  std::uint32_t psrtype_ = 0;
  std::uint32_t synqf_ = 0;
  Toeplitz toeplitz_;
  std::array<std::uint8_t, 128> redirection_{};
  std::vector<EthertypeFilter> ethertype_filters_;
  std::vector<FiveTupleFilter> five_tuple_filters_;  ///< the one that goes first in front
};

/// The checksum bits of a frame's descriptor (dw2): IPCS, L4CS and UDPCS, IPE and TCPE. Only what is whole is judged:
/// no fragments, nothing whose length does not fit the frame, no UDP datagram without a checksum.
std::uint32_t checksum_status(const WireFrame& frame, const ParsedFrame& parsed) noexcept;

}  // namespace ixcap::emulator
