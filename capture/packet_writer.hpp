#pragma once

/// A capture file under way, whatever its format: PcapngWriter, PcapWriter.
///
/// Threads, blocking and errors are those of FileWriter: every function that writes throws ixcap::Error.

#include <cstdint>
#include <string>
#include <vector>

#include <ixcap/capture/file_writer.hpp>
#include <ixcap/capture/pcapng.hpp>
#include <ixcap/capture/record.hpp>

namespace ixcap::capture {

class PacketWriter {
 public:
  virtual ~PacketWriter() = default;
  PacketWriter() = default;
  PacketWriter(const PacketWriter&) = delete;
  PacketWriter& operator=(const PacketWriter&) = delete;

  /// The record is as RingReader::next() returned it; it may be released afterwards.
  virtual void write(const Record& record) = 0;
  /// What the format cannot say is left out.
  virtual void write_statistics(const pcapng::InterfaceStatistics& statistics,
                                std::vector<std::string> comments = {}) = 0;
  /// Brings what has been written to the file, or to the reader of the pipe.
  virtual void flush() = 0;
  virtual void close() = 0;

  /// How much is in the file.
  virtual const FileWriter& file() const noexcept = 0;
};

}  // namespace ixcap::capture
