#pragma once

/// Writes a ring's records to a pcapng file (docs/pcapng.md): section header and interface description at once, then a
/// packet a record, and statistics whenever they are given.
///
/// Frames that are missing are not forgotten: the number in a loss record goes into the dropcount of the next packet,
/// or where none follows into a comment of the statistics. What the card noted of a frame, its stamp or an error, is in
/// the packet's flags and comment (record_notes.hpp). Frames are written as they lie in the ring, up to the
/// description's snapshot length.
///
/// Threads, blocking and errors are those of FileWriter: every function that writes throws ixcap::Error.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ixcap/capture/file_writer.hpp>
#include <ixcap/capture/packet_writer.hpp>
#include <ixcap/capture/pcapng.hpp>
#include <ixcap/capture/record.hpp>

namespace ixcap::capture {

class PcapngWriter final : public PacketWriter {
 public:
  /// `path`: as FileWriter takes it. An empty description.operating_system becomes this machine's; the section header
  /// names this machine and this version of ixcap, and carries `comment` unless it is empty.
  PcapngWriter(const std::string& path, pcapng::InterfaceDescription description, std::string comment = {});
  PcapngWriter(OutputFile file, FileWriterOptions options, pcapng::InterfaceDescription description,
               std::string comment = {});

  void write(const Record& record, std::string_view comment);
  void write(const Record& record) override { write(record, {}); }

  /// A frame that is in no ring.
  void write(const pcapng::EnhancedPacket& packet);

  void write_statistics(const pcapng::InterfaceStatistics& statistics, std::vector<std::string> comments = {}) override;

  void flush() override { file_.flush(); }
  void close() override { file_.close(); }
  const FileWriter& file() const noexcept override { return file_; }

  /// Frames said to be lost since the last packet.
  std::uint64_t losses_since_last_frame() const noexcept { return losses_since_last_frame_; }

 private:
  void append(const std::vector<std::uint8_t>& block);

  FileWriter file_;
  std::optional<pcapng::MacAddress> mac_;
  std::uint32_t snaplen_;
  std::uint64_t losses_since_last_frame_ = 0;
};

}  // namespace ixcap::capture
