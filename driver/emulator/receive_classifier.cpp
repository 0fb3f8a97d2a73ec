#include <algorithm>
#include <cstring>

#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/receive_classifier.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {
namespace {

using ixgbe::ReceiveDescriptor;
using L3 = ParsedFrame::L3;
using L4 = ParsedFrame::L4;

constexpr std::uint32_t ipv4_source = 12;  // offset in the header; the destination follows
constexpr std::uint32_t ipv4_addresses = 8;
constexpr std::uint32_t ipv6_source = 8;
constexpr std::uint32_t ipv6_addresses = 32;
constexpr std::uint32_t port_bytes = 4;  // both
constexpr std::uint32_t tcp_flags = 13;
constexpr std::uint8_t flag_syn = 0x02;

std::span<const std::uint8_t> addresses(const WireFrame& frame, const ParsedFrame& parsed) {
  const std::uint8_t* const ip = frame.bytes + parsed.l3_offset;
  return parsed.l3 == L3::ipv4 ? std::span(ip + ipv4_source, ipv4_addresses)
                               : std::span(ip + ipv6_source, ipv6_addresses);
}

/// Of dw0; data sheet 7.1.6.2, table of packet types.
std::uint32_t packet_type(const ParsedFrame& parsed) {
  std::uint32_t type = 0;
  if (parsed.l3 == L3::ipv4) type |= ReceiveDescriptor::type_ipv4;
  if (parsed.l3 == L3::ipv6) type |= ReceiveDescriptor::type_ipv6;
  if (parsed.l3 != L3::none && parsed.ip_extended) type |= type << 1;
  switch (parsed.l4) {
    case L4::tcp:
      return type | ReceiveDescriptor::type_tcp;
    case L4::udp:
      return type | ReceiveDescriptor::type_udp;
    case L4::sctp:
      return type | ReceiveDescriptor::type_sctp;
    case L4::esp:
      return type | ReceiveDescriptor::type_esp;
    case L4::ah:
      return type | ReceiveDescriptor::type_ah;
    case L4::none:
      break;
  }
  return type;
}

bool l4_checksum_right(const WireFrame& frame, const ParsedFrame& parsed) {
  const std::uint32_t length = parsed.l4_end - parsed.l4_offset;
  const std::uint32_t present = std::min(length, frame.captured_length - parsed.l4_offset);  // the rest is zeros
  const std::span<const std::uint8_t> l4(frame.bytes + parsed.l4_offset, present);
  if (parsed.l4 == L4::sctp) {
    constexpr std::size_t checksum_offset = 8;
    std::uint32_t stored;
    std::memcpy(&stored, l4.data() + checksum_offset, sizeof stored);
    return sctp_checksum(l4, length - present) == stored;
  }
  return InternetSum().add(addresses(frame, parsed)).add(parsed.protocol).add(length).add(l4).folded() == 0xFFFF;
}

bool l4_checkable(const WireFrame& frame, const ParsedFrame& parsed) {
  if (parsed.l4 != L4::tcp && parsed.l4 != L4::udp && parsed.l4 != L4::sctp) return false;
  if (parsed.rerouted || parsed.l4_end > frame.wire_length) return false;
  constexpr std::uint32_t udp_length = 4;
  constexpr std::uint32_t udp_checksum = 6;
  const std::uint8_t* const l4 = frame.bytes + parsed.l4_offset;
  return parsed.l4 != L4::udp ||
         (load_big_16(l4 + udp_checksum) != 0 && load_big_16(l4 + udp_length) == parsed.l4_end - parsed.l4_offset);
}

}  // namespace

std::uint32_t checksum_status(const WireFrame& frame, const ParsedFrame& parsed) noexcept {
  std::uint32_t status = 0;
  if (parsed.l3 == L3::ipv4) {
    status |= ReceiveDescriptor::IPCS;
    const std::span header(frame.bytes + parsed.l3_offset, parsed.l4_offset - parsed.l3_offset);
    if (InternetSum().add(header).folded() != 0xFFFF) return status | ReceiveDescriptor::IPE;
  }
  if (!l4_checkable(frame, parsed)) return status;
  status |= ReceiveDescriptor::L4CS;
  if (parsed.l4 == L4::udp) status |= ReceiveDescriptor::UDPCS;
  return l4_checksum_right(frame, parsed) ? status : status | ReceiveDescriptor::TCPE;
}

