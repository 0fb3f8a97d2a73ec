#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include <ixcap/driver/emulator/frame_mixer.hpp>

namespace ixcap::emulator {
namespace {

constexpr Ipv4Address ipv4(unsigned a, unsigned b, unsigned c, unsigned d) {
  return a << 24 | b << 16 | c << 8 | d;
}

constexpr Ipv4Address google_dns = ipv4(8, 8, 8, 8);
constexpr std::uint16_t http_port = 80;
constexpr std::uint16_t tls_port = 443;
constexpr std::uint16_t dns_port = 53;
constexpr std::size_t shortest_dns_message = 12 + 5;  // header, and a question about the root
constexpr std::uint16_t other_tcp_port = 9400;        // no dissector claims these two
constexpr std::uint16_t other_udp_port = 9500;

/// The hosts' MAC addresses are locally administered and follow from their IP addresses.
MacAddress mac_of(Ipv4Address host) {
  return {0x02,
          0x00,
          static_cast<std::uint8_t>(host >> 24),
          static_cast<std::uint8_t>(host >> 16),
          static_cast<std::uint8_t>(host >> 8),
          static_cast<std::uint8_t>(host)};
}

MacAddress mac_of(const Ipv6Address& host) {
  return {0x02, 0x00, host[12], host[13], host[14], host[15]};
}

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

/// `name` as DNS labels: each with its length in front, a zero at the end (RFC 1035 3.1).
Bytes dns_labels(std::string_view name) {
  Bytes labels;
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    labels.push_back(static_cast<std::uint8_t>(label.size()));
    labels.insert(labels.end(), label.begin(), label.end());
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  labels.push_back(0);
  return labels;
}

}  // namespace

// Of the arguments of one call at most one draws a random number: their order differs between compilers, and frames are
// the same everywhere.

Bytes FrameMixer::make(FrameKind kind, std::uint32_t length) {
  const bool to_server = random_.coin();
  switch (kind) {
    case FrameKind::tcp_syn:
      return tcp_segment(kind, length, way(tls_port, true), flag_syn);
    case FrameKind::tcp_syn_ack:
      return tcp_segment(kind, length, way(tls_port, false), flag_syn | flag_ack);
    case FrameKind::tcp_ack:
      return tcp_segment(kind, length, way(tls_port, to_server), flag_ack);
    case FrameKind::tcp_fin:
      return tcp_segment(kind, length, way(http_port, to_server), flag_fin | flag_ack);
    case FrameKind::tcp_http:
      return tcp_segment(kind, length, way(http_port, to_server), flag_push | flag_ack);
    case FrameKind::tcp_tls:
      return tcp_segment(kind, length, way(tls_port, to_server), flag_push | flag_ack);
    case FrameKind::tcp_other:
    case FrameKind::vlan_tcp:
      return tcp_segment(kind, length, way(other_tcp_port, to_server), flag_push | flag_ack);
    case FrameKind::dns_query:
      return udp_datagram(kind, length, dns_way(false));
    case FrameKind::dns_answer:
      return udp_datagram(kind, length, dns_way(true));
    case FrameKind::udp_other:
    case FrameKind::vlan_udp:
    case FrameKind::qinq_udp:
      return udp_datagram(kind, length, way(other_udp_port, to_server));
    case FrameKind::ipv4_fragment:
      return ipv4_fragment(length);
    case FrameKind::icmp_echo:
      return icmp_echo(length);
    case FrameKind::arp:
      return arp(length);
    case FrameKind::ipv6_bare:
    case FrameKind::ipv6_tcp:
    case FrameKind::ipv6_udp:
    case FrameKind::ipv6_dns:
    case FrameKind::ipv6_icmp:
      return ipv6(kind, length);
  }
  return {};
}

Ipv4Address FrameMixer::client() {
  const std::uint32_t host = random_.below(65536);
  if (random_.coin()) return ipv4(10, random_.below(256), host >> 8, host & 0xff);
  return random_.coin() ? ipv4(192, 168, host >> 8, host & 0xff) : ipv4(172, 16, host >> 8, host & 0xff);
}

/// In the networks set aside for examples (RFC 5737), and now and then 8.8.8.8.
Ipv4Address FrameMixer::server() {
  constexpr std::array networks{ipv4(192, 0, 2, 0), ipv4(198, 51, 100, 0), ipv4(203, 0, 113, 0)};
  if (random_.below(32) == 0) return google_dns;
  const Ipv4Address network = networks[random_.below(networks.size())];
  return network + 1 + random_.below(254);
}

std::uint16_t FrameMixer::client_port() {
  return static_cast<std::uint16_t>(49152 + random_.below(16384));  // the dynamic ports (RFC 6335)
}

FrameMixer::Way FrameMixer::way(std::uint16_t server_port, bool to_server) {
  const Ipv4Address client_host = client();
  const Ipv4Address server_host = server();
  const std::uint16_t port = client_port();
  if (to_server) return {client_host, server_host, port, server_port};
  return {server_host, client_host, server_port, port};
}

FrameMixer::Way FrameMixer::dns_way(bool answer) {
  Way dns = way(dns_port, !answer);
  const Ipv4Address resolver = random_.coin() ? google_dns : ipv4(9, 9, 9, 9);
  (answer ? dns.source : dns.destination) = resolver;
  return dns;
}

/// A frame with everything before the IPv4 header.
PacketBuilder FrameMixer::start(std::uint32_t length, const Way& way, FrameKind kind) {
  PacketBuilder packet(length);
  packet.ethernet(mac_of(way.destination), mac_of(way.source));
  if (tag_bytes(kind) == 8) packet.tag(0x88a8, static_cast<std::uint16_t>(100 + random_.below(100)));
  if (tag_bytes(kind) != 0) packet.tag(0x8100, static_cast<std::uint16_t>(1 + random_.below(50)));
  packet.ethertype(0x0800);
  return packet;
}

Bytes FrameMixer::tcp_segment(FrameKind kind, std::uint32_t length, const Way& way, std::uint8_t flags) {
  PacketBuilder packet = start(length, way, kind);
  const std::size_t room = packet.room() - ipv4_header - tcp_header;
  Bytes options;
  Bytes payload;
  if ((flags & flag_syn) != 0) options = {2, 4, 1460 >> 8, 1460 & 0xff};  // maximum segment size
  if (kind == FrameKind::tcp_http) payload = http(room, way.destination_port == http_port);
  if (kind == FrameKind::tcp_tls) payload = tls_record(room);
  if (kind == FrameKind::tcp_other || kind == FrameKind::vlan_tcp) payload = text(room);

  packet.ipv4({.source = way.source,
               .destination = way.destination,
               .protocol = protocol_tcp,
               .identification = identification()},
              tcp_header + options.size() + payload.size());
  packet.tcp({.source_port = way.source_port,
              .destination_port = way.destination_port,
              .sequence = static_cast<std::uint32_t>(random_.next()),
              .acknowledgement = (flags & flag_ack) != 0 ? static_cast<std::uint32_t>(random_.next()) : 0,
              .flags = flags},
             options, payload);
  return packet.take();
}

Bytes FrameMixer::udp_datagram(FrameKind kind, std::uint32_t length, const Way& way) {
  PacketBuilder packet = start(length, way, kind);
  const std::size_t room = packet.room() - ipv4_header - udp_header;
  const bool is_dns = kind == FrameKind::dns_query || kind == FrameKind::dns_answer;
  const Bytes payload = is_dns ? dns_message(room, kind == FrameKind::dns_answer) : text(room);
  packet.ipv4({.source = way.source,
               .destination = way.destination,
               .protocol = protocol_udp,
               .identification = identification()},
              udp_header + payload.size());
  packet.udp(way.source_port, way.destination_port, payload);
  return packet.take();
}

/// The first half of a UDP datagram, and at the next call, which must be for the same length, the second.
Bytes FrameMixer::ipv4_fragment(std::uint32_t length) {
  constexpr std::uint16_t more_fragments = 0x2000;
  const std::size_t room = length - ethernet_header - ipv4_header;
  SecondFragment& second = second_fragment_;
  Ipv4Header header = second.header;
  Bytes payload;
  if (second.payload.empty()) {
    // The whole datagram in a frame no wire carries, so that its UDP checksum covers both halves.
    const std::size_t first_length = room / 8 * 8;
    const Way both_ways = way(other_udp_port, random_.coin());
    header = {both_ways.source, both_ways.destination, protocol_udp, identification(), more_fragments};
    PacketBuilder whole(ipv4_header + first_length + room);
    whole.ipv4(header, first_length + room);
    whole.udp(both_ways.source_port, both_ways.destination_port, text(whole.room() - udp_header));
    const Bytes datagram = whole.take();
    const auto cut = datagram.begin() + static_cast<std::ptrdiff_t>(ipv4_header + first_length);
    payload.assign(datagram.begin() + ipv4_header, cut);
    second = {header, Bytes(cut, datagram.end())};
    second.header.flags_and_offset = static_cast<std::uint16_t>(first_length / 8);
  } else {
    payload.swap(second.payload);
  }
  PacketBuilder packet(length);
  packet.ethernet(mac_of(header.destination), mac_of(header.source)).ethertype(0x0800);
  packet.ipv4(header, payload.size()).append(payload);
  return packet.take();
}

Bytes FrameMixer::icmp_echo(std::uint32_t length) {
  const bool reply = random_.coin();
  const Way both_ways = way(0, !reply);
  PacketBuilder packet = start(length, both_ways, FrameKind::icmp_echo);
  const Bytes payload = text(packet.room() - ipv4_header - icmp_echo_header);
  packet.ipv4({.source = both_ways.source, .destination = both_ways.destination, .protocol = protocol_icmp},
              icmp_echo_header + payload.size());
  packet.icmp_echo(reply, both_ways.source_port, identification(), payload);
  return packet.take();
}

Bytes FrameMixer::arp(std::uint32_t length) {
  constexpr MacAddress broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  const bool reply = random_.coin();
  const Ipv4Address sender = client();
  const Ipv4Address target = (sender & 0xffffff00) + 1;  // the router of its network
  PacketBuilder packet(length);
  packet.ethernet(reply ? mac_of(target) : broadcast, mac_of(sender)).ethertype(0x0806);
  packet.u16(1).u16(0x0800).u8(6).u8(4).u16(reply ? 2 : 1);  // Ethernet, IPv4, lengths of their addresses, operation
  packet.append(ByteView(mac_of(sender))).u32(sender);
  packet.append(ByteView(reply ? mac_of(target) : MacAddress{})).u32(target);
  return packet.take();
}

Bytes FrameMixer::ipv6(FrameKind kind, std::uint32_t length) {
  constexpr Ipv6Address documentation{0x20, 0x01, 0x0d, 0xb8};  // RFC 3849
  Ipv6Header header{.source = documentation,
                    .destination = documentation,
                    .next_header = protocol_none,
                    .flow_label = random_.below(1 << 20)};
  for (std::size_t i = 8; i < 16; ++i) header.source[i] = static_cast<std::uint8_t>(random_.below(256));
  header.destination[15] = static_cast<std::uint8_t>(1 + random_.below(9));

  PacketBuilder packet(length);
  packet.ethernet(mac_of(header.destination), mac_of(header.source)).ethertype(0x86dd);
  const std::size_t room = packet.room() - ipv6_header;
  const std::uint16_t port = client_port();
  const bool reply = random_.coin();
  if (kind == FrameKind::ipv6_tcp && room >= tcp_header) {
    header.next_header = protocol_tcp;
    packet.ipv6(header, room);
    const Bytes payload = text(room - tcp_header);
    packet.tcp({.source_port = port,
                .destination_port = other_tcp_port,
                .sequence = static_cast<std::uint32_t>(random_.next()),
                .acknowledgement = static_cast<std::uint32_t>(random_.next()),
                .flags = flag_push | flag_ack},
               {}, payload);
  } else if (kind == FrameKind::ipv6_udp && room >= udp_header) {
    header.next_header = protocol_udp;
    packet.ipv6(header, room).udp(port, other_udp_port, text(room - udp_header));
  } else if (kind == FrameKind::ipv6_dns && room >= udp_header + shortest_dns_message) {
    header.next_header = protocol_udp;
    const Bytes message = dns_message(room - udp_header, false);
    packet.ipv6(header, udp_header + message.size()).udp(port, dns_port, message);
  } else if (kind == FrameKind::ipv6_icmp && room >= icmp_echo_header) {
    header.next_header = protocol_icmpv6;
    packet.ipv6(header, room).icmpv6_echo(reply, port, 1, text(room - icmp_echo_header));
  } else {
    packet.ipv6(header, 0);
  }
  return packet.take();
}

/// Letters, beginning anywhere in the alphabet.
Bytes FrameMixer::text(std::size_t length) {
  Bytes letters(length);
  std::uint32_t letter = random_.below(26);
  for (std::uint8_t& byte : letters) byte = static_cast<std::uint8_t>('a' + letter++ % 26);
  return letters;
}

/// A request or an answer of exactly `length` bytes; where that is too little for one, the beginning of a request.
Bytes FrameMixer::http(std::size_t length, bool request) {
  constexpr std::string_view answer_head =
      "HTTP/1.1 200 OK\r\nServer: ixcap\r\nContent-Type: text/plain\r\nContent-Length: {:05}\r\n\r\n";
  const std::size_t answer_head_length = fmt::format(answer_head, 0).size();
  if (!request && length >= answer_head_length) {
    const std::size_t body_length = length - answer_head_length;
    Bytes answer = bytes_of(fmt::format(answer_head, body_length));
    const Bytes body = text(body_length);
    answer.insert(answer.end(), body.begin(), body.end());
    return answer;
  }
  constexpr std::string_view method = "GET /";
  constexpr std::string_view rest = " HTTP/1.1\r\nHost: www.example.com\r\nAccept: */*\r\n\r\n";
  Bytes path = text(length - std::min(length, method.size() + rest.size()));
  Bytes whole = bytes_of(method);
  whole.insert(whole.end(), path.begin(), path.end());
  whole.insert(whole.end(), rest.begin(), rest.end());
  whole.resize(length);
  return whole;
}

/// One record of application data (RFC 8446 5.1): what is in it looks random, as ciphertext does.
Bytes FrameMixer::tls_record(std::size_t length) {
  constexpr std::size_t record_header = 5;
  PacketBuilder record(length);
  record.u8(23).u16(0x0303).u16(static_cast<unsigned>(length - record_header));
  while (record.room() > 0) record.u8(random_.below(256));
  return record.take();
}

/// A query or an answer that fills `room` (>= shortest_dns_message) exactly if EDNS padding fits, and is the longest
/// that fits otherwise.
Bytes FrameMixer::dns_message(std::size_t room, bool answer) {
  constexpr std::array<std::string_view, 4> names{"www.example.com", "mail.example.org", "cdn.example.net",
                                                  "example.com"};
  constexpr std::size_t header_length = 12;
  constexpr std::size_t answer_length = 16;
  constexpr std::size_t edns_length = 11 + 4;  // the OPT record and the header of its padding option
  constexpr unsigned type_a = 1;
  constexpr unsigned type_ns = 2;
  constexpr unsigned class_internet = 1;

  Bytes name = dns_labels(names[random_.below(names.size())]);
  if (header_length + name.size() + 4 > room) name = dns_labels("");
  const std::size_t room_after_question = room - header_length - name.size() - 4;
  const std::size_t most_answers = answer && name.size() > 1 ? 1 + random_.below(3) : 0;
  const std::size_t answers = std::min(most_answers, room_after_question / answer_length);
  const std::size_t room_after_answers = room_after_question - answers * answer_length;
  const bool padded = room_after_answers >= edns_length;
  const unsigned truncated = answers == 0 ? 0x0200 : 0;
  const unsigned flags = answer ? 0x8180 | truncated : 0x0100;  // response, recursion available; recursion desired

  PacketBuilder message(padded ? room : room - room_after_answers);
  message.u16(identification()).u16(flags);
  message.u16(1).u16(static_cast<unsigned>(answers)).u16(0).u16(padded ? 1 : 0);
  message.append(ByteView(name)).u16(name.size() > 1 ? type_a : type_ns).u16(class_internet);
  for (std::size_t i = 0; i < answers; ++i) {
    constexpr unsigned pointer_to_question = 0xc00c;
    message.u16(pointer_to_question).u16(type_a).u16(class_internet).u32(300).u16(4).u32(server());
  }
  if (padded) {
    const auto padding = static_cast<unsigned>(message.room() - edns_length);
    message.u8(0).u16(41).u16(1232).u32(0).u16(padding + 4).u16(12).u16(padding);
  }
  return message.take();
}

}  // namespace ixcap::emulator
