#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <ixcap/driver/emulator/tap_wire.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::emulator {
namespace {

constexpr const char* tun_device = "/dev/net/tun";

/// The stack sends no longer frames: an interface's MTU has 16 bits.
constexpr std::size_t longest_read = (std::size_t{1} << 16) + 64;

/// Of an Ethernet frame, without FCS: what is shorter is not on a cable, and a card counts it as an undersize error.
constexpr std::size_t shortest_frame = 60;

bool is_interface_name(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
  return std::ranges::all_of(name, [](unsigned char letter) {
    return letter > ' ' && letter < 0x7F && letter != '/' && letter != ':' && letter != '%';
  });
}

[[noreturn]] void fail(const std::string& name, int error, int file) {
  if (file >= 0) ::close(file);
  std::string mend = fmt::format("see whether {} exists: modprobe tun", tun_device);
  if (error == EPERM || error == EACCES) {
    mend = fmt::format("run as root, or have it made for you: ip tuntap add {} mode tap user $USER", name);
  } else if (error == EBUSY) {
    mend = "end the program that uses it, or give another name";
  } else if (error == EINVAL) {
    mend = "give a name that is no other interface's";
  }
  throw Error("cannot open the TAP interface", name, std::strerror(error), std::move(mend));
}

}  // namespace

TapWire::TapWire(const std::string& name) : name_(name), frame_(longest_read) {
  if (!is_interface_name(name)) {
    throw Error("cannot open the TAP interface", name, "it is no name for an interface",
                fmt::format("give 1 to {} letters or digits, such as ixcap0", IFNAMSIZ - 1));
  }
  file_ = ::open(tun_device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (file_ < 0) fail(name, errno, file_);
  ifreq request{};
  std::copy(name.begin(), name.end(), request.ifr_name);  // the rest is zeros
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (::ioctl(file_, TUNSETIFF, &request) < 0) fail(name, errno, file_);
}

TapWire::~TapWire() {
  ::close(file_);
}

void TapWire::send(std::span<const std::uint8_t> frame) noexcept {
  const ssize_t written = ::write(file_, frame.data(), frame.size());
  if (written != static_cast<ssize_t>(frame.size())) lost_.fetch_add(1, std::memory_order_relaxed);
}

bool TapWire::up() const noexcept {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return true;
  ifreq request{};
  std::copy(name_.begin(), name_.end(), request.ifr_name);  // the rest is zeros
  const bool seen = ::ioctl(socket, SIOCGIFFLAGS, &request) == 0;
  ::close(socket);
  return !seen || (request.ifr_flags & IFF_UP) != 0;
}

std::span<const std::uint8_t> TapWire::receive() noexcept {
  const ssize_t length = ::read(file_, frame_.data(), frame_.size());
  if (length <= 0) return {};
  const auto bytes = static_cast<std::size_t>(length);
  if (bytes >= shortest_frame) [[likely]]
    return {frame_.data(), bytes};
  std::fill(frame_.data() + bytes, frame_.data() + shortest_frame, std::uint8_t{0});
  padding_.fetch_add(shortest_frame - bytes, std::memory_order_relaxed);  // a counter: nothing is ordered by it
  return {frame_.data(), shortest_frame};
}

}  // namespace ixcap::emulator