void ReceiveClassifier::refresh() noexcept {
  vlan_ethertype_ = registers_.get(ixgbe::VLNCTRL) & ixgbe::VLNCTRL_VET_MASK;
  rxcsum_ = registers_.get(ixgbe::RXCSUM);
  mrqc_ = registers_.get(ixgbe::MRQC);
  psrtype_ = registers_.get(ixgbe::PSRTYPE);
  synqf_ = registers_.get(ixgbe::SYNQF);
  refresh_filters();
  flow_director_.refresh();
  const bool rss = (mrqc_ & ixgbe::MRQC_MRQE_MASK) == ixgbe::MRQC_MRQE_RSS;
  idle_ = (mrqc_ & ixgbe::MRQC_MRQE_MASK) == 0 && rxcsum_ == ixgbe::RXCSUM.reset && (synqf_ & ixgbe::SYNQF_EN) == 0 &&
          std::ranges::all_of(ethertype_filters_, &EthertypeFilter::only_stamps) && five_tuple_filters_.empty() &&
          !flow_director_.on();
  if (!rss) return;
  Toeplitz::Key key;
  for (std::uint32_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<std::uint8_t>(registers_.get(ixgbe::RSSRK, i / 4) >> (i % 4 * 8));
  }
  toeplitz_ = Toeplitz(key);
  for (std::uint32_t i = 0; i < redirection_.size(); ++i) {
    redirection_[i] = static_cast<std::uint8_t>(registers_.get(ixgbe::RETA, i / 4) >> (i % 4 * 8) & 0xF);
  }
}

void ReceiveClassifier::refresh_filters() noexcept {
  ethertype_filters_.clear();
  for (std::uint32_t i = 0; i < ixgbe::ETQF.count; ++i) {
    const std::uint32_t etqf = registers_.get(ixgbe::ETQF, i);
    const std::uint32_t etqs = registers_.get(ixgbe::ETQS, i);
    if ((etqf & ixgbe::ETQF_EN) == 0) continue;
    const bool to_queue = (etqs & ixgbe::ETQS_QEN) != 0;
    ethertype_filters_.push_back({static_cast<std::uint16_t>(etqf & ixgbe::ETQF_ETHERTYPE_MASK),
                                  static_cast<std::uint8_t>(i), !to_queue && (etqf & ixgbe::ETQF_1588) != 0, to_queue,
                                  static_cast<std::uint8_t>(etqs >> ixgbe::ETQS_QUEUE_SHIFT & ixgbe::QUEUE_MASK)});
  }
  five_tuple_filters_.clear();
  for (std::uint32_t i = 0; i < ixgbe::FTQF.count; ++i) {
    const std::uint32_t ftqf = registers_.get(ixgbe::FTQF, i);
    if ((ftqf & ixgbe::FTQF_EN) == 0) continue;
    const std::uint32_t ports = registers_.get(ixgbe::SDPQF, i);
    const std::uint32_t target = registers_.get(ixgbe::L34TIMIR, i);
    five_tuple_filters_.push_back(
        {ftqf, registers_.get(ixgbe::SAQF, i), registers_.get(ixgbe::DAQF, i), static_cast<std::uint16_t>(ports),
         static_cast<std::uint16_t>(ports >> 16),
         static_cast<std::uint8_t>(target >> ixgbe::L34TIMIR_QUEUE_SHIFT & ixgbe::QUEUE_MASK)});
  }
  const auto priority = [](const FiveTupleFilter& filter) {
    return filter.ftqf >> ixgbe::FTQF_PRIORITY_SHIFT & ixgbe::FTQF_PRIORITY_MASK;
  };
  std::ranges::stable_sort(five_tuple_filters_, std::ranges::greater{}, priority);
}

