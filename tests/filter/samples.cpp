#include "tests/filter/samples.hpp"

#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <initializer_list>

namespace ixcap::filter {
namespace {

constexpr std::array expressions = std::to_array<std::string_view>({
    // link layer
    "",
    "ip",
    "ip6",
    "arp",
    "rarp",
    "atalk",
    "aarp",
    "decnet",
    "iso",
    "stp",
    "ipx",
    "netbeui",
    "lat",
    "moprc",
    "mopdl",
    "sca",
    "llc",
    "llc i",
    "llc s",
    "llc u",
    "llc rr",
    "llc xid",
    "broadcast",
    "multicast",
    "ether broadcast",
    "ether multicast",
    "ether host 02:00:00:00:00:01",
    "ether src 02:00:00:00:00:01",
    "ether dst 02:00:00:00:00:02",
    "ether src or dst 02:00:00:00:00:02",
    "ether src and dst 02:00:00:00:00:02",
    "ether host 0200.0000.0001",
    "ether proto 0x88f7",
    "ether proto \\arp",
    "ether proto 100",
    "ether[0] & 1 != 0",
    "ether[12:2] = 0x0800",
    "ether[6:4] = 0x02000000",
    "link host 02:00:00:00:00:01",
    // lengths
    "less 64",
    "greater 100",
    "len = 60",
    "len > 60",
    "len <= 1514",
    "len & 1 = 0",
    "len - 14 = ip[2:2]",
    "ip[2:2] > len - 20",
    // tags, tunnels
    "vlan",
    "vlan 5",
    "vlan and ip",
    "vlan 5 and tcp port 80",
    "vlan and vlan",
    "vlan 5 and vlan 6 and ip",
    "not vlan",
    "ip or vlan",
    "vlan or ip6",
    "mpls",
    "mpls 1000",
    "mpls and ip",
    "mpls 1000 and mpls 16",
    "pppoed",
    "pppoes",
    "pppoes 17",
    "pppoes and ip",
    "pppoes and tcp port 80",
    "geneve",
    "geneve 9",
    "geneve and ip",
    "vlan and mpls 1000",
    // IPv4
    "host 10.0.0.1",
    "src host 10.0.0.1",
    "dst host 10.0.0.2",
    "src or dst 10.0.0.1",
    "src and dst 10.0.0.1",
    "ip host 10.0.0.1",
    "arp host 10.0.0.1",
    "rarp src 10.0.0.1",
    "host 10.0.0.1 and host 10.0.0.2",
    "host 10.0.0.1 or 10.0.0.9",
    "src 10.0.0.1 and not dst 10.0.0.9",
    "net 10",
    "net 10.0",
    "net 10.0.0.0/8",
    "src net 10.0.0.0/30",
    "dst net 192.168.0.0 mask 255.255.0.0",
    "net 0.0.0.0/0",
    "arp net 10.0.0.0/8",
    "ip multicast",
    "ip proto 6",
    "ip proto \\udp",
    "ip proto 47",
    "proto 17",
    "ip[0] & 0xf != 5",
    "ip[0] >> 4 = 4",
    "ip[8] < 64",
    "ip[6:2] & 0x1fff = 0",
    "ip[6:2] & 0x3fff != 0",
    "ip[8] = 64",
    "ip[12:4] = 0x0a000001",
    "ip[1] & 0xfc >> 2 = 46",
    "ip[9] = 6 and ip[8] > 1",
    "(ip[0] & 0xf) * 4 > 20",
    "ip[16] >= 224",
    // IPv6
    "ip6 host 2001:db8::1",
    "src 2001:db8::1",
    "dst host 2001:db8::2",
    "net 2001:db8::/32",
    "ip6 src net 2001:db8::/64",
    "ip6 multicast",
    "ip6 proto 6",
    "ip6 proto \\udp",
    "ip6[6] = 44",
    "ip6[7] = 255",
    "ip6[40] = 128",
    "icmp6",
    "icmp6[icmp6type] = icmp6-echo",
    "ip6 and tcp port 443",
    "ip6 and not ip6 proto 58",
    // transport
    "tcp",
    "udp",
    "icmp",
    "igmp",
    "igrp",
    "pim",
    "vrrp",
    "carp",
    "ah",
    "esp",
    "sctp",
    "tcp port 80",
    "udp port 53",
    "sctp port 9",
    "port 80",
    "src port 80",
    "dst port 443",
    "src or dst port 53",
    "src and dst port 53",
    "portrange 1-1023",
    "tcp portrange 80-90",
    "tcp src portrange 1024-65535",
    "udp dst portrange 53-53",
    "port http",
    "port domain",
    "tcp port https or tcp port http",
    "tcp[tcpflags] & tcp-syn != 0",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn",
    "tcp[tcpflags] & (tcp-rst|tcp-fin) != 0",
    "tcp[13] = 0x12",
    "tcp[13] & 2 != 0",
    "tcp[12:1] & 0xf0 >> 2 > 20",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
    "tcp[0:2] = 80",
    "tcp[2:2] > 1023",
    "tcp[4:4] = 1",
    "udp[4:2] > 8",
    "udp[8:2] & 0x8000 = 0",
    "udp[0:2] + udp[2:2] = 106",
    "icmp[icmptype] = icmp-echo",
    "icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply",
    "icmp[0] = 3",
    "icmp[icmpcode] = 0",
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
    // compositions
    "not ip",
    "not (tcp or udp)",
    "!tcp && !udp",
    "tcp or udp or icmp",
    "ip and not tcp and not udp",
    "tcp port 80 or udp port 53",
    "tcp and (port 80 or port 443 or port 8080)",
    "host 10.0.0.1 and tcp port 80",
    "src 10.0.0.1 and dst port 80 and tcp[tcpflags] & tcp-push != 0",
    "(ip or ip6) and (tcp or udp) and port 53",
    "not host 10.0.0.1 and not port 22",
    "ip and ip[8] = 1 or arp and arp[6:2] = 1",
    "arp[7] = 2",
    "rarp[7] = 3",
    "tcp and not (src port 80 or dst port 80)",
    "net 10.0.0.0/8 and not net 10.0.0.0/30",
    // arithmetic
    "ip[2] + ip[3] > 60",
    "ip[2] - ip[3] > 60",
    "ip[2] * ip[3] = 0",
    "ip[8] / 2 = 32",
    "ip[8] % 2 = 0",
    "ip[8] ^ 0x40 = 0",
    "ip[8] | 1 = 65",
    "ip[8] / ip[1] = 0",
    "ip[8] % ip[1] = 0",
    "ip[8] << ip[9] = 0x1000",
    "ip[8] >> ip[9] = 1",
    "-ip[8] < 0xffffff00",
    "ip[ip[8]] = 0",
    "ip[ip[2:2] - 4 : 4] = 0",
    "ether[len - 1] = 0",
    "ether[len - 4 : 4] != 0",
    "ip[4:2] = ip[4:2]",
    "ip[2:2] <= 60",
    "1 = 1",
    "ip[0] != ip[1]",
    "ether[0xfffffff0 + ip[8]] = 0",
    "ip[12:4] - ip[16:4] = 0xffffffff",
});

class Builder {
 public:
  Builder& put(std::initializer_list<int> bytes) {
    for (const int byte : bytes) frame_.push_back(static_cast<std::uint8_t>(byte));
    return *this;
  }
  Builder& zeros(std::size_t count) {
    frame_.resize(frame_.size() + count);
    return *this;
  }
  Builder& ethernet(int type) { return put({2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}).half(type); }
  Builder& half(int value) { return put({value >> 8, value & 0xff}); }
  Builder& ipv4(int protocol, int options = 0, int fragment = 0) {
    put({0x45 + options, 0}).half(60).half(1).half(fragment).put({64, protocol}).half(0);
    return put({10, 0, 0, 1, 10, 0, 0, 2}).zeros(4 * static_cast<std::size_t>(options));
  }
  Builder& ipv6(int next) {
    put({0x60, 0, 0, 0}).half(20).put({next, 64});
    for (const int host : {1, 2}) put({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host});
    return *this;
  }
  Builder& tcp(int from, int to, int flags) {
    half(from).half(to).put({0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags}).half(1024).half(0).half(0);
    return put({'G', 'E', 'T', ' ', '/', 0});
  }
  Builder& udp(int from, int to) { return half(from).half(to).half(20).half(0).zeros(12); }
  Bytes done() { return std::move(frame_); }

