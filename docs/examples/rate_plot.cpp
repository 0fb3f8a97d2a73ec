// A live plot of the rate in the terminal: statistics mode counts by filter where the card wrote the frames, and no
// packet is copied or delivered. A line every interval, until the traffic ends.
//
//     rate_plot [INTERFACE [MILLISECONDS [EXPRESSION...]]]        rate_plot 'emulator:mix?rate=1G' 500 tcp udp

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/session.hpp>

namespace capture = ixcap::capture;

int main(int argc, char** argv) try {
  const std::chrono::milliseconds interval(argc > 2 ? std::atoi(argv[2]) : 500);
  capture::Session session({.interface = argc > 1 ? argv[1] : "emulator:mix?rate=1G&count=500000",
                            .expression = argc > 3 ? argv[3] : "",
                            .count_only = true});
  for (int i = 4; i < argc; ++i) session.filters().add(argv[i]);
  session.start();

  std::vector<capture::FilterCount> before = session.counts();
  unsigned long highest = 1;  // packets in an interval so far: the plot's whole width
  bool ended = false;
  while (!ended) {
    std::this_thread::sleep_for(interval);
    session.reader().next();  // never a packet; but then the state is up to date
    ended = session.reader().state() != capture::RingState::open;
    const std::vector<capture::FilterCount> now = session.counts();
    for (std::size_t i = 0; i < now.size(); ++i) {
      const unsigned long packets = now[i].packets - before[i].packets;
      highest = std::max(highest, packets);
      const std::string bar(60 * packets / highest, '#');
      std::printf("%-16s %9lu |%s\n", now[i].expression.empty() ? "every packet" : now[i].expression.c_str(), packets,
                  bar.c_str());
    }
    std::fflush(stdout);
    before = now;
  }
  session.stop();
  for (const auto& count : session.counts())
    std::printf("%lu packets in all\n", static_cast<unsigned long>(count.packets));
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
