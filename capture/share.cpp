#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <ixcap/capture/share.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

constexpr const char* cannot_share = "cannot share the capture at";
constexpr std::size_t most_connections = 2 * ring_readers;  // some of them on their way in or out

template <std::size_t size>
void put_text(char (&to)[size], std::string_view text) noexcept {
  std::memcpy(to, text.data(), std::min(text.size(), size - 1));
}

ShareAnswer describe(const pcapng::InterfaceDescription& description, std::size_t rings) {
  ShareAnswer answer = {};
  answer.speed_bits_per_second = description.speed_bits_per_second.value_or(0);
  answer.rings = static_cast<std::uint32_t>(rings);
  answer.snaplen = description.snaplen;
  answer.fcs_bytes = description.fcs_bytes;
  if (description.mac) std::copy(description.mac->begin(), description.mac->end(), answer.mac);
  put_text(answer.interface, description.name);
  put_text(answer.description, description.description);
  put_text(answer.hardware, description.hardware);
  put_text(answer.filter, description.filter);
  return answer;
}

/// The folder that shares without a slash in their name are in; only its owner may look into it.
void make_folder(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty() || ::mkdir(folder.c_str(), 0755) == 0 || errno != EEXIST) return;  // bind() tells what is wrong
  struct stat status = {};
  if (path.starts_with("/tmp/ixcap-") && ::lstat(folder.c_str(), &status) == 0 &&
      (status.st_uid != ::geteuid() || !S_ISDIR(status.st_mode)))
    throw Error(cannot_share, path, "the folder belongs to somebody else", "give a path of your own: --share ./NAME");
}

pci::FileDescriptor make_socket(const std::string& path) {
  pci::FileDescriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) throw Error::from_errno(cannot_share, path, errno, "close files or raise ulimit -n");
  return socket;
}

pci::FileDescriptor listen_at(const std::string& path) {
  make_folder(path);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  pci::FileDescriptor socket = make_socket(path);
  ::fchmod(socket.number(), S_IRUSR | S_IWUSR);  // before bind: the file is made with these rights
  if (::bind(socket.number(), generic, sizeof address) != 0) {
    struct stat file = {};
    if (errno != EADDRINUSE || ::lstat(path.c_str(), &file) != 0)
      throw Error::from_errno(cannot_share, path, errno, "give a path in a folder that you may write to");
    if (!S_ISSOCK(file.st_mode)) throw Error(cannot_share, path, "it is there and no socket", "give another name");
    if (::connect(make_socket(path).number(), generic, sizeof address) == 0 || errno == EAGAIN)
      throw Error(cannot_share, path, "another capture is shared there", "give another name");
    if (::unlink(path.c_str()) != 0 || ::bind(socket.number(), generic, sizeof address) != 0)
      throw Error::from_errno(cannot_share, path, errno, "remove the stale socket, or give another name");
  }
  if (::listen(socket.number(), 16) != 0) throw Error::from_errno(cannot_share, path, errno, "give another name");
  return socket;
}

std::string name_peer(int socket) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return "a reader";
  return fmt::format("reader {} of user {}", peer.pid, peer.uid);
}

}  // namespace

std::string share_path(std::string_view name) {
  std::string path(name);
  if (!name.empty() && name.find('/') == std::string_view::npos) {
    const char* runtime = ::getenv("XDG_RUNTIME_DIR");
    std::string folder = fmt::format("/tmp/ixcap-{}", ::geteuid());
    if (::geteuid() == 0)
      folder = "/run/ixcap";
    else if (runtime != nullptr && *runtime == '/')
      folder = fmt::format("{}/ixcap", runtime);
    path = fmt::format("{}/{}.sock", folder, name);
  }
  if (path.empty() || path.size() >= sizeof sockaddr_un{}.sun_path)
    throw Error("cannot use the name of a shared capture", path, path.empty() ? "it is empty" : "it is too long",
                "give a short name, or the path of a socket of at most 107 bytes");
  return path;
}

pci::FileDescriptor connect_to_share(const std::string& path, const char* action, std::string (*mend)(int),
                                     std::chrono::seconds patience) {
  pci::FileDescriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket.valid()) throw Error::from_errno(action, path, errno, "close files or raise ulimit -n");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw Error::from_errno(action, path, errno, mend(errno));
  const timeval wait = {patience.count(), 0};
  ::setsockopt(socket.number(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  return socket;
}

Share::Share(std::string_view name, const pcapng::InterfaceDescription& description, std::vector<RingMemory*> rings,
             Log log, ControlHandler commands)
    : path_(share_path(name)),
      answer_(describe(description, rings.size())),
      rings_(std::move(rings)),
      log_(std::move(log)) {
  if (rings_.empty() || rings_.size() > most_shared_rings)
    throw Error(cannot_share, path_, fmt::format("it has {} rings", rings_.size()), "use 1 to 64 queues");
  wake_ = pci::FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid()) throw Error::from_errno(cannot_share, path_, errno, "close files or raise ulimit -n");
  listener_ = listen_at(path_);
  if (commands) control_.emplace(std::move(commands));
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Share::~Share() {
  thread_.request_stop();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.number(), &one, sizeof one);
  thread_.join();
  disconnect();
  ::unlink(path_.c_str());
}

