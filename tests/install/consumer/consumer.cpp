// A program of somebody else's: captures 1,000 frames from the software NIC and says how many it got.

#include <cstdio>
#include <exception>

#include <ixcap/capture/session.hpp>

namespace capture = ixcap::capture;

int main() try {
  capture::Session session({.interface = "emulator:mix?count=1000"});
  session.start();
  unsigned frames = 0;
  while (session.reader().state() == capture::RingState::open) {
    while (const capture::Record* record = session.reader().next()) frames += record->is_loss() ? 0 : 1;
    session.reader().release();
  }
  std::printf("%u frames\n", frames);
  return frames == 1000 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
