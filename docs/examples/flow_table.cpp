// A flow table: packets, bytes and duration of each conversation, both directions together; the longest are printed.
//
//     flow_table [INTERFACE [EXPRESSION]]

#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <tuple>
#include <vector>

#include <ixcap/capture/session.hpp>
#include <ixcap/filter/flow_key.hpp>

namespace capture = ixcap::capture;
using ixcap::filter::Flow;

struct Conversation {
  unsigned long packets = 0;
  unsigned long bytes = 0;
  std::uint64_t first_ns = 0;
  std::uint64_t last_ns = 0;
};

struct Less {
  bool operator()(const Flow& a, const Flow& b) const {
    const auto key = [](const Flow& f) {
      return std::tie(f.protocol, f.source, f.source_port, f.destination, f.destination_port);
    };
    return key(a) < key(b);
  }
};

int main(int argc, char** argv) try {
  capture::Session session(
      {.interface = argc > 1 ? argv[1] : "emulator:mix?count=100000", .expression = argc > 2 ? argv[2] : "tcp or udp"});
  session.start();

  std::map<Flow, Conversation, Less> table;
  for (const capture::Record& packet : session.reader().packets()) {
    const auto key = ixcap::filter::frame_key(capture::frame_of(packet));
    if (!key.has_ports) continue;
    const Flow other = key.flow.reversed();
    Conversation& conversation = table[Less()(other, key.flow) ? other : key.flow];
    if (conversation.packets++ == 0) conversation.first_ns = packet.timestamp_ns;
    conversation.last_ns = packet.timestamp_ns;
    conversation.bytes += packet.wire_length;
  }

  std::vector<std::pair<Flow, Conversation>> flows(table.begin(), table.end());
  std::ranges::sort(flows, [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  if (flows.size() > 10) flows.resize(10);
  for (const auto& [flow, conversation] : flows) {
    std::printf("%3u  %s port %u - %s port %u: %lu packets, %lu bytes, %.3f s\n", flow.protocol,
                flow.source.to_string().c_str(), flow.source_port, flow.destination.to_string().c_str(),
                flow.destination_port, conversation.packets, conversation.bytes,
                static_cast<double>(conversation.last_ns - conversation.first_ns) * 1e-9);
  }
  std::printf("%zu conversations\n", table.size());
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
