#pragma once

/// The control socket of `ixcap emulate`: lines of text in, one line of text out for each (docs/ixcap-emulate.1).
///
///     fault crc-errors=0.01      ok crc-errors=0.01
///     1 link down                ok                          the first word may be a NIC's number; otherwise: all NICs
///     statistics                 ok 0: frames=100 ...; 1: ...
///     link sideways              error: link is up or down
///
/// Ownership: the socket file, removed at the end. The NICs outlive it.
/// Threads: one of its own; several people may be connected, and their lines are answered in the order they come.
/// Errors: the constructor throws ixcap::Error. Whoever sends a line that is too long, or does not read the answers, is
/// disconnected.

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::tools {

/// The answer to one line, both without line feed.
std::string answer_control(const std::vector<emulator::Nic*>& nics, std::string_view line);

class ControlSocket {
 public:
  static constexpr std::size_t longest_line = 4096;
  static constexpr std::size_t most_connections = 16;

  ControlSocket(std::vector<emulator::Nic*> nics, std::string path);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

 private:
  struct Connection {
    pci::FileDescriptor socket;
    std::string unfinished;  ///< a line without its end
  };

  void run(const std::stop_token& stop);
  void accept();
  bool serve(Connection& connection) const;

  std::vector<emulator::Nic*> nics_;
  std::string path_;
  pci::FileDescriptor listener_;
  pci::FileDescriptor wake_;
  std::vector<Connection> connections_;
  std::jthread thread_;  ///< last: stops before anything else goes
};

}  // namespace ixcap::tools