 private:
  Bytes frame_;
};

constexpr int any_code(std::uint32_t choice) {
  constexpr std::array codes = {
      BPF_LD | BPF_W | BPF_ABS,
      BPF_LD | BPF_H | BPF_ABS,
      BPF_LD | BPF_B | BPF_ABS,
      BPF_LD | BPF_W | BPF_IND,
      BPF_LD | BPF_H | BPF_IND,
      BPF_LD | BPF_B | BPF_IND,
      BPF_LD | BPF_W | BPF_LEN,
      BPF_LD | BPF_IMM,
      BPF_LD | BPF_MEM,
      BPF_LDX | BPF_IMM,
      BPF_LDX | BPF_MEM,
      BPF_LDX | BPF_W | BPF_LEN,
      BPF_LDX | BPF_B | BPF_MSH,
      BPF_ST,
      BPF_STX,
      BPF_ALU | BPF_NEG,
      BPF_ALU | BPF_ADD | BPF_K,
      BPF_ALU | BPF_ADD | BPF_X,
      BPF_ALU | BPF_SUB | BPF_K,
      BPF_ALU | BPF_SUB | BPF_X,
      BPF_ALU | BPF_MUL | BPF_K,
      BPF_ALU | BPF_MUL | BPF_X,
      BPF_ALU | BPF_DIV | BPF_K,
      BPF_ALU | BPF_DIV | BPF_X,
      BPF_ALU | BPF_MOD | BPF_K,
      BPF_ALU | BPF_MOD | BPF_X,
      BPF_ALU | BPF_AND | BPF_K,
      BPF_ALU | BPF_AND | BPF_X,
      BPF_ALU | BPF_OR | BPF_K,
      BPF_ALU | BPF_OR | BPF_X,
      BPF_ALU | BPF_XOR | BPF_K,
      BPF_ALU | BPF_XOR | BPF_X,
      BPF_ALU | BPF_LSH | BPF_K,
      BPF_ALU | BPF_LSH | BPF_X,
      BPF_ALU | BPF_RSH | BPF_K,
      BPF_ALU | BPF_RSH | BPF_X,
      BPF_JMP | BPF_JA,
      BPF_JMP | BPF_JEQ | BPF_K,
      BPF_JMP | BPF_JEQ | BPF_X,
      BPF_JMP | BPF_JGT | BPF_K,
      BPF_JMP | BPF_JGT | BPF_X,
      BPF_JMP | BPF_JGE | BPF_K,
      BPF_JMP | BPF_JGE | BPF_X,
      BPF_JMP | BPF_JSET | BPF_K,
      BPF_JMP | BPF_JSET | BPF_X,
      BPF_RET | BPF_K,
      BPF_RET | BPF_A,
      BPF_MISC | BPF_TAX,
      BPF_MISC | BPF_TXA,
  };
  return codes[choice % codes.size()];
}

std::uint32_t random_constant(Random& random) {
  switch (random() % 6) {
    case 0:
      return random();
    case 1:
      return std::uint32_t{1} << (random() % 32);
    case 2:
      return 0 - random() % 128;
    default:
      return random() % 100;
  }
}

}  // namespace

std::span<const std::string_view> sample_expressions() {
  return expressions;
}

std::vector<Bytes> sample_frames() {
  constexpr int ip = 0x0800, ip6 = 0x86dd;
  const auto frame = [](int type) { return Builder().ethernet(type); };
  return {
      frame(ip).ipv4(6).tcp(40000, 80, 0x02).done(),
      frame(ip).ipv4(6).tcp(80, 40000, 0x12).done(),
      frame(ip).ipv4(6, 5).tcp(40000, 443, 0x18).done(),
      frame(ip).ipv4(6, 0, 0x2000).tcp(40000, 80, 0x11).done(),
      frame(ip).ipv4(6, 0, 0x0010).tcp(40000, 80, 0x04).done(),
      frame(ip).ipv4(17).udp(53, 53).done(),
      frame(ip).ipv4(17).udp(6081, 6081).done(),
      frame(ip).ipv4(17).half(5000).half(6081).half(60).half(0).put({0, 0, 0x65, 0x58, 0, 0, 9, 0}).ethernet(ip).done(),
      frame(ip).ipv4(132).half(9).half(9).zeros(20).done(),
      frame(ip).ipv4(1).put({8, 0}).zeros(16).done(),
      frame(ip).ipv4(1).put({3, 1}).zeros(16).done(),
      frame(ip).ipv4(47).zeros(20).done(),
      frame(ip).ipv4(50).zeros(20).done(),
      frame(ip6).ipv6(6).tcp(40000, 443, 0x02).done(),
      frame(ip6).ipv6(17).udp(5353, 53).done(),
      frame(ip6).ipv6(58).put({128, 0}).zeros(10).done(),
      frame(ip6).ipv6(44).put({6, 0, 0, 0, 0, 0, 0, 1}).tcp(1, 80, 2).done(),
      frame(0x0806).put({0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1}).zeros(6).put({10, 0, 0, 2}).done(),
      frame(0x8035).put({0, 1, 8, 0, 6, 4, 0, 3, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1}).zeros(10).done(),
      frame(0x8100).half(5).half(ip).ipv4(6).tcp(1, 80, 2).done(),
      frame(0x8100).half(5).half(0x8100).half(6).half(ip).ipv4(17).udp(1, 53).done(),
      frame(0x88a8).half(5).half(0x8100).half(6).half(ip6).ipv6(6).tcp(1, 80, 2).done(),
      frame(0x8847).put({0, 0x3e, 0x80, 64, 0, 1, 1, 64}).ipv4(6).tcp(1, 80, 2).done(),
      frame(0x8847).put({0, 0x3e, 0x81, 64}).ipv4(6).tcp(1, 80, 2).done(),
      frame(0x8863).put({0x11, 9, 0, 0, 0, 4}).zeros(4).done(),
      frame(0x8864).put({0x11, 0, 0, 17, 0, 62, 0, 0x21}).ipv4(6).tcp(1, 80, 2).done(),
      frame(0x88f7).zeros(46).done(),
      frame(38).put({0x42, 0x42, 3}).zeros(35).done(),
      frame(40).put({0xaa, 0xaa, 3, 8, 0, 7, 0x80, 0x9b}).zeros(30).done(),
      frame(40).put({0xfe, 0xfe, 3, 0x83}).zeros(30).done(),
      Builder().put({255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1}).half(ip).ipv4(17).udp(67, 68).done(),
  };
}

Bytes random_frame(Random& random) {
  Bytes frame(random() % 97);
  for (std::uint8_t& byte : frame) byte = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : random() % 8);
  return frame;
}

