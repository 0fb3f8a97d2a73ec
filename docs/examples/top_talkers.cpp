// Who sends most: bytes by source address. The card spreads flows over several queues, each with a receive thread; the
// reader gets them merged, in the order of their times, and takes them in batches, in place.
//
//     top_talkers [INTERFACE [QUEUES]]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <utility>
#include <vector>

#include <ixcap/capture/session.hpp>
#include <ixcap/filter/flow_key.hpp>

namespace capture = ixcap::capture;
using ixcap::filter::Address;

int main(int argc, char** argv) try {
  capture::Session session({.interface = argc > 1 ? argv[1] : "emulator:mix?count=100000",
                            .expression = "ip or ip6",
                            .snaplen = 128,  // the headers are enough
                            .queues = argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 2});
  session.start();

  std::map<Address, unsigned long> bytes_from;
  capture::SessionReader& reader = session.reader();
  while (reader.state() == capture::RingState::open) {
    const auto batch = reader.next_batch();
    for (const capture::Record* record : batch) {
      if (record->is_loss()) continue;  // says how many are missing here
      const ixcap::filter::FrameKey key = ixcap::filter::frame_key(capture::frame_of(*record));
      if (key.has_source) bytes_from[key.flow.source] += record->wire_length;
    }
    reader.release();
    if (batch.empty()) reader.wait(std::chrono::milliseconds(-1));
  }

  std::vector<std::pair<Address, unsigned long>> talkers(bytes_from.begin(), bytes_from.end());
  std::ranges::sort(talkers, [](const auto& a, const auto& b) { return a.second > b.second; });
  if (talkers.size() > 10) talkers.resize(10);
  for (const auto& [address, bytes] : talkers) std::printf("%12lu bytes from %s\n", bytes, address.to_string().c_str());
  std::printf("%zu addresses\n", bytes_from.size());
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