ReceiveVerdict ReceiveClassifier::classify(const WireFrame& frame) const noexcept {
  const ParsedFrame parsed = parse_frame(frame, vlan_ethertype_);
  ReceiveVerdict verdict;
  verdict.types = packet_type(parsed);
  verdict.status = checksum_status(frame, parsed);
  verdict.tagged = parsed.tagged;
  verdict.vlan = parsed.vlan;
  verdict.header_length = header_length(parsed);
  if ((rxcsum_ & (ixgbe::RXCSUM_IPPCSE | ixgbe::RXCSUM_PCSD)) == ixgbe::RXCSUM_IPPCSE && parsed.l3 == L3::ipv4) {
    verdict.hash = load_big_16(frame.bytes + parsed.l3_offset + 4);  // the IP identification
  }
  take_rss(frame, parsed, verdict);

  const EthertypeFilter* const by_ethertype = ethertype_filter(parsed);
  if (by_ethertype != nullptr) {
    verdict.types = (verdict.types & ReceiveDescriptor::rss_type_mask) | ReceiveDescriptor::type_ethertype_filter |
                    std::uint32_t{by_ethertype->index} << ReceiveDescriptor::type_filter_shift;
    if (by_ethertype->to_queue) {
      verdict.queue = by_ethertype->queue;
      return verdict;
    }
  }
  const bool by_syn = (synqf_ & ixgbe::SYNQF_EN) != 0 && parsed.l4 == L4::tcp &&
                      (frame.bytes[parsed.l4_offset + tcp_flags] & flag_syn) != 0;
  const bool syn_first = (synqf_ & ixgbe::SYNQF_PRIORITY) != 0;
  const FiveTupleFilter* const by_tuple = by_syn && syn_first ? nullptr : five_tuple_filter(frame, parsed);
  if (by_tuple != nullptr) {
    verdict.queue = by_tuple->queue;
  } else if (by_syn) {
    verdict.queue = synqf_ >> ixgbe::SYNQF_QUEUE_SHIFT & ixgbe::QUEUE_MASK;
  } else if (flow_director_.on() && parsed.l3 != L3::none) {
    take_flow_director(frame, parsed, verdict);
  }
  return verdict;
}

const ReceiveClassifier::EthertypeFilter* ReceiveClassifier::ethertype_filter(
    const ParsedFrame& parsed) const noexcept {
  const auto found = std::ranges::find(ethertype_filters_, parsed.ethertype, &EthertypeFilter::ethertype);
  return found != ethertype_filters_.end() ? &*found : nullptr;
}

const ReceiveClassifier::FiveTupleFilter* ReceiveClassifier::five_tuple_filter(
    const WireFrame& frame, const ParsedFrame& parsed) const noexcept {
  if (parsed.l3 != L3::ipv4) return nullptr;
  const auto found = std::ranges::find_if(five_tuple_filters_,
                                          [&](const FiveTupleFilter& filter) { return filter.matches(frame, parsed); });
  return found != five_tuple_filters_.end() ? &*found : nullptr;
}

bool ReceiveClassifier::FiveTupleFilter::matches(const WireFrame& frame, const ParsedFrame& parsed) const noexcept {
  const auto load_32 = [&frame](std::uint32_t offset) {
    std::uint32_t value;
    std::memcpy(&value, frame.bytes + offset, sizeof value);
    return value;
  };
  const std::uint32_t protocol = parsed.l4 == L4::tcp ? 0 : parsed.l4 == L4::udp ? 1 : parsed.l4 == L4::sctp ? 2 : 3;
  if ((ftqf & ixgbe::FTQF_ANY_PROTOCOL) == 0 && protocol != (ftqf & ixgbe::FTQF_PROTOCOL_MASK)) return false;
  const std::uint32_t ip = parsed.l3_offset + ipv4_source;
  if ((ftqf & ixgbe::FTQF_ANY_SOURCE) == 0 && load_32(ip) != source) return false;
  if ((ftqf & ixgbe::FTQF_ANY_DESTINATION) == 0 && load_32(ip + 4) != destination) return false;
  constexpr std::uint32_t any_port = ixgbe::FTQF_ANY_SOURCE_PORT | ixgbe::FTQF_ANY_DESTINATION_PORT;
  if ((ftqf & any_port) == any_port) return true;
  if (protocol == 3) return false;  // has no ports
  const std::uint32_t ports = load_32(parsed.l4_offset);
  if ((ftqf & ixgbe::FTQF_ANY_SOURCE_PORT) == 0 && static_cast<std::uint16_t>(ports) != source_port) return false;
  return (ftqf & ixgbe::FTQF_ANY_DESTINATION_PORT) != 0 || ports >> 16 == destination_port;
}

