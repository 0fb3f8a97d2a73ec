#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <ixcap/capture/control_server.hpp>
#include <ixcap/capture/session.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/filter/expression.hpp>

namespace ixcap::capture {
namespace {

/// The four parts, each with a zero byte behind it.
std::string parts_of(const Error& error) {
  std::string parts;
  for (const std::string* part : {&error.action(), &error.subject(), &error.reason(), &error.mend()}) {
    parts += *part;
    parts += '\0';
  }
  return parts;
}

bool send_reply(const pci::FileDescriptor& socket, const ControlReply& reply) noexcept {
  const std::vector<char> message = encode_reply(reply);
  return ::send(socket.number(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
         static_cast<ssize_t>(message.size());
}

/// What has been asked is taken first: closing a socket with something in it would wipe out the answer, too.
void turn_away(const pci::FileDescriptor& socket, ControlStatus status) noexcept {
  char start = 0;
  ::recv(socket.number(), &start, sizeof start, MSG_DONTWAIT);  // a message goes as a whole
  send_reply(socket, {.status = status});
}

ControlReply next_filter(const Filters& filters, unsigned from) {
  const std::uint64_t changes = filters.changes();  // before the look: a change in between shows in the next answer
  for (Filters::Entry& entry : filters.list()) {
    if (entry.bit >= from) return {.bit = entry.bit, .changes = changes, .text = std::move(entry.expression)};
  }
  return {.status = ControlStatus::none, .changes = changes};
}

}  // namespace

ControlHandler commands_for(Session& session) {
  return [&session](const ControlCommand& command) -> ControlReply {
    Filters& filters = session.filters();
    unsigned bit = command.bit;
    switch (command.verb) {
      case ControlVerb::next_filter:
        return next_filter(filters, command.bit);
      case ControlVerb::add_filter:
        bit = filters.add(command.text, command.by);
        break;
      case ControlVerb::replace_filter:
        filters.replace(bit, command.text, command.by);
        break;
      case ControlVerb::remove_filter:
        filters.remove(bit, command.by);
        break;
      case ControlVerb::statistics:
        return {.changes = filters.changes(), .text = session.ledger().to_string()};
    }
    return {.bit = bit, .changes = filters.changes()};
  };
}

std::optional<ControlCommand> parse_command(std::span<const char> message, ControlStatus& status) {
  status = ControlStatus::malformed;
  ControlMessage header;
  if (message.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, message.data(), sizeof header);
  if (header.magic != control_magic) return std::nullopt;
  if (header.version != control_version) {
    status = ControlStatus::other_version;
    return std::nullopt;
  }
  const std::span<const char> text = message.subspan(sizeof header);
  const auto first = static_cast<std::uint32_t>(ControlVerb::next_filter);
  const auto last = static_cast<std::uint32_t>(ControlVerb::statistics);
  if (header.code < first || header.code > last || header.text_bytes != text.size() ||
      text.size() > longest_control_text || std::ranges::find(text, '\0') != text.end())
    return std::nullopt;
  return ControlCommand{static_cast<ControlVerb>(header.code), header.bit, std::string(text.begin(), text.end())};
}

std::vector<char> encode_reply(const ControlReply& reply) {
  ControlMessage header = {};
  header.magic = control_magic;
  header.version = control_version;
  header.code = static_cast<std::uint32_t>(reply.status);
  header.bit = reply.bit;
  header.changes = reply.changes;
  header.text_bytes = static_cast<std::uint32_t>(std::min(reply.text.size(), longest_control_text));
  std::vector<char> message(sizeof header + header.text_bytes);
  std::memcpy(message.data(), &header, sizeof header);
  reply.text.copy(message.data() + sizeof header, header.text_bytes);
  return message;
}

ControlServer::ControlServer(ControlHandler handler)
    : handler_(std::move(handler)), owner_(::geteuid()), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_.valid())
    throw Error::from_errno("cannot take commands for the capture", "", errno, "close files or raise ulimit -n");
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

ControlServer::~ControlServer() {
  thread_.request_stop();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.number(), &one, sizeof one);
  thread_.join();
}

void ControlServer::take(pci::FileDescriptor socket) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  const bool known = ::getsockopt(socket.number(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  if (!known || (peer.uid != owner_ && peer.uid != 0)) {
    turn_away(socket, ControlStatus::not_allowed);
    return;
  }
  const std::scoped_lock lock(mutex_);
  if (connections_.size() >= most_connections) {
    turn_away(socket, ControlStatus::busy);
    return;
  }
  connections_.push_back({std::move(socket), fmt::format("user {} (process {})", peer.uid, peer.pid)});
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.number(), &one, sizeof one);
}

void ControlServer::run(const std::stop_token& stop) {
  std::vector<char> buffer(sizeof(ControlMessage) + longest_control_text + 1);
  std::vector<pollfd> files;
  while (!stop.stop_requested()) {
    files.assign(1, {wake_.number(), POLLIN, 0});
    {
      const std::scoped_lock lock(mutex_);
      for (const Connection& connection : connections_) files.push_back({connection.socket.number(), POLLIN, 0});
    }
    if (::poll(files.data(), files.size(), -1) < 0) continue;
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t read = ::read(wake_.number(), &count, sizeof count);
    for (std::size_t i = 1; i < files.size() && !stop.stop_requested(); ++i) {
      if (files[i].revents == 0) continue;
      Connection connection;
      {
        // Taken out while it is attended: take() may move the others.
        const std::scoped_lock lock(mutex_);
        std::swap(connection, connections_[i - 1]);
      }
      const bool goes_on = attend(connection, buffer);
      const std::scoped_lock lock(mutex_);
      if (goes_on) std::swap(connection, connections_[i - 1]);
    }
    const std::scoped_lock lock(mutex_);
    std::erase_if(connections_, [](const Connection& connection) { return !connection.socket.valid(); });
  }
}

/// What there is on a connection: a request, or its end. False: drop it.
bool ControlServer::attend(const Connection& connection, std::vector<char>& buffer) const {
  const ssize_t count = ::recv(connection.socket.number(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (count <= 0) return false;
  ControlReply reply;
  std::optional<ControlCommand> command;
  const auto length = static_cast<std::size_t>(count);
  if (length < buffer.size())
    command = parse_command({buffer.data(), length}, reply.status);
  else
    reply.status = ControlStatus::malformed;
  if (command.has_value()) {
    command->by = connection.by;
    reply = reply_to(*command);
  }
  return send_reply(connection.socket, reply) && command.has_value();
}

ControlReply ControlServer::reply_to(const ControlCommand& command) const {
  try {
    return handler_(command);
  } catch (const filter::ExpressionError& error) {
    return {.status = ControlStatus::expression, .bit = static_cast<unsigned>(error.column()), .text = parts_of(error)};
  } catch (const Error& error) {
    return {.status = ControlStatus::failed, .text = parts_of(error)};
  }
}

}  // namespace ixcap::capture
