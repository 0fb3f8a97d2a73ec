#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
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

TapWire::TapWire(const std::string& name) : frame_(longest_read) {
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

std::span<const std::uint8_t> TapWire::receive() noexcept {
  const ssize_t length = ::read(file_, frame_.data(), frame_.size());
  return {frame_.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
}

}  // namespace ixcap::emulator
