/// Sends the traffic `mix` into a network interface of the kernel, a veth's end say: the other side of writer_compare.
///
///     frame_sender INTERFACE PACKETS_A_SECOND SECONDS        0 packets a second: as fast as it goes
///
/// Prints "SENT SECONDS". Needs CAP_NET_RAW. A packet socket past the queueing discipline, 64 frames a system call;
/// what the interface refuses for want of room is offered again.

#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include <ixcap/driver/emulator/mix_traffic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::bench {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& interface, const char* mend) {
  throw Error::from_errno("cannot send into", interface, errno, mend);
}

pci::FileDescriptor open_socket(const std::string& interface) {
  pci::FileDescriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));  // 0: it receives nothing
  if (socket.number() < 0) fail(interface, "run it as root");
  const int on = 1;
  if (::setsockopt(socket.number(), SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0) fail(interface, "");
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
  if (::bind(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail(interface, "give an interface that is up");
  return socket;
}

/// The next frames of the mix, as sendmmsg(2) wants them.
class Batch {
 public:
  explicit Batch(int socket) : socket_(socket) {}

  void send(unsigned count, const std::string& interface) {
    for (unsigned i = 0; i < count; ++i) {
      const emulator::WireFrame& frame = *mix_.next();
      pieces_[i] = {const_cast<std::uint8_t*>(frame.bytes), frame.captured_length};
      messages_[i].msg_hdr.msg_iov = &pieces_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
    for (unsigned sent = 0; sent < count;) {
      const int result = ::sendmmsg(socket_, &messages_[sent], count - sent, 0);
      if (result > 0) sent += static_cast<unsigned>(result);
      if (result < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
        fail(interface, "give an interface that is up, with an MTU of 1600 at least");
    }
  }

 private:
  int socket_;
  emulator::MixTraffic mix_{{}};
  std::array<iovec, batch_size> pieces_ = {};
  std::array<mmsghdr, batch_size> messages_ = {};
};

void send(const std::string& interface, double rate, double seconds) {
  const pci::FileDescriptor socket = open_socket(interface);
  Batch batch(socket.number());
  const auto start = Clock::now();
  std::uint64_t sent = 0;
  double passed = 0;
  for (; passed < seconds; passed = std::chrono::duration<double>(Clock::now() - start).count()) {
    const double behind = rate * passed - static_cast<double>(sent);
    // A whole batch late, and not more at a time, or it would make bursts of its own.
    if (rate != 0 && behind < batch_size) {
      std::this_thread::yield();
      continue;
    }
    batch.send(batch_size, interface);
    sent += batch_size;
  }
  fmt::print("{} {:.6f}\n", sent, passed);
}

}  // namespace
}  // namespace ixcap::bench

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: frame_sender INTERFACE PACKETS_A_SECOND SECONDS\n");
    return 1;
  }
  try {
    ixcap::bench::send(argv[1], std::stod(argv[2]), std::stod(argv[3]));
  } catch (const std::exception& error) {
    fmt::print(stderr, "frame_sender: {}\n", error.what());
    return 1;
  }
}
