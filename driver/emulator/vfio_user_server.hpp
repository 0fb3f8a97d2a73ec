#pragma once

/// Serves a PCI function to a vfio-user client at a UNIX socket: to one client at a time, and to the next when it is
/// gone. Each client finds the function as after power-on.
///
/// A process may have as many servers as it has functions.
///
/// Ownership: the socket file, removed at the end. The function outlives the server and is its alone meanwhile.
/// Threads: one of its own, on which all of the function's configuration and BAR accesses come.
/// Errors: the constructor throws ixcap::Error. What a client does wrong is the client's to be told; `log` tells
/// people.

#include <functional>
#include <string>
#include <thread>

#include <ixcap/driver/emulator/pci_function.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>
#include <ixcap/driver/pci/vfio_user_socket.hpp>

namespace ixcap::emulator {

class VfioUserServer {
 public:
  /// Called from the server's thread with a sentence: who came, who went, what was refused (at most
  /// most_refusals_told of one client).
  using Log = std::function<void(const std::string&)>;
  static constexpr unsigned most_refusals_told = 20;

  VfioUserServer(PciFunction& function, std::string path, Log log = {});
  ~VfioUserServer();
  VfioUserServer(const VfioUserServer&) = delete;
  VfioUserServer& operator=(const VfioUserServer&) = delete;

  const std::string& path() const noexcept { return path_; }

 private:
  void run(const std::stop_token& stop);
  pci::VfioUserSocket::Status serve(pci::FileDescriptor connection, const std::stop_token& stop);
  void tell(const std::string& sentence) const;

  PciFunction& function_;
  std::string path_;
  Log log_;
  pci::FileDescriptor listener_;
  pci::FileDescriptor wake_;  ///< readable when the thread is to end
  std::jthread thread_;       ///< last: stops before anything else goes
};

}  // namespace ixcap::emulator
