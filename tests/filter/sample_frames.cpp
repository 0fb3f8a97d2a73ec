#include <initializer_list>
#include <utility>

#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

constexpr int ip = 0x0800;
constexpr int ip6 = 0x86dd;
constexpr int arp = 0x0806;
constexpr int tag = 0x8100;
constexpr int mpls = 0x8847;

using Address = std::initializer_list<int>;

// Appends one header after the other. Between 10.0.0.1 and 10.0.0.2 or 2001:db8::1 and 2001:db8::2, if nothing else is
// said.
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
  Builder& half(int value) { return put({value >> 8, value & 0xff}); }
  Builder& ethernet(int type) { return to({2, 0, 0, 0, 0, 2}, type); }
  Builder& to(Address destination, int type) { return put(destination).put({2, 0, 0, 0, 0, 1}).half(type); }

  Builder& ipv4(int protocol, int options = 0, int fragment = 0) {
    return ipv4_header(0x45 + options, protocol, fragment, {10, 0, 0, 1}, {10, 0, 0, 2})
        .zeros(4 * static_cast<std::size_t>(options));
  }
  Builder& ipv4_between(Address source, Address destination, int protocol) {
    return ipv4_header(0x45, protocol, 0, source, destination);
  }
  // Of any first byte: also header lengths below 5.
  Builder& ipv4_header(int first, int protocol, int fragment, Address source, Address destination) {
    put({first, 0}).half(60).half(1).half(fragment).put({64, protocol}).half(0);
    return put(source).put(destination);
  }
  // Of any type of service, length and time to live.
  Builder& ipv4_unusual(int service, int length, int hops, int protocol, Address source = {10, 0, 0, 1}) {
    put({0x45, service}).half(length).half(1).half(0).put({hops, protocol}).half(0);
    return put(source).put({10, 0, 0, 2});
  }
  Builder& ipv6(int next) { return ipv6_between(1, 2, next); }
  Builder& ipv6_between(int source, int destination, int next, int subnet = 0) {
    put({0x60, 0, 0, 0}).half(20).put({next, 64});
    for (const int host : {source, destination}) {
      put({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, subnet, 0, 0, 0, 0, 0, 0, 0, host});
    }
    return *this;
  }
  // From fe80::1 to ff02::1, as neighbours talk.
  Builder& ipv6_neighbour(int next) {
    put({0x6c, 0, 0, 0}).half(200).put({next, 255});
    return put({0xfe, 0x80}).zeros(13).put({1, 0xff, 2}).zeros(13).put({1});
  }
  Builder& tcp(int from, int to, int flags) {
    half(from).half(to).put({0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags}).half(1024).half(0).half(0);
    return put({'G', 'E', 'T', ' ', '/', 0});
  }
  Builder& udp(int from, int to) { return half(from).half(to).half(20).half(0).zeros(12); }
  Builder& geneve(int options, int network) {
    half(5000).half(6081).half(60).half(0).put({options, 0, 0x65, 0x58, 0, 0, network, 0});
    return zeros(4 * static_cast<std::size_t>(options));
  }
  Builder& neighbour_words(int operation) {
    put({0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1});
    return zeros(6).put({10, 0, 0, 2});
  }
  Bytes done() { return std::move(frame_); }

 private:
  Bytes frame_;
};

Builder frame(int type) {
  return Builder().ethernet(type);
}

// An IEEE 802.3 frame: a length where Ethernet has a type, then LLC.
Bytes llc(std::initializer_list<int> header) {
  return frame(40).put(header).zeros(20).done();
}

