#pragma once

/// Records what a software NIC sends and receives on its wire to a pcapng file: it stands between the NIC and its
/// traffic, and between the NIC and the wire's other end.
///
///     traffic ─► traffic() ─►┐
///                            NIC
///     other end ◄─► wire() ◄─┘
///
/// A frame of the traffic is in the file once it has arrived at the NIC, whatever becomes of it there. Times are the
/// host's. Once a second, if frames come, the file is brought up to date.
///
/// Ownership: outlives the NIC, but not what it was given. Threads: traffic() and wire() are called before the NIC
/// exists or while it is idle, what they answer is the NIC's thread's; failure() is for any thread; close() comes after
/// the NIC. Errors: the constructor and close() throw ixcap::Error; in between the recording ends, and failure() says
/// why.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <ixcap/capture/pcapng_writer.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/emulator/wire.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::tools {

class WireRecorder final : public emulator::Wire {
 public:
  /// `path` as FileWriter takes it; `interface` is what the file calls the NIC.
  WireRecorder(std::string path, const std::string& interface);

  /// `traffic`, recorded.
  std::unique_ptr<emulator::Traffic> traffic(std::unique_ptr<emulator::Traffic> traffic);

  /// `wire`, recorded; null: nobody is at the other end.
  emulator::Wire* wire(emulator::Wire* wire) noexcept {
    wire_ = wire;
    return this;
  }

  void send(std::span<const std::uint8_t> frame) noexcept override;
  std::span<const std::uint8_t> receive() noexcept override;

  /// A frame has arrived.
  void received(const emulator::WireFrame& frame) noexcept { record(frame, false); }

  std::optional<Error> failure() const;
  void close() { file_.close(); }

 private:
  void record(const emulator::WireFrame& frame, bool outbound) noexcept;

  capture::PcapngWriter file_;
  emulator::Wire* wire_ = nullptr;
  std::uint64_t flushed_ns_ = 0;
  std::optional<Error> failure_;  ///< written once, before failed_
  std::atomic<bool> failed_ = false;
};

}  // namespace ixcap::tools
