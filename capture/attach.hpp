#pragma once

/// Reads a capture that another process shares (capture/share.hpp).
///
///     capture::Attachment capture({.name = "dns", .expression = "udp port 53"});
///     for (const capture::Record& packet : capture.packets()) { ... }
///
/// or, one by one,
///
///     while (capture.state() == capture::RingState::open) {
///       while (const capture::Record* record = capture.next()) { ... }
///       capture.release();
///       capture.wait(std::chrono::seconds(1));
///     }
///
/// The expression is this reader's own and runs here, over the frames that the capture let through. Records of several
/// queues come in the order of their times (merged_rings.hpp).
///
/// Readers of one capture can share the work: with `part` 1 of 3, this one gets the flows of one third, both directions
/// of each. A flow is two addresses, and two ports and a protocol where the frame has them; of a fragmented packet only
/// the first fragment does. Frames without addresses go to part 0.
///
/// When the capture ends, everything that it had published can still be read, then the state is RingState::ended. When
/// its process dies, likewise, but that is told by died().
///
/// Threads: one; breakloop() from any. Errors: the constructor throws ixcap::Error, or filter::ExpressionError.
/// Everything that comes from the other process is checked as ring.hpp says.

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <ixcap/capture/merged_rings.hpp>
#include <ixcap/capture/pcapng.hpp>
#include <ixcap/capture/ring.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>
#include <ixcap/filter/set.hpp>

namespace ixcap::capture {

struct AttachOptions {
  std::string name;             ///< as share_path() takes it
  ReaderOptions reader = {};    ///< policy, and which of the capture's filters
  std::string expression = {};  ///< pcap-filter(7); empty: every frame
  bool vlan_aware = false;      ///< the expression looks behind VLAN tags: filter/vlan_aware.hpp
  std::uint32_t part = 0;       ///< of the flows, less than `parts`
  std::uint32_t parts = 1;
};

/// A number that is the same for both directions of a flow, and 0 for a frame without addresses.
std::uint64_t symmetric_flow_hash(const Frame& frame) noexcept;

class Attachment {
 public:
  explicit Attachment(const AttachOptions& options);
  ~Attachment();
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  /// What is captured, as the capturing process tells it.
  const pcapng::InterfaceDescription& description() const noexcept { return description_; }

  /// A range over the packets, to the capture's end: packets.hpp.
  Packets<Attachment> packets() noexcept { return Packets<Attachment>(*this); }

  /// The next record for this reader, or nullptr when there is none now. Valid until release(). Loss records come to
  /// every reader, whatever its expression and part.
  const Record* next() noexcept;
  /// Gives back what next() has returned.
  void release() noexcept;

  RingState state() const noexcept { return state_; }
  /// Whether the capture's process went away in mid-capture.
  bool died() const noexcept { return hung_up_; }

  /// Frames that passed this reader: what its mask let through, before expression and part.
  std::uint64_t received() const noexcept { return received_; }
  /// Frames lost because this reader was overrun: those that its mask lets through. The expression does not see them.
  std::uint64_t lost() const noexcept;

  /// After next() returned nullptr, and release(): sleeps until there may be something to read, breakloop(), or the
  /// time is over. False for the last two. A negative time has no end.
  bool wait(std::chrono::milliseconds longest) noexcept;
  /// Wakes wait() at once, now or the next time. Any thread, and any signal handler.
  void breakloop() noexcept;

 private:
  struct Ring;

  bool refill() noexcept;
  void judge() noexcept;
  void give_back() noexcept;

  pci::FileDescriptor socket_;
  pci::FileDescriptor interrupt_;
  pcapng::InterfaceDescription description_;
  filter::Set filter_;
  const std::uint32_t part_;
  const std::uint32_t parts_;
  ReaderPages pages_;
  std::vector<std::unique_ptr<Ring>> rings_;
  std::vector<RingReader*> readers_;  ///< of rings_
  RecordMerge merge_;

  std::array<const Record*, batch_size> batch_{};
  std::array<std::uint64_t, batch_size> wanted_{};  ///< of the batch: 0, this reader does not want it
  std::size_t batch_end_ = 0;
  std::size_t batch_next_ = 0;
  bool release_due_ = false;
  bool hung_up_ = false;
  RingState state_ = RingState::open;
  std::uint64_t received_ = 0;
};

}  // namespace ixcap::capture