void add_ipv4(std::vector<Bytes>& frames) {
  for (int options = 1; options <= 10; ++options) {
    frames.push_back(frame(ip).ipv4(6, options).tcp(40000, 443, 0x18).done());
    frames.push_back(
        frame(ip).ipv4(options % 2 == 0 ? 17 : 132, options).udp(40000, options % 4 == 0 ? 80 : 53).done());
  }
  for (const int first : {0x40, 0x41, 0x44, 0x54}) {
    frames.push_back(frame(ip).ipv4_header(first, 6, 0, {10, 0, 0, 1}, {10, 0, 0, 2}).tcp(40000, 80, 0x02).done());
  }
  for (const int fragment : {0x2000, 0x4000, 0x0010, 0x2001, 0x1fff, 0x8000}) {
    frames.push_back(frame(ip).ipv4(6, 0, fragment).tcp(40000, 80, 0x11).done());
    frames.push_back(frame(ip).ipv4(17, 0, fragment).udp(53, 1024).done());
  }
  const Address lan = {192, 168, 1, 1}, everyone = {255, 255, 255, 255}, group = {224, 0, 0, 1};
  const Address first = {10, 0, 0, 1}, second = {10, 0, 0, 2}, ninth = {10, 0, 0, 9}, nobody = {0, 0, 0, 0};
  frames.push_back(frame(ip).ipv4_between(second, first, 6).tcp(80, 40000, 0x12).done());
  frames.push_back(frame(ip).ipv4_between(ninth, second, 17).udp(7, 65535).done());
  frames.push_back(frame(ip).ipv4_between(lan, {172, 16, 5, 5}, 6).tcp(22, 8080, 0x10).done());
  frames.push_back(frame(ip).ipv4_between(first, lan, 6).tcp(8080, 22, 0x14).done());
  frames.push_back(frame(ip).ipv4_between(first, first, 6).tcp(443, 443, 0x04).done());
  frames.push_back(
      Builder().to({255, 255, 255, 255, 255, 255}, ip).ipv4_between(nobody, everyone, 17).udp(68, 67).done());
  frames.push_back(Builder().to({1, 0, 0x5e, 0, 0, 1}, ip).ipv4_between(lan, group, 2).put({0x11, 0}).zeros(18).done());
  frames.push_back(
      Builder().to({1, 0, 0x5e, 0, 0, 1}, ip).ipv4_between(first, group, 103).put({0x20, 0}).zeros(18).done());
  frames.push_back(
      Builder().to({1, 0, 0x5e, 0, 0, 1}, ip).ipv4_between(first, group, 112).put({0x21, 0}).zeros(18).done());
  for (const int flags : {0x00, 0x01, 0x03, 0x04, 0x20, 0x42, 0xc2, 0xff}) {
    frames.push_back(frame(ip).ipv4(6).tcp(40000, flags % 2 == 0 ? 80 : 8080, flags).done());
  }
  for (const int protocol : {9, 47, 50, 51, 89, 255}) frames.push_back(frame(ip).ipv4(protocol).zeros(20).done());
  for (const int type : {0, 5, 11, 12, 13}) frames.push_back(frame(ip).ipv4(1).put({type, 0}).zeros(16).done());
  frames.push_back(frame(ip).ipv4_unusual(0x2e, 1500, 1, 17).udp(1024, 53).done());
  frames.push_back(frame(ip).ipv4_unusual(0x2e, 61, 0x5c, 17, {0, 0, 0, 4}).udp(1024, 53).done());
  frames.push_back(frame(ip).ipv4_unusual(0, 40, 0, 6, {1, 0, 0, 1}).tcp(1, 2, 0).done());
  frames.push_back(frame(ip).ipv4_unusual(0, 0x0820, 64, 0, {10, 0, 0, 3}).zeros(20).done());
  for (const int host : {4, 5, 6, 7})
    frames.push_back(frame(ip).ipv4_unusual(0, 60, 20, 1, {10, 1, 2, host}).zeros(8).done());
  frames.push_back(
      frame(ip).ipv4_between({10, 1, 2, 3}, ninth, 6).put({0, 80, 0, 81}).zeros(8).put({0xf0, 2}).zeros(46).done());
  frames.push_back(frame(ip).ipv4(17).half(53).half(4789).half(8).half(0x1234).put({0x80, 0x80, 0xff, 0xff}).done());
}

void add_ipv6(std::vector<Bytes>& frames) {
  frames.push_back(frame(ip6).ipv6(6).tcp(80, 40000, 0x12).done());
  frames.push_back(frame(ip6).ipv6(6).tcp(40000, 22, 0x01).done());
  frames.push_back(frame(ip6).ipv6(17).udp(6081, 6081).done());
  frames.push_back(frame(ip6).ipv6(132).half(9).half(10).zeros(20).done());
  frames.push_back(frame(ip6).ipv6(17).geneve(0, 9).ethernet(ip6).ipv6(6).tcp(1, 80, 2).done());
  for (const int type : {1, 2, 3, 129, 134}) frames.push_back(frame(ip6).ipv6(58).put({type, 4}).zeros(10).done());
  for (const int type : {135, 136}) {
    frames.push_back(Builder().to({0x33, 0x33, 0, 0, 0, 1}, ip6).ipv6_neighbour(58).put({type, 0}).zeros(10).done());
  }
  frames.push_back(frame(ip6).ipv6_between(9, 1, 6).tcp(40000, 80, 2).done());
  frames.push_back(frame(ip6).ipv6_between(3, 4, 17, 1).udp(53, 53).done());
  frames.push_back(frame(ip6)
                       .put({0x60, 0, 0, 0, 0, 8, 58, 255})
                       .zeros(16)
                       .put({0xff, 2})
                       .zeros(13)
                       .put({1, 135, 0})
                       .zeros(8)
                       .done());
  for (const int next : {0, 43, 50, 51, 59, 60}) {
    frames.push_back(frame(ip6).ipv6(next).put({6, 0, 0, 0, 0, 0, 0, 1}).tcp(1, 80, 2).done());
  }
  frames.push_back(frame(ip6).ipv6(44).put({17, 0, 0, 8, 0, 0, 0, 1}).udp(53, 53).done());
}

