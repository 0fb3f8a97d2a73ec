#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/vfio_user_socket.hpp>

namespace ixcap::pci {
namespace {

using vfio_user::Header;
using Status = VfioUserSocket::Status;

/// Ancillary data with room for the files of one message.
struct alignas(cmsghdr) FileBuffer {
  std::array<char, CMSG_SPACE(sizeof(int) * vfio_user::most_files)> bytes{};
};

bool would_block(int error_number) noexcept {
  return error_number == EAGAIN || error_number == EWOULDBLOCK;
}

/// The files that came with `received`, into `files`.
void take_files(msghdr& received, std::vector<FileDescriptor>& files) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&received); part != nullptr; part = CMSG_NXTHDR(&received, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(part) + i * sizeof number, sizeof number);
      FileDescriptor file(number);
      if (files.size() < vfio_user::most_files) files.push_back(std::move(file));
    }
  }
}

sockaddr_un address_of(const std::string& path, const char* action) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    throw Error(action, path, path.empty() ? "the path is empty" : "the path is longer than 107 bytes",
                "give another path, for instance /run/nic.sock");
  }
  std::copy(path.begin(), path.end(), address.sun_path);
  return address;
}

FileDescriptor unix_socket(const std::string& path, const char* action) {
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) throw Error::from_errno(action, path, errno, "close files or raise ulimit -n");
  return socket;
}

bool connect_to(const FileDescriptor& socket, const sockaddr_un& address) noexcept {
  return ::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool bind_to(const FileDescriptor& socket, const sockaddr_un& address) noexcept {
  return ::bind(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

Status VfioUserSocket::wait_for(short events) const noexcept {
  std::array<pollfd, 2> files{{{socket_.number(), events, 0}, {wake_, POLLIN, 0}}};
  while (true) {
    const int ready = ::poll(files.data(), files.size(), timeout_ms_);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return Status::closed;
    return (files[1].revents & POLLIN) != 0 ? Status::stopped : Status::done;
  }
}

Status VfioUserSocket::receive_header(VfioUserMessage& message, bool wait) const {
  auto* const bytes = reinterpret_cast<std::uint8_t*>(&message.header);
  std::size_t have = 0;
  while (have < sizeof message.header) {
    FileBuffer buffer;
    iovec part = {bytes + have, sizeof message.header - have};
    msghdr received = {};
    received.msg_iov = &part;
    received.msg_iovlen = 1;
    received.msg_control = buffer.bytes.data();
    received.msg_controllen = buffer.bytes.size();
    const ssize_t count = ::recvmsg(socket_.number(), &received, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count > 0) {
      take_files(received, message.files);
      have += static_cast<std::size_t>(count);
    } else if (count == 0) {
      return Status::closed;
    } else if (would_block(errno)) {
      if (!wait && have == 0) return Status::nothing;
      if (const Status status = wait_for(POLLIN); status != Status::done) return status;
    } else if (errno != EINTR) {
      return Status::closed;
    }
  }
  return Status::done;
}

Status VfioUserSocket::receive(VfioUserMessage& message, bool wait) {
  message.files.clear();
  message.payload.clear();
  if (const Status status = receive_header(message, wait); status != Status::done) return status;
  const std::uint32_t size = message.header.size;
  if (size < sizeof(Header) || size > vfio_user::most_message_bytes) return Status::malformed;
  message.payload.resize(size - sizeof(Header));
  std::size_t have = 0;
  while (have < message.payload.size()) {
    // Without room for ancillary data the kernel closes what files there are.
    const ssize_t count =
        ::recv(socket_.number(), message.payload.data() + have, message.payload.size() - have, MSG_DONTWAIT);
    if (count > 0) {
      have += static_cast<std::size_t>(count);
    } else if (count == 0) {
      return Status::closed;
    } else if (would_block(errno)) {
      if (const Status status = wait_for(POLLIN); status != Status::done) return status;
    } else if (errno != EINTR) {
      return Status::closed;
    }
  }
  return Status::done;
}

Status VfioUserSocket::send(std::span<const std::uint8_t> head, std::span<const std::uint8_t> tail,
                            std::span<const int> files) const {
  FileBuffer buffer;
  const std::size_t total = head.size() + tail.size();
  std::size_t sent = 0;
  while (sent < total) {
    const std::span<const std::uint8_t> first = head.subspan(std::min(sent, head.size()));
    const std::span<const std::uint8_t> second = tail.subspan(sent - (head.size() - first.size()));
    // sendmsg(2) only reads what an iovec points at.
    std::array<iovec, 2> parts{{{const_cast<std::uint8_t*>(first.data()), first.size()},
                                {const_cast<std::uint8_t*>(second.data()), second.size()}}};
    msghdr message = {};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    if (sent == 0 && !files.empty() && files.size() <= vfio_user::most_files) {
      message.msg_control = buffer.bytes.data();
      message.msg_controllen = CMSG_SPACE(files.size_bytes());
      cmsghdr* const control = CMSG_FIRSTHDR(&message);
      control->cmsg_level = SOL_SOCKET;
      control->cmsg_type = SCM_RIGHTS;
      control->cmsg_len = CMSG_LEN(files.size_bytes());
      std::memcpy(CMSG_DATA(control), files.data(), files.size_bytes());
    }
    const ssize_t count = ::sendmsg(socket_.number(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
    } else if (would_block(errno)) {
      if (const Status status = wait_for(POLLOUT); status != Status::done) return status;
    } else if (errno != EINTR) {
      return Status::closed;
    }
  }
  return Status::done;
}

FileDescriptor listen_vfio_user(const std::string& path) {
  constexpr const char* action = "cannot serve a device at";
  const sockaddr_un address = address_of(path, action);
  FileDescriptor socket = unix_socket(path, action);
  ::fchmod(socket.number(), S_IRUSR | S_IWUSR);  // before bind: the file is made with these rights
  if (!bind_to(socket, address)) {
    struct stat file = {};
    if (errno != EADDRINUSE || ::lstat(path.c_str(), &file) != 0) {
      throw Error::from_errno(action, path, errno, "give the path of a socket in a folder that you may write to");
    }
    if (!S_ISSOCK(file.st_mode)) {
      throw Error(action, path, "it is there and no socket", "give another path, or remove it");
    }
    if (connect_to(unix_socket(path, action), address)) {
      throw Error(action, path, "somebody listens there", "give another path, or end the other server");
    }
    if (::unlink(path.c_str()) != 0 || !bind_to(socket, address)) {
      throw Error::from_errno(action, path, errno, "remove the stale socket, or give another path");
    }
  }
  if (::listen(socket.number(), 1) != 0) throw Error::from_errno(action, path, errno, "give another path");
  return socket;
}

FileDescriptor connect_vfio_user(const std::string& path) {
  constexpr const char* action = "cannot connect to the device at";
  const sockaddr_un address = address_of(path, action);
  FileDescriptor socket = unix_socket(path, action);
  if (!connect_to(socket, address)) {
    throw Error::from_errno(action, path, errno, "start a server there: ixcap emulate --socket " + path);
  }
  return socket;
}

}  // namespace ixcap::pci
