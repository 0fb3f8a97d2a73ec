#pragma once

/// A capture file as traffic: pcap or pcapng, of either byte order and any timestamp precision, read by libpcap.
///
/// The file is streamed, one frame in memory at a time. The exception is a small file that is replayed: its frames stay
/// in memory from the second pass on, so that a looped handful of frames keeps up with a 10-gigabit wire. A larger file
/// is opened anew for each pass.
///
/// The file is not trusted. What libpcap refuses (a truncated file, a record of gigabytes, a second interface that is
/// no Ethernet) ends the traffic with a failure() that names the frame; a frame whose record claims fewer bytes on the
/// wire than it holds has the bytes it holds; a claim beyond WireFrame::longest is cut to that.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ixcap/driver/emulator/frame_pool.hpp>
#include <ixcap/driver/emulator/traffic.hpp>

struct pcap;  // libpcap's pcap_t

namespace ixcap::emulator {

class CaptureFileTraffic final : public Traffic {
 public:
  /// Opens spec.source; throws Error as open_traffic does, and for loop= on what can be read only once (a pipe,
  /// standard input).
  explicit CaptureFileTraffic(const TrafficSpec& spec);

  const WireFrame* next() noexcept override;
  const std::optional<Error>& failure() const noexcept override { return failure_; }
  std::uint64_t zero_filled() const noexcept override { return zero_filled_; }
  bool may_wait() const noexcept override { return !regular_; }
  void cancel() noexcept override { cancelled_.store(true, std::memory_order_relaxed); }

 private:
  struct Close {
    void operator()(pcap* capture) const noexcept;
  };

  void open();
  bool read(WireFrame& frame);
  bool read_record(WireFrame& frame);
  bool start_next_pass();

  const std::string path_;
  const std::uint32_t pad_;
  std::uint64_t frames_left_;
  std::uint64_t passes_left_;  // after the present one

  bool regular_ = true;                   // a file on disk; a pipe or a terminal otherwise
  std::atomic<bool> cancelled_ = false;   // only pipes look at it
  std::vector<char> buffer_;              // of the FILE under capture_, which is closed first
  std::unique_ptr<pcap, Close> capture_;  // empty once the frames come from kept_
  std::uint64_t frame_number_ = 0;        // of the present pass, from 1

  std::optional<FramePool> kept_;  // the first pass, as long as it fits and there is a second
  std::size_t kept_position_ = 0;

  WireFrame frame_{};
  std::uint64_t zero_filled_ = 0;
  std::optional<Error> failure_;
};

}  // namespace ixcap::emulator
