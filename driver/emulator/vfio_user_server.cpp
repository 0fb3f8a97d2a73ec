#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include <ixcap/driver/emulator/vfio_user_server.hpp>
#include <ixcap/driver/emulator/vfio_user_session.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/idle.hpp>

namespace ixcap::emulator {
namespace {

using pci::VfioUserSocket;
using Status = VfioUserSocket::Status;

pci::FileDescriptor event_counter(const std::string& path) {
  pci::FileDescriptor counter(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!counter.valid()) {
    throw Error::from_errno("cannot serve a device at", path, errno, "close files or raise ulimit -n");
  }
  return counter;
}

const char* farewell(Status status) noexcept {
  return status == Status::malformed ? "it sends what is no message" : "it is gone";
}

}  // namespace

VfioUserServer::VfioUserServer(PciFunction& function, std::string path, Log log)
    : function_(function),
      path_(std::move(path)),
      log_(std::move(log)),
      listener_(pci::listen_vfio_user(path_)),
      wake_(event_counter(path_)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

VfioUserServer::~VfioUserServer() {
  thread_.request_stop();
  constexpr std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.number(), &one, sizeof one);
  thread_.join();
  ::unlink(path_.c_str());
}

void VfioUserServer::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::array<pollfd, 2> files{{{listener_.number(), POLLIN, 0}, {wake_.number(), POLLIN, 0}}};
    if (::poll(files.data(), files.size(), -1) < 0 || files[0].revents == 0) continue;
    pci::FileDescriptor connection(::accept4(listener_.number(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection.valid()) {
      tell("a client has come");
      const Status end = serve(std::move(connection), stop);
      if (end != Status::stopped) tell(fmt::format("the client's session is over: {}", farewell(end)));
    } else if (errno == EMFILE || errno == ENFILE) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the client waits for files to be closed
    }
  }
}

/// Answers a client until it is gone, or is to go, with everything of it; why it ended.
Status VfioUserServer::serve(pci::FileDescriptor connection, const std::stop_token& stop) {
  VfioUserSocket socket(std::move(connection), wake_.number());
  VfioUserSession session(function_);
  pci::VfioUserMessage message;
  unsigned refusals = 0;
  Idle idle;
  while (!stop.stop_requested()) {
    SharedDoorbells& doorbells = session.doorbells();
    Status status = socket.receive(message, !doorbells.active());
    // Before a message, so that what was rung before it was sent is done before it, too.
    if (doorbells.forward()) idle.reset();
    if (status == Status::nothing) {
      idle.wait();
      continue;
    }
    if (status != Status::done) return status;
    idle.reset();
    const auto next = session.handle(message);
    if (session.refusal().error != 0 && refusals++ < most_refusals_told) {
      tell(fmt::format("refused a message of command {}: {}", message.header.command, session.refusal().why));
    }
    if (next == VfioUserSession::Next::hang_up) status = Status::malformed;
    if (next == VfioUserSession::Next::reply) {
      const int file = session.reply_file();
      const std::span<const int> files(&file, file < 0 ? 0 : 1);
      status = socket.send(session.reply(), {}, files);
    }
    if (status != Status::done) return status;
  }
  return Status::stopped;
}

void VfioUserServer::tell(const std::string& sentence) const {
  if (log_) log_(sentence);
}

}  // namespace ixcap::emulator