void add_tagged(std::vector<Bytes>& frames) {
  frames.push_back(frame(tag).half(0xa006).half(ip).ipv4(6).tcp(80, 1, 0x12).done());
  frames.push_back(frame(tag).half(0).half(arp).neighbour_words(1).done());
  frames.push_back(frame(tag).half(0xffff).half(ip6).ipv6(58).put({128, 0}).zeros(10).done());
  frames.push_back(frame(tag).half(15).half(ip).ipv4(47).zeros(8).done());
  frames.push_back(frame(tag).half(5).half(0x88f7).zeros(46).done());
  frames.push_back(frame(tag).half(5).half(mpls).put({0, 0x3e, 0x81, 64}).ipv4(6).tcp(1, 80, 2).done());
  frames.push_back(frame(tag).half(7).half(0x8864).put({0x11, 0, 0, 17, 0, 62, 0, 0x21}).ipv4(6).tcp(1, 80, 2).done());
  frames.push_back(frame(0x9100).half(5).half(ip).ipv4(17).udp(53, 1).done());
  frames.push_back(frame(0x88a8).half(6).half(ip).ipv4(17).udp(53, 1).done());
  frames.push_back(frame(0x88a8).half(5).half(tag).half(6).half(ip).ipv4(6).tcp(1, 80, 2).done());
  frames.push_back(frame(tag).half(5).half(0x9100).half(6).half(ip).ipv4(6, 3).tcp(1, 443, 2).done());
  frames.push_back(frame(tag).half(1).half(tag).half(2).half(tag).half(3).half(ip).ipv4(17).udp(1, 53).done());
  frames.push_back(frame(mpls).put({0, 1, 1, 64}).ipv6(6).tcp(1, 80, 2).done());
  frames.push_back(frame(mpls).put({0, 1, 0, 64, 0, 0x3e, 0x81, 64}).ipv4(17).udp(1, 53).done());
  frames.push_back(frame(0x8848).put({0, 1, 1, 64}).ipv4(6).tcp(1, 80, 2).done());
  frames.push_back(frame(0x8864).put({0x11, 0, 0, 17, 0, 62, 0, 0x57}).ipv6(6).tcp(1, 80, 2).done());
  frames.push_back(frame(0x8864).put({0x11, 0, 1, 1, 0, 62, 0, 0x21}).ipv4(17).udp(1, 53).done());
  frames.push_back(frame(0x8864).put({0x11, 0, 0, 17, 0, 20, 0xc0, 0x21}).zeros(20).done());
  frames.push_back(frame(ip).ipv4(17).geneve(0, 10).ethernet(ip).ipv4(6).tcp(1, 80, 2).done());
  frames.push_back(frame(ip).ipv4(17, 2).geneve(3, 9).ethernet(ip6).ipv6(17).udp(1, 53).done());
  frames.push_back(frame(ip).ipv4(17).geneve(0, 9).ethernet(arp).neighbour_words(1).done());
  frames.push_back(frame(ip).ipv4(17).geneve(1, 9).ethernet(tag).half(5).half(ip).ipv4(6).tcp(1, 80, 2).done());
}

void add_other_links(std::vector<Bytes>& frames) {
  frames.push_back(Builder().to({255, 255, 255, 255, 255, 255}, arp).neighbour_words(1).done());
  frames.push_back(frame(arp).neighbour_words(2).done());
  frames.push_back(
      frame(arp).put({0, 1, 8, 0, 6, 4, 0, 1}).zeros(6).put({192, 168, 1, 1}).zeros(6).put({192, 168, 1, 1}).done());
  frames.push_back(frame(0x8035).neighbour_words(4).done());
  for (const int type :
       {0x6001, 0x6002, 0x6003, 0x6004, 0x6007, 0x809b, 0x80f3, 0x8137, 0x8848, 0x9000, 0x0801, 0x05dc}) {
    frames.push_back(frame(type).zeros(30).done());
  }
  // DECnet's addresses are in its own byte order, after a length and flags: short (2) and long (6) headers.
  frames.push_back(frame(0x6003).put({0x1a}).zeros(29).done());
  frames.push_back(frame(0x6003).put({20, 0, 0x02, 15, 40, 15, 40, 0}).zeros(20).done());
  frames.push_back(
      frame(0x6003).put({20, 0, 0x06, 0, 0}).zeros(6).put({15, 40}).zeros(6).put({15, 40}).zeros(8).done());
  for (const int control : {0x00, 0x02, 0x01, 0x05, 0x09, 0x03, 0x63, 0x73, 0x43, 0x6f, 0xe3, 0xaf, 0xbf, 0x87, 0x97}) {
    frames.push_back(llc({0x04, 0x04, control, 0}));
  }
  frames.push_back(llc({100, 100, 3}));
  frames.push_back(llc({0xf0, 0xf0, 3}));
  frames.push_back(llc({0xe0, 0xe0, 3}));
  frames.push_back(llc({0xff, 0xff, 0, 30}));
  frames.push_back(llc({0xaa, 0xaa, 3, 0, 0, 0, 0x80, 0xf3}));
  frames.push_back(llc({0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00, 0x45}));
  frames.push_back(llc({0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0x37}));
  for (const int protocol : {0x81, 0x82}) frames.push_back(llc({0xfe, 0xfe, 3, protocol}));
  for (const int type : {15, 16, 17, 18, 20, 24, 25, 26, 27}) {
    frames.push_back(llc({0xfe, 0xfe, 3, 0x83, 27, 1, 0, type, 1}));
  }
}

