#pragma once

/// Publishes the rings of a capture, so that other processes can read them (capture/attach.hpp, `ixcap read`).
///
///     capture::Share share("dns", {.name = "emulator:mix"}, session.rings());
///
/// Readers connect to a UNIX socket. Who may is decided by its owner and permissions: at first, the owner alone; chown
/// and chmod give it to others. A reader can read everything in the rings, write nowhere but into its own page, and, if
/// it is lossless, hold the capture up, so let those connect who may do that.
///
/// A reader whose connection ends is released: at once when its process ends, however it ends.
///
/// With a handler for them it takes commands from the capture's owner, too (control.hpp, `ixcap control`).
///
/// Ownership: the socket file, removed at the end. The rings outlive the Share; readers may go on reading what is in
/// them when both are gone. Threads: one of its own. Errors: the constructor throws ixcap::Error; who is refused later
/// is told, and `log` is.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/control_server.hpp>
#include <ixcap/capture/pcapng.hpp>
#include <ixcap/capture/ring.hpp>
#include <ixcap/capture/share_protocol.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::capture {

class Share {
 public:
  /// Called from the share's thread with a sentence: who came, who went, who was refused.
  using Log = std::function<void(const std::string&)>;

  /// `name`: as share_path() takes it. `description`: what readers are told, cut to what a ShareAnswer has room for.
  /// `rings`: one a queue, at most most_shared_rings. `commands`: as commands_for() makes it; without, whoever asks for
  /// something is shown the door.
  Share(std::string_view name, const pcapng::InterfaceDescription& description, std::vector<RingMemory*> rings,
        Log log = {}, ControlHandler commands = {});
  ~Share();
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  const std::string& path() const noexcept { return path_; }

  /// Readers that are connected. Any thread.
  std::size_t readers() const;

  /// Releases all readers. They are told by the end of their connection. Any thread.
  void disconnect();

 private:
  struct Connection {
    pci::FileDescriptor socket;
    std::string peer;             ///< for people
    std::vector<RingSeat> seats;  ///< empty until it is admitted
  };

  void run(const std::stop_token& stop);
  void accept_all();
  bool attend(Connection& connection);
  bool asks_for_control(const Connection& connection) const;
  ShareStatus admit(Connection& connection, const ShareRequest& request, pci::FileDescriptor& pages);
  bool answer(const Connection& connection, ShareStatus status, const pci::FileDescriptor& pages) const;
  void tell(const std::string& sentence) const;

  std::string path_;
  ShareAnswer answer_;
  std::vector<RingMemory*> rings_;
  Log log_;
  std::optional<ControlServer> control_;
  pci::FileDescriptor listener_;
  pci::FileDescriptor wake_;  ///< readable when the thread is to end
  mutable std::mutex mutex_;  ///< guards the connections
  std::vector<std::unique_ptr<Connection>> connections_;
  std::jthread thread_;  ///< last: stops before anything else goes
};

}  // namespace ixcap::capture