std::size_t Share::readers() const {
  const std::scoped_lock lock(mutex_);
  return static_cast<std::size_t>(
      std::ranges::count_if(connections_, [](const auto& connection) { return !connection->seats.empty(); }));
}

void Share::disconnect() {
  const std::scoped_lock lock(mutex_);
  for (const auto& connection : connections_) {
    // The ring keeps a duplicate until its producer has noticed: closing alone would tell the reader nothing.
    ::shutdown(connection->socket.number(), SHUT_RDWR);
    connection->seats.clear();
  }
}

void Share::run(const std::stop_token& stop) {
  std::vector<pollfd> files;
  while (!stop.stop_requested()) {
    files.clear();
    for (const auto& connection : connections_) files.push_back({connection->socket.number(), POLLIN, 0});
    files.push_back({wake_.number(), POLLIN, 0});
    // Whoever comes beyond that waits in the queue of the socket.
    files.push_back({connections_.size() < most_connections ? listener_.number() : -1, POLLIN, 0});
    if (::poll(files.data(), files.size(), -1) < 0) continue;
    const bool somebody_came = files.back().revents != 0;
    {
      const std::scoped_lock lock(mutex_);
      std::size_t kept = 0;
      for (std::size_t i = 0; i < connections_.size(); ++i) {
        if (files[i].revents == 0 || attend(*connections_[i])) std::swap(connections_[kept++], connections_[i]);
      }
      connections_.resize(kept);  // whose seats are left with them
    }
    if (somebody_came) accept_all();
  }
}

void Share::accept_all() {
  while (true) {
    pci::FileDescriptor socket(::accept4(listener_.number(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) return;
    auto connection = std::make_unique<Connection>();
    connection->peer = name_peer(socket.number());
    connection->socket = std::move(socket);
    const std::scoped_lock lock(mutex_);
    connections_.push_back(std::move(connection));
    if (connections_.size() >= most_connections) return;
  }
}

/// What there is on a connection: its request, or its end. False: drop it.
bool Share::attend(Connection& connection) {
  if (asks_for_control(connection)) {
    control_->take(std::move(connection.socket));
    return false;
  }
  ShareRequest request = {};
  const ssize_t count = ::recv(connection.socket.number(), &request, sizeof request, MSG_DONTWAIT | MSG_TRUNC);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (!connection.seats.empty() || count <= 0) {
    // A reader has nothing more to say: it is gone, or it is none of ours.
    if (!connection.seats.empty()) tell(connection.peer + " has left");
    ::shutdown(connection.socket.number(), SHUT_RDWR);
    return false;
  }
  pci::FileDescriptor pages;
  ShareStatus status = ShareStatus::malformed;
  if (count == sizeof request && request.magic == share_magic && request.policy <= 1)
    status = request.version == share_version ? admit(connection, request, pages) : ShareStatus::other_version;
  const bool answered = answer(connection, status, pages);
  if (answered && status == ShareStatus::admitted) {
    tell(fmt::format("{} has joined, {}", connection.peer, request.policy == 0 ? "lossless" : "lossy"));
    return true;
  }
  tell(connection.peer + " was refused");
  ::shutdown(connection.socket.number(), SHUT_RDWR);
  return false;
}

bool Share::asks_for_control(const Connection& connection) const {
  if (!control_.has_value() || !connection.seats.empty()) return false;
  std::uint64_t magic = 0;
  const ssize_t count = ::recv(connection.socket.number(), &magic, sizeof magic, MSG_DONTWAIT | MSG_PEEK);
  return count == sizeof magic && magic == control_magic;
}

/// Takes a seat at every ring.
ShareStatus Share::admit(Connection& connection, const ShareRequest& request, pci::FileDescriptor& pages) {
  const auto count = static_cast<unsigned>(rings_.size());
  try {
    pages = ReaderPages::make_file(count);
    const ReaderOptions options = {static_cast<ReaderPolicy>(request.policy), request.mask};
    for (unsigned ring = 0; ring < count; ++ring) {
      connection.seats.push_back(
          rings_[ring]->join(options, ReaderPages(pages.number(), count), ring, connection.socket.number()));
    }
  } catch (const Error&) {
    connection.seats.clear();
    return ShareStatus::no_place;
  }
  return ShareStatus::admitted;
}

bool Share::answer(const Connection& connection, ShareStatus status, const pci::FileDescriptor& pages) const {
  ShareAnswer answer = {};
  if (status == ShareStatus::admitted) answer = answer_;
  answer.magic = share_magic;
  answer.version = share_version;
  answer.status = static_cast<std::uint32_t>(status);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * (most_shared_rings + 1))> buffer{};
  iovec part = {&answer, sizeof answer};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (status == ShareStatus::admitted) {
    std::array<int, most_shared_rings + 1> files{};
    const std::size_t count = std::min<std::size_t>(rings_.size(), most_shared_rings);
    for (std::size_t ring = 0; ring < count; ++ring) files[ring] = rings_[ring]->file_descriptor();
    files[count] = pages.number();
    const std::size_t bytes = (count + 1) * sizeof(int);
    message.msg_control = buffer.data();
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* const control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(control), files.data(), bytes);
  }
  return ::sendmsg(connection.socket.number(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof answer;
}

void Share::tell(const std::string& sentence) const {
  if (log_) log_(sentence);
}

}  // namespace ixcap::capture
