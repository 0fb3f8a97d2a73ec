#pragma once

/// Writes a ring's records to a file of the classic pcap format: 24 bytes of header, then 16 and the frame a packet.
///
/// Little-endian, Ethernet. Times count nanoseconds (magic number 0xa1b23c4d) or microseconds (0xa1b2c3d4). The format
/// has no place for losses, queues, statistics and comments; frames are cut to `snaplen` bytes, 0 means not at all.
///
/// Threads, blocking and errors are those of FileWriter.

#include <cstdint>

#include <ixcap/capture/packet_writer.hpp>

namespace ixcap::capture {

enum class TimePrecision { nano, micro };

class PcapWriter final : public PacketWriter {
 public:
  PcapWriter(OutputFile file, FileWriterOptions options, TimePrecision precision, std::uint32_t snaplen);

  void write(const Record& record) override;
  void write_statistics(const pcapng::InterfaceStatistics& /*statistics*/, std::vector<std::string> /*none*/) override {
  }
  void flush() override { file_.flush(); }
  void close() override { file_.close(); }
  const FileWriter& file() const noexcept override { return file_; }

 private:
  FileWriter file_;
  std::uint32_t ns_per_unit_;
  std::uint32_t snaplen_;
};

/// BlockCounter of this format: a packet is a block, and so is the file header.
WholeBlocks count_whole_packets(const std::uint8_t* bytes, std::size_t count, bool at_start) noexcept;

}  // namespace ixcap::capture
