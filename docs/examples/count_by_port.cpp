// Counts packets and bytes by TCP and UDP port: filter in the driver, packets in a range-for, ports from the library.
//
//     count_by_port [INTERFACE [EXPRESSION]]        count_by_port 'emulator:mix?count=100000' 'tcp or udp'

#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <utility>
#include <vector>

#include <ixcap/capture/session.hpp>
#include <ixcap/filter/flow_key.hpp>

namespace capture = ixcap::capture;

struct Count {
  unsigned long packets = 0;
  unsigned long bytes = 0;
};

int main(int argc, char** argv) try {
  capture::Session session(
      {.interface = argc > 1 ? argv[1] : "emulator:mix?count=100000", .expression = argc > 2 ? argv[2] : "tcp or udp"});
  session.start();

  std::map<std::uint16_t, Count> by_port;
  unsigned long packets = 0;
  for (const capture::Record& packet : session.reader().packets()) {
    ++packets;
    const ixcap::filter::FrameKey key = ixcap::filter::frame_key(capture::frame_of(packet));
    if (!key.has_ports) continue;  // a later fragment
    // The lower port is the service, mostly.
    Count& count = by_port[std::min(key.flow.source_port, key.flow.destination_port)];
    ++count.packets;
    count.bytes += packet.wire_length;
  }

  std::vector<std::pair<std::uint16_t, Count>> ports(by_port.begin(), by_port.end());
  std::ranges::sort(ports, [](const auto& a, const auto& b) { return a.second.packets > b.second.packets; });
  if (ports.size() > 10) ports.resize(10);
  for (const auto& [port, count] : ports)
    std::printf("%5u %10lu packets %12lu bytes\n", port, count.packets, count.bytes);
  std::printf("%lu packets\n", packets);
  if (const auto failure = session.failure()) throw *failure;  // why it ended early, if it did
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
