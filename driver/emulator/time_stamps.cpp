#include <cstring>

#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/time_stamps.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {

using ixgbe::Register;

namespace {

constexpr std::uint32_t ethertype_ipv4 = 0x0800;
constexpr std::uint32_t ethertype_ptp = 0x88F7;
constexpr std::uint32_t ethernet_header = 14;
constexpr std::uint32_t vlan_tag = 4;
constexpr std::uint32_t udp_header = 8;
constexpr std::uint8_t protocol_udp = 17;

// A PTP message (IEEE 1588-2002 annex D, 1588-2008 13.3), bytes from its start.
constexpr std::uint32_t version = 1;     // low four bits
constexpr std::uint32_t source_id = 22;  // six bytes: of version 2 the last of the clock's identity
constexpr std::uint32_t sequence_id = 30;
constexpr std::uint32_t control = 32;
constexpr std::uint32_t message_bytes = 34;  // at least so long
constexpr std::uint8_t last_event = 3;       // version 2: Sync, Delay_Req, Pdelay_Req, Pdelay_Resp

std::uint32_t load_32(const std::uint8_t* bytes) {
  std::uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

TimeStamps::TimeStamps(RegisterFile& registers, const Clock& host)
    : registers_(registers), time_(host), latched_(most_remembered) {}

bool TimeStamps::keeps(const Register& reg) noexcept {
  return &reg == &ixgbe::SYSTIML || &reg == &ixgbe::SYSTIMH || &reg == &ixgbe::TIMINCA || &reg == &ixgbe::TIMADJH ||
         &reg == &ixgbe::RXSTMPH || &reg == &ixgbe::TXSTMPH;
}

std::uint32_t TimeStamps::read(const Register& reg) noexcept {
  const auto clear_valid = [this](const Register& of) { registers_.set(of, registers_.get(of) & ~1u); };
  if (&reg == &ixgbe::SYSTIML) {
    const std::uint64_t now = time_.now();
    upper_half_ = static_cast<std::uint32_t>(now >> 32);
    return static_cast<std::uint32_t>(now);
  }
  if (&reg == &ixgbe::SYSTIMH) return upper_half_;
  if (&reg == &ixgbe::RXSTMPH) clear_valid(ixgbe::TSYNCRXCTL);
  if (&reg == &ixgbe::TXSTMPH) clear_valid(ixgbe::TSYNCTXCTL);
  return registers_.get(reg);
}

void TimeStamps::write(const Register& reg, std::uint32_t value) noexcept {
  const std::uint64_t now = time_.now();
  if (&reg == &ixgbe::SYSTIML) {
    time_.set((now >> 32 << 32) | value);
  } else if (&reg == &ixgbe::SYSTIMH) {
    upper_half_ = value;
    time_.set(std::uint64_t{value} << 32 | static_cast<std::uint32_t>(now));
  } else if (&reg == &ixgbe::TIMINCA) {
    registers_.set(reg, value);
    time_.set_increment(value & ixgbe::TIMINCA_VALUE_MASK, value >> ixgbe::TIMINCA_PERIOD_SHIFT);
  } else if (&reg == &ixgbe::TIMADJH) {
    registers_.set(reg, value);
    const std::uint64_t amount = std::uint64_t{value & ~ixgbe::TIMADJH_MINUS} << 32 | registers_.get(ixgbe::TIMADJL);
    const auto plus = static_cast<std::int64_t>(amount);
    time_.adjust((value & ixgbe::TIMADJH_MINUS) != 0 ? -plus : plus);
  }
}

void TimeStamps::refresh() noexcept {
  const std::uint32_t tsyncrxctl = registers_.get(ixgbe::TSYNCRXCTL);
  receiving_ = (tsyncrxctl & ixgbe::TSYNCRXCTL_EN) != 0;
  type_ = tsyncrxctl & ixgbe::TSYNCRXCTL_TYPE_MASK;
  rxmtrl_ = registers_.get(ixgbe::RXMTRL);
  vlan_ethertype_ = registers_.get(ixgbe::VLNCTRL) & ixgbe::VLNCTRL_VET_MASK;
  ethertype_stamped_ = false;
  for (std::uint32_t i = 0; i < ixgbe::ETQF.count; ++i) {
    constexpr std::uint32_t looked_at = ixgbe::ETQF_EN | ixgbe::ETQF_1588 | ixgbe::ETQF_ETHERTYPE_MASK;
    ethertype_stamped_ |=
        (registers_.get(ixgbe::ETQF, i) & looked_at) == (ixgbe::ETQF_EN | ixgbe::ETQF_1588 | ethertype_ptp);
  }
}

/// Whole, unfragmented, behind at most one tag.
TimeStamps::Message TimeStamps::find(const WireFrame& frame) const noexcept {
  const std::uint8_t* const bytes = frame.bytes;
  const std::uint32_t present = frame.captured_length;
  std::uint32_t l3 = ethernet_header;
  if (present < l3 + vlan_tag) return {};
  if (load_big_16(bytes + l3 - 2) == vlan_ethertype_) l3 += vlan_tag;
  const std::uint32_t ethertype = load_big_16(bytes + l3 - 2);
  Message message{l3, false};
  if (ethertype == ethertype_ipv4) {
    constexpr std::uint32_t shortest_header = 20;
    if (present < l3 + shortest_header || bytes[l3] >> 4 != 4 || bytes[l3 + 9] != protocol_udp) return {};
    const bool fragment = (load_big_16(bytes + l3 + 6) & 0x3FFF) != 0;
    const std::uint32_t udp = l3 + (bytes[l3] & 0xFu) * 4;
    if (fragment || udp < l3 + shortest_header || present < udp + udp_header) return {};
    if (load_big_16(bytes + udp + 2) != rxmtrl_ >> ixgbe::RXMTRL_PORT_SHIFT) return {};
    message = {udp + udp_header, true};
  } else if (ethertype != ethertype_ptp || !ethertype_stamped_) {
    return {};
  }
  return present >= message.offset + message_bytes ? message : Message{};
}

/// Whether TSYNCRXCTL.TYPE and RXMTRL name this message.
bool TimeStamps::wanted(const WireFrame& frame, const Message& message) const noexcept {
  const std::uint8_t* const ptp = frame.bytes + message.offset;
  const std::uint8_t its_version = ptp[version] & 0xF;
  const std::uint8_t its_type = ptp[0] & 0xF;
  const auto v2_type = static_cast<std::uint8_t>(rxmtrl_ >> ixgbe::RXMTRL_V2_TYPE_SHIFT & 0xF);
  switch (type_) {
    case ixgbe::TSYNCRXCTL_TYPE_L2_V2:
      return !message.over_udp && its_version == 2 && its_type == v2_type;
    case ixgbe::TSYNCRXCTL_TYPE_L4_V1:
      return message.over_udp && its_version == 1 && ptp[control] == (rxmtrl_ & ixgbe::RXMTRL_V1_CONTROL_MASK);
    case ixgbe::TSYNCRXCTL_TYPE_L2_L4_V2:
      return its_version == 2 && its_type == v2_type;
    case ixgbe::TSYNCRXCTL_TYPE_EVENT_V2:
      return its_version == 2 && its_type <= last_event;
    default:
      return false;
  }
}

bool TimeStamps::receive(const WireFrame& frame) noexcept {
  const Message message = find(frame);
  if (message.offset == 0 || !wanted(frame, message)) return false;
  const std::uint32_t tsyncrxctl = registers_.get(ixgbe::TSYNCRXCTL);
  if ((tsyncrxctl & ixgbe::TSYNCRXCTL_VALID) != 0) return false;
  const std::uint64_t now = time_.now();
  const std::uint8_t* const ptp = frame.bytes + message.offset;
  registers_.set(ixgbe::RXSTMPL, static_cast<std::uint32_t>(now));
  registers_.set(ixgbe::RXSTMPH, static_cast<std::uint32_t>(now >> 32));
  // The bytes as they came, the first in the lowest place.
  registers_.set(ixgbe::RXSATRL, load_32(ptp + source_id));
  registers_.set(ixgbe::RXSATRH, (load_32(ptp + source_id + 4) & 0xFFFF) | load_32(ptp + sequence_id) << 16);
  registers_.set(ixgbe::TSYNCRXCTL, tsyncrxctl | ixgbe::TSYNCRXCTL_VALID);
  latched_[latched_count_++ % most_remembered] = {now, registers_.get(ixgbe::RXSATRL), registers_.get(ixgbe::RXSATRH)};
  return true;
}

std::vector<LatchedStamp> TimeStamps::latched() const {
  std::vector<LatchedStamp> stamps;
  const std::uint64_t first = latched_count_ > most_remembered ? latched_count_ - most_remembered : 0;
  for (std::uint64_t i = first; i < latched_count_; ++i) stamps.push_back(latched_[i % most_remembered]);
  return stamps;
}

void TimeStamps::send() noexcept {
  const std::uint32_t tsynctxctl = registers_.get(ixgbe::TSYNCTXCTL);
  if ((tsynctxctl & ixgbe::TSYNCTXCTL_EN) == 0 || (tsynctxctl & ixgbe::TSYNCTXCTL_VALID) != 0) return;
  const std::uint64_t now = time_.now();
  registers_.set(ixgbe::TXSTMPL, static_cast<std::uint32_t>(now));
  registers_.set(ixgbe::TXSTMPH, static_cast<std::uint32_t>(now >> 32));
  registers_.set(ixgbe::TSYNCTXCTL, tsynctxctl | ixgbe::TSYNCTXCTL_VALID);
}

void TimeStamps::reset() noexcept {
  time_.reset();
  upper_half_ = 0;
  refresh();
}

}  // namespace ixcap::emulator
