#pragma once

/// Frames of a capture file, for commands that filter them without a card in between.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <ixcap/driver/emulator/capture_file_traffic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/frame.hpp>

namespace ixcap::tools {

/// Frames and their bytes, owned.
class FrameStore {
 public:
  void add(const Frame& frame);
  void clear() noexcept;

  /// Frames that point into the store: valid until the next add() or clear().
  std::vector<Frame> frames() const;

  std::size_t size() const noexcept { return lengths_.size(); }
  std::size_t bytes() const noexcept { return bytes_.size(); }

 private:
  struct Lengths {
    std::uint32_t captured;
    std::uint32_t wire;
  };

  std::vector<std::uint8_t> bytes_;
  std::vector<Lengths> lengths_;
};

/// A pcap or pcapng file with Ethernet frames, read once from beginning to end; `-` is standard input.
class FrameFile {
 public:
  /// Throws Error if it cannot be opened or holds another link type.
  explicit FrameFile(const std::string& path);

  /// Adds frames to `store`, until it holds `most_frames` or more than `most_bytes`. False if the file has no more.
  /// Throws Error where the file is damaged.
  bool read(FrameStore& store, std::size_t most_frames, std::size_t most_bytes);

 private:
  emulator::CaptureFileTraffic file_;
};

}  // namespace ixcap::tools
