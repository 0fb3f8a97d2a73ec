#pragma once

/// A wire to this machine's network stack: a TAP interface. What the software NIC sends appears on the interface as
/// received; what the stack sends through it, the NIC receives.
///
/// The interface is made by the constructor, unless it exists as a persistent one (`ip tuntap add NAME mode tap`), and
/// goes with the TapWire, unless it is persistent. It is down until somebody sets it up:
///
///     ip address add 192.0.2.1/24 dev NAME && ip link set NAME up
///
/// Frames are plain: no offloads are asked of the stack, so it sends whole segments with right checksums. While the
/// interface is down, or the stack has no room, what the NIC sends is lost and counted.
///
/// Ownership: outlives the NIC, or is disconnected first.
/// Threads: as Wire; lost() from any thread.
/// Errors: the constructor throws ixcap::Error; later ones only count.

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include <ixcap/driver/emulator/wire.hpp>

namespace ixcap::emulator {

class TapWire final : public Wire {
 public:
  /// `name`: 1 to 15 letters as interfaces have them, no '/' and no space, and neither "." nor "..".
  explicit TapWire(const std::string& name);
  ~TapWire() override;
  TapWire(const TapWire&) = delete;
  TapWire& operator=(const TapWire&) = delete;

  void send(std::span<const std::uint8_t> frame) noexcept override;
  std::span<const std::uint8_t> receive() noexcept override;

  /// Frames that the stack did not take.
  std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

  /// Bytes added to short frames of the stack: a network card there would have.
  std::uint64_t padding() const noexcept { return padding_.load(std::memory_order_relaxed); }

  /// Whether the interface is up (ip link set NAME up), or cannot be seen: its owner may have moved it elsewhere.
  bool up() const noexcept;

  /// Becomes readable when a frame is there to receive; for who would wait rather than ask again and again.
  int file() const noexcept { return file_; }

 private:
  std::string name_;
  int file_ = -1;
  std::vector<std::uint8_t> frame_;  ///< what receive() answered last
  std::atomic<std::uint64_t> lost_ = 0;
  std::atomic<std::uint64_t> padding_ = 0;
};

}  // namespace ixcap::emulator