std::vector<Instruction> random_instructions(Random& random) {
  std::vector<Instruction> instructions(1 + random() % 40);
  for (std::size_t number = 0; number + 1 < instructions.size(); ++number) {
    Instruction& instruction = instructions[number];
    const auto beyond = static_cast<std::uint32_t>(instructions.size() - number - 1);
    int code = any_code(random());
    if (BPF_CLASS(code) == BPF_RET && random() % 4 != 0) code = BPF_LDX | BPF_IMM;
    instruction = {static_cast<std::uint16_t>(code), 0, 0, random_constant(random)};
    if (BPF_CLASS(code) == BPF_JMP) {
      const std::uint32_t reach = std::min(beyond, std::uint32_t{256});
      instruction.jump_true = static_cast<std::uint8_t>(random() % reach);
      instruction.jump_false = static_cast<std::uint8_t>(random() % reach);
      if (code == (BPF_JMP | BPF_JA)) instruction.k = random() % beyond;
    }
    const bool loads = BPF_CLASS(code) == BPF_LD || BPF_CLASS(code) == BPF_LDX;
    const bool stores = code == BPF_ST || code == BPF_STX;
    if (stores || (loads && BPF_MODE(code) == BPF_MEM)) instruction.k %= scratch_words;
    if (loads && BPF_MODE(code) == BPF_ABS && instruction.k >= 0xfffff000) instruction.k = random() % 100;
    if (BPF_CLASS(code) == BPF_ALU && instruction.k == 0) instruction.k = 1;
  }
  const bool returns_a = random() % 4 != 0;
  instructions.back() = {static_cast<std::uint16_t>(BPF_RET | (returns_a ? BPF_A : BPF_K)), 0, 0, random()};
  return instructions;
}

}  // namespace ixcap::filter