// Of unusual lengths, and with unusual bytes everywhere.
void add_odd_ones(std::vector<Bytes>& frames) {
  frames.push_back({});
  frames.push_back({2});
  frames.push_back(frame(ip).done());
  frames.push_back(frame(ip6).put({0x60}).done());
  frames.push_back(Bytes(64, 0xff));
  frames.push_back(Builder().put({2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 2}).half(arp).neighbour_words(1).done());
  frames.push_back(Bytes(60, 0));
  frames.push_back(frame(ip).ipv4(6).tcp(40000, 80, 0x18).zeros(190).done());
  frames.push_back(frame(ip).ipv4(17).udp(53, 40000).zeros(1480).done());
  Bytes last(80);
  for (std::size_t i = 0; i < last.size(); ++i) last[i] = static_cast<std::uint8_t>(i);
  frames.push_back(std::move(last));
}

}  // namespace

std::vector<Bytes> sample_frames() {
  std::vector<Bytes> frames = {
      frame(ip).ipv4(6).tcp(40000, 80, 0x02).done(),
      frame(ip).ipv4(6).tcp(80, 40000, 0x12).done(),
      frame(ip).ipv4(17).udp(53, 53).done(),
      frame(ip).ipv4(17).udp(6081, 6081).done(),
      frame(ip).ipv4(17).geneve(0, 9).ethernet(ip).ipv4(6).tcp(40000, 80, 0x02).done(),
      frame(ip).ipv4(132).half(9).half(9).zeros(20).done(),
      frame(ip).ipv4(1).put({8, 0}).zeros(16).done(),
      frame(ip).ipv4(1).put({3, 1}).zeros(16).done(),
      frame(ip6).ipv6(6).tcp(40000, 443, 0x02).done(),
      frame(ip6).ipv6(17).udp(5353, 53).done(),
      frame(ip6).ipv6(58).put({128, 0}).zeros(10).done(),
      frame(ip6).ipv6(44).put({6, 0, 0, 0, 0, 0, 0, 1}).tcp(1, 80, 2).done(),
      frame(arp).neighbour_words(1).done(),
      frame(0x8035).neighbour_words(3).done(),
      frame(tag).half(5).half(ip).ipv4(6).tcp(1, 80, 2).done(),
      frame(tag).half(5).half(tag).half(6).half(ip).ipv4(17).udp(1, 53).done(),
      frame(0x88a8).half(5).half(tag).half(6).half(ip6).ipv6(6).tcp(1, 80, 2).done(),
      frame(mpls).put({0, 0x3e, 0x80, 64, 0, 1, 1, 64}).ipv4(6).tcp(1, 80, 2).done(),
      frame(mpls).put({0, 0x3e, 0x81, 64}).ipv4(6).tcp(1, 80, 2).done(),
      frame(0x8863).put({0x11, 9, 0, 0, 0, 4}).zeros(4).done(),
      frame(0x8864).put({0x11, 0, 0, 17, 0, 62, 0, 0x21}).ipv4(6).tcp(1, 80, 2).done(),
      frame(0x88f7).zeros(46).done(),
      frame(38).put({0x42, 0x42, 3}).zeros(35).done(),
      frame(40).put({0xaa, 0xaa, 3, 8, 0, 7, 0x80, 0x9b}).zeros(30).done(),
      frame(40).put({0xfe, 0xfe, 3, 0x83}).zeros(30).done(),
      Builder().to({255, 255, 255, 255, 255, 255}, ip).ipv4(17).udp(67, 68).done(),
  };
  add_ipv4(frames);
  add_ipv6(frames);
  add_tagged(frames);
  add_other_links(frames);
  add_odd_ones(frames);
  return frames;
}

}  // namespace ixcap::filter
