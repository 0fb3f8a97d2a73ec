// Sends frames: one ARP question, again and again, as fast as the card takes them, and says what became of all.
//
//     inject [INTERFACE [COUNT]]        inject 0000:03:00.0 1000

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>

#include <ixcap/capture/injector.hpp>

// Who has 10.0.0.2? Tell 10.0.0.1. The rest of the 60 bytes is zero.
constexpr std::array<std::uint8_t, 60> who_has = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0,    0, 0, 1, 0x08, 0x06,  // to all, from 02:..:01, ARP
    0,    1,    0x08, 0,    6,    4,    0,    1, 0x02, 0, 0, 0, 0,    1,    10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2};

int main(int argc, char** argv) try {
  ixcap::capture::Injector injector({.interface = argc > 1 ? argv[1] : "emulator"});
  const unsigned long count = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1000;
  const ixcap::Frame frame = {who_has.data(), who_has.size(), who_has.size()};

  auto supervised = std::chrono::steady_clock::now();
  for (unsigned long sent = 0; sent < count;) {
    const std::size_t taken = injector.send({&frame, 1});  // 0: there is no room just now
    sent += taken;
    if (taken == 0) std::this_thread::yield();
    if (std::chrono::steady_clock::now() - supervised > ixcap::capture::Injector::supervision_interval) {
      injector.supervise();  // the link, and a queue that hangs
      supervised = std::chrono::steady_clock::now();
    }
  }
  injector.flush(std::chrono::seconds(5));
  const ixcap::capture::InjectionCounts counts = injector.counts();
  std::printf("%llu on the wire, %llu not\n", static_cast<unsigned long long>(counts.on_wire),
              static_cast<unsigned long long>(counts.not_sent()));
  return counts.not_sent() == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
