#include "tools/emulate_control.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <span>
#include <utility>

#include <ixcap/driver/emulator/fault_spec.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/pci/vfio_user_socket.hpp>

namespace ixcap::tools {
namespace {

using emulator::Nic;
using emulator::SfpKind;

constexpr const char* commands = "fault SPEC, link up, link down, module copper, sr, lr or none, statistics";

/// Takes the first word off the front of `line`.
std::string_view take_word(std::string_view& line) {
  constexpr std::string_view blanks = " \t\r";
  line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(blanks));
  line.remove_prefix(word.size());
  line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
  line = line.substr(0, line.find_last_not_of(blanks) + 1);
  return word;
}

std::string statistics_of(const Nic& nic) {
  const emulator::WireCounts wire = nic.counts();
  const emulator::TransmitCounts sent = nic.transmit_counts();
  std::uint64_t delivered_bytes = 0;
  for (const emulator::QueueCounts& queue : nic.receive_queue_counts()) {
    delivered_bytes += queue.bytes - queue.frames * fcs_bytes;
  }
  return fmt::format(
      "frames={} bytes={} rejected={} not-admitted={} discarded={} no-descriptor={} missed={} dma-faults={} "
      "delivered={} delivered-bytes={} waiting={} sent={} unsent={}",
      wire.frames, wire.bytes, wire.rejected(), wire.not_admitted, wire.discarded, wire.no_descriptor, wire.missed,
      wire.dma_faults, wire.delivered, delivered_bytes, wire.waiting, sent.frames, sent.unsent);
}

/// "ok" and what `tell` says of each NIC; of more than one, with their numbers.
template <typename Tell>
std::string ok(std::span<Nic* const> nics, Tell tell) {
  if (nics.size() == 1) return "ok " + tell(*nics[0]);
  std::string answer = "ok";
  for (std::size_t i = 0; i < nics.size(); ++i) {
    answer += fmt::format("{} {}: {}", i == 0 ? "" : ";", i, tell(*nics[i]));
  }
  return answer;
}

std::string set_faults(std::span<Nic* const> nics, std::string_view text) {
  // All of them are looked at before the first is changed.
  std::vector<emulator::FaultSpec> specs;
  for (const Nic* nic : nics) specs.push_back(emulator::parse_faults(text, nic->faults()));
  for (std::size_t i = 0; i < nics.size(); ++i) nics[i]->set_faults(specs[i]);
  return ok(nics, [](const Nic& nic) { return nic.faults().to_string(); });
}

std::string set_link(std::span<Nic* const> nics, std::string_view state) {
  if (state != "up" && state != "down") return "error: link is up or down";
  for (Nic* nic : nics) nic->set_carrier(state == "up");
  return "ok";
}

std::string plug(std::span<Nic* const> nics, std::string_view name) {
  constexpr std::array<std::pair<std::string_view, SfpKind>, 4> modules{{{"copper", SfpKind::passive_copper},
                                                                         {"sr", SfpKind::short_range},
                                                                         {"lr", SfpKind::long_range},
                                                                         {"none", SfpKind::none}}};
  const auto* const module = std::ranges::find(modules, name, [](const auto& one) { return one.first; });
  if (module == modules.end()) return "error: module is copper, sr, lr or none";
  for (Nic* nic : nics) nic->plug(module->second);
  return "ok";
}

}  // namespace

std::string answer_control(const std::vector<Nic*>& all, std::string_view line) {
  std::span<Nic* const> nics = all;
  std::string_view word = take_word(line);
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (!word.empty() && error == std::errc() && end == word.data() + word.size()) {
    if (number >= all.size()) return fmt::format("error: there is no NIC {}; the last is {}", number, all.size() - 1);
    nics = nics.subspan(number, 1);
    word = take_word(line);
  }
  try {
    if (word == "fault") return set_faults(nics, line);
    if (word == "link") return set_link(nics, line);
    if (word == "module") return plug(nics, line);
    if (word == "statistics" && line.empty()) return ok(nics, statistics_of);
  } catch (const Error& refusal) {
    return fmt::format("error: {}", refusal.what());
  }
  return fmt::format("error: there is no command '{}'; give {}", word, commands);
}

namespace {

pci::FileDescriptor event_counter(const std::string& path) {
  pci::FileDescriptor counter(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!counter.valid()) {
    throw Error::from_errno("cannot take commands at", path, errno, "close files or raise ulimit -n");
  }
  return counter;
}

}  // namespace

ControlSocket::ControlSocket(std::vector<Nic*> nics, std::string path)
    : nics_(std::move(nics)),
      path_(std::move(path)),
      listener_(pci::listen_vfio_user(path_)),
      wake_(event_counter(path_)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

ControlSocket::~ControlSocket() {
  thread_.request_stop();
  constexpr std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.number(), &one, sizeof one);
  thread_.join();
  ::unlink(path_.c_str());
}

void ControlSocket::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const bool room = connections_.size() < most_connections;
    std::vector<pollfd> files{{wake_.number(), POLLIN, 0}, {room ? listener_.number() : -1, POLLIN, 0}};
    for (const Connection& connection : connections_) files.push_back({connection.socket.number(), POLLIN, 0});
    if (::poll(files.data(), files.size(), -1) < 0) continue;
    for (std::size_t i = connections_.size(); i-- > 0;) {
      if (files[i + 2].revents == 0 || serve(connections_[i])) continue;
      connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (files[1].revents != 0) accept();
  }
}

void ControlSocket::accept() {
  pci::FileDescriptor socket(::accept4(listener_.number(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket.valid()) {
    connections_.push_back({std::move(socket), {}});
  } else if (errno == EMFILE || errno == ENFILE) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // it waits for files to be closed
  }
}

/// Answers what has come; false if the connection is over.
bool ControlSocket::serve(Connection& connection) const {
  std::array<char, 4096> bytes;
  const ssize_t count = ::recv(connection.socket.number(), bytes.data(), bytes.size(), 0);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) return false;
  connection.unfinished.append(bytes.data(), static_cast<std::size_t>(count));
  for (;;) {
    const std::size_t end = connection.unfinished.find('\n');
    if (end == std::string::npos) return connection.unfinished.size() <= longest_line;
    const std::string answer = answer_control(nics_, std::string_view(connection.unfinished).substr(0, end)) + '\n';
    connection.unfinished.erase(0, end + 1);
    const ssize_t sent = ::send(connection.socket.number(), answer.data(), answer.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(answer.size())) return false;
  }
}

}  // namespace ixcap::tools
