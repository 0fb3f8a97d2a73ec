#pragma once

/// Takes commands for a capture from its owner (control_protocol.hpp). The Share hands it the connections; it has a
/// thread of its own, since compiling an expression may take seconds, in which readers still come and go.
///
///     capture::Share share("lab", description, session.rings(), log, capture::commands_for(session));
///
/// Ownership: the connections; whatever the handler refers to outlives it. Threads: take() from one; the handler is
/// called on this one's. Errors: the constructor throws ixcap::Error; what goes wrong later is told to who asked.

#include <sys/types.h>

#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/control_protocol.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::capture {

class Session;

struct ControlCommand {
  ControlVerb verb;
  unsigned bit = 0;
  std::string text = {};
  std::string by = {};  ///< who asks, for people
};

struct ControlReply {
  ControlStatus status = ControlStatus::done;
  unsigned bit = 0;
  std::uint64_t changes = 0;
  std::string text = {};
};

/// Does what is asked. An Error that it throws is the answer.
using ControlHandler = std::function<ControlReply(const ControlCommand&)>;

/// Commands to a session: its filters, and its ledger.
ControlHandler commands_for(Session& session);

/// The command in a message, or nothing if it is malformed; then `status` says in what way.
std::optional<ControlCommand> parse_command(std::span<const char> message, ControlStatus& status);

/// An answer as it is sent, its text cut to longest_control_text.
std::vector<char> encode_reply(const ControlReply& reply);

class ControlServer {
 public:
  static constexpr std::size_t most_connections = 8;

  explicit ControlServer(ControlHandler handler);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  /// A connection whose first message asks for control. Its peer is checked here; one that may not is told so.
  void take(pci::FileDescriptor socket);

 private:
  struct Connection {
    pci::FileDescriptor socket;
    std::string by;
  };

  void run(const std::stop_token& stop);
  bool attend(const Connection& connection, std::vector<char>& buffer) const;
  ControlReply reply_to(const ControlCommand& command) const;

  const ControlHandler handler_;
  const uid_t owner_;         ///< who started the capture
  pci::FileDescriptor wake_;  ///< readable when there is a new connection, or the thread is to end
  std::mutex mutex_;          ///< guards the connections
  std::vector<Connection> connections_;
  std::jthread thread_;  ///< last: stops before anything else goes
};

}  // namespace ixcap::capture
