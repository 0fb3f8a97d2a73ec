// Reads along with a capture of another process, with a filter of its own. Any number of these can run, and come and
// go; a lossy one never holds the capture up.
//
//     ixcap capture -i emulator:mix?rate=1G --share lab &
//     attach lab [COUNT [EXPRESSION]]

#include <cstdio>
#include <cstdlib>
#include <exception>

#include <ixcap/capture/attach.hpp>

namespace capture = ixcap::capture;

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::fprintf(stderr, "attach NAME [COUNT [EXPRESSION]]\n");
    return 1;
  }
  const unsigned long most = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 10;
  capture::Attachment lab(
      {.name = argv[1], .reader = {.policy = capture::ReaderPolicy::lossy}, .expression = argc > 3 ? argv[3] : ""});
  std::fprintf(stderr, "reading %s\n", lab.description().name.c_str());

  unsigned long packets = 0;
  for (const capture::Record& packet : lab.packets()) {
    std::printf("%llu.%09llu  queue %u  %u bytes\n",
                static_cast<unsigned long long>(packet.timestamp_ns / 1'000'000'000),
                static_cast<unsigned long long>(packet.timestamp_ns % 1'000'000'000), packet.queue, packet.wire_length);
    if (++packets == most) break;
  }
  std::fprintf(stderr, "%lu packets, and %llu lost because this reader was too slow\n", packets,
               static_cast<unsigned long long>(lab.lost()));
  if (lab.died()) std::fprintf(stderr, "the capture was killed\n");
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
