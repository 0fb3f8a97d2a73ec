#pragma once

/// PTP messages for tests, over Ethernet or over UDP and IPv4.

#include <cstdint>
#include <vector>

#include <ixcap/driver/emulator/packet_builder.hpp>

namespace ixcap::test {

struct PtpFrame {
  std::uint8_t version = 2;
  std::uint8_t type = 0;  ///< of version 2: 0 is Sync
  std::uint8_t control = 0;
  std::uint16_t sequence = 1;
  std::uint16_t vlan = 0;
  bool over_udp = false;
  std::uint32_t source = 0x0A000001;  ///< over UDP
  std::uint16_t port = 319;

  std::vector<std::uint8_t> bytes() const {
    std::vector<std::uint8_t> message(44);
    message[0] = type;
    message[1] = version;
    for (std::uint8_t i = 0; i < 6; ++i) message[22u + i] = static_cast<std::uint8_t>(0x11 * (i + 1));
    message[30] = static_cast<std::uint8_t>(sequence >> 8);
    message[31] = static_cast<std::uint8_t>(sequence);
    message[32] = control;
    emulator::PacketBuilder builder(14 + (vlan != 0 ? 4 : 0) + (over_udp ? 28 : 0) + message.size());
    builder.ethernet({2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2});
    if (vlan != 0) builder.tag(0x8100, vlan);
    builder.ethertype(over_udp ? 0x0800 : 0x88F7);
    if (over_udp) {
      builder.ipv4({source, 0xE0000181, emulator::protocol_udp}, emulator::udp_header + message.size());
      builder.udp(port, port, message);
    } else {
      builder.append(message);
    }
    return builder.take();
  }
};

}  // namespace ixcap::test
