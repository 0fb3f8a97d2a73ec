#pragma once

/// Whole vfio-user messages on a UNIX stream socket, for both sides.
///
/// What the other side sends is bounded before anything is done with it: a message has at most most_message_bytes and
/// most_files files. Files beyond that are closed, as are files that come in the middle of a message.
///
/// Threads: one sends and one receives at a time.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ixcap/driver/pci/file_descriptor.hpp>
#include <ixcap/driver/pci/vfio_user_protocol.hpp>

namespace ixcap::pci {

struct VfioUserMessage {
  vfio_user::Header header = {};
  std::vector<std::uint8_t> payload;  ///< what follows the header; keeps its memory from message to message
  std::vector<FileDescriptor> files;
};

class VfioUserSocket {
 public:
  enum class Status {
    done,
    nothing,    ///< no message is waiting
    closed,     ///< the other side is gone, or took too long
    malformed,  ///< what came is no message, and where the next one begins cannot be known
    stopped,    ///< the wake-up file became readable
  };

  /// Takes over a connected socket. Waiting ends when `wake` (borrowed, -1 for none) becomes readable, and after
  /// `timeout_ms` in which nothing moves (-1: never).
  explicit VfioUserSocket(FileDescriptor socket, int wake = -1, int timeout_ms = -1) noexcept
      : socket_(std::move(socket)), wake_(wake), timeout_ms_(timeout_ms) {}

  /// The next message; with `wait` false only if one has begun to arrive.
  Status receive(VfioUserMessage& message, bool wait = true);

  /// Sends a message that is complete in `head` and `tail`, with `files` beside its first byte (borrowed).
  Status send(std::span<const std::uint8_t> head, std::span<const std::uint8_t> tail, std::span<const int> files) const;

 private:
  Status receive_header(VfioUserMessage& message, bool wait) const;
  Status wait_for(short events) const noexcept;

  FileDescriptor socket_;
  int wake_;
  int timeout_ms_;
};

/// A socket that listens at `path`. A socket file that nobody listens at any more is replaced; others than its owner
/// cannot connect. Throws ixcap::Error.
FileDescriptor listen_vfio_user(const std::string& path);

/// A socket connected to the server at `path`. Throws ixcap::Error.
FileDescriptor connect_vfio_user(const std::string& path);

}  // namespace ixcap::pci