/// Which of the hashes that MRQC enables fits the frame, as the descriptor has it (data sheet 7.1.6.2); 0: none.
std::uint32_t ReceiveClassifier::rss_type(const ParsedFrame& parsed) const noexcept {
  const bool ipv4 = parsed.l3 == L3::ipv4;
  const auto enabled = [this, ipv4](std::uint32_t for_ipv4, std::uint32_t for_ipv6) {
    return (mrqc_ & (ipv4 ? for_ipv4 : for_ipv6)) != 0;
  };
  if (parsed.l3 == L3::none) return 0;
  if (parsed.l4 == L4::tcp && enabled(ixgbe::MRQC_TCP_IPV4, ixgbe::MRQC_TCP_IPV6)) {
    return ipv4 ? ReceiveDescriptor::rss_tcp_ipv4 : ReceiveDescriptor::rss_tcp_ipv6;
  }
  if (parsed.l4 == L4::udp && enabled(ixgbe::MRQC_UDP_IPV4, ixgbe::MRQC_UDP_IPV6)) {
    return ipv4 ? ReceiveDescriptor::rss_udp_ipv4 : ReceiveDescriptor::rss_udp_ipv6;
  }
  if (!enabled(ixgbe::MRQC_IPV4, ixgbe::MRQC_IPV6)) return 0;
  return ipv4 ? ReceiveDescriptor::rss_ipv4 : ReceiveDescriptor::rss_ipv6;
}

void ReceiveClassifier::take_rss(const WireFrame& frame, const ParsedFrame& parsed,
                                 ReceiveVerdict& verdict) const noexcept {
  if ((mrqc_ & ixgbe::MRQC_MRQE_MASK) != ixgbe::MRQC_MRQE_RSS) return;
  const std::uint32_t type = rss_type(parsed);
  if (type == 0) return;
  const bool with_ports = type != ReceiveDescriptor::rss_ipv4 && type != ReceiveDescriptor::rss_ipv6;
  const std::span<const std::uint8_t> from_to = addresses(frame, parsed);
  std::array<std::uint8_t, Toeplitz::most_input_bytes> input;
  std::memcpy(input.data(), from_to.data(), from_to.size());
  std::size_t length = from_to.size();
  if (with_ports) {
    std::memcpy(input.data() + length, frame.bytes + parsed.l4_offset, port_bytes);
    length += port_bytes;
  }
  const std::uint32_t hash = toeplitz_.hash({input.data(), length});
  verdict.queue = redirection_[hash % redirection_.size()];
  if ((rxcsum_ & ixgbe::RXCSUM_PCSD) == 0) return;
  verdict.types |= type;
  verdict.hash = hash;
}

void ReceiveClassifier::take_flow_director(const WireFrame& frame, const ParsedFrame& parsed,
                                           ReceiveVerdict& verdict) const noexcept {
  const FlowDirector::Answer answer = flow_director_.look_up(frame, parsed);
  verdict.flow_director = answer.matched ? FlowDirectorOutcome::matched : FlowDirectorOutcome::missed;
  verdict.status |= answer.status;
  if (answer.to_queue) verdict.queue = answer.queue;
  if (!answer.reported || (rxcsum_ & ixgbe::RXCSUM_PCSD) == 0) return;
  verdict.types |= ReceiveDescriptor::rss_flow_director;
  verdict.hash = answer.id;
}

/// Where PSRTYPE has the headers end: behind the last kind of header that it names and the frame has.
std::uint32_t ReceiveClassifier::header_length(const ParsedFrame& parsed) const noexcept {
  const bool of_tcp = parsed.l4 == L4::tcp && (psrtype_ & ixgbe::PSRTYPE_TCP) != 0;
  const bool of_udp = parsed.l4 == L4::udp && (psrtype_ & ixgbe::PSRTYPE_UDP) != 0;
  if (of_tcp || of_udp) return parsed.header_end;
  if (parsed.l3 == L3::ipv4 && (psrtype_ & ixgbe::PSRTYPE_IPV4) != 0) return parsed.l4_offset;
  if (parsed.l3 == L3::ipv6 && (psrtype_ & ixgbe::PSRTYPE_IPV6) != 0) return parsed.l4_offset;
  if ((psrtype_ & ixgbe::PSRTYPE_L2) == 0) return 0;
  return parsed.l3 != L3::none ? parsed.l3_offset : parsed.header_end;
}

}  // namespace ixcap::emulator
