#pragma once

/// Appends blocks (pcapng's, or the records of a pcap file) to a file, or to standard output, so that the file stays
/// readable whatever happens.
///
/// If a write fails half-way (the disk is full, say), a regular file is cut back to the end of its last whole block;
/// what went into a pipe cannot be taken back.
///
/// reserve(), flush() and close() throw ixcap::Error, which names the file, how much of the capture is in it, how much
/// is not, and the mend. Once one of them has thrown, reserve() and flush() throw the same again: nothing is written
/// after a gap. A reader that closed the pipe is an Error too; SIGPIPE and SIGXFSZ do not reach the process.
///
/// "In the file" means handed to the kernel: what is in the file stays there when this process is killed, and with
/// `sync` what is in a closed file stays there when the machine is. Used by one thread at a time; a write blocks as
/// long as the disk or the reader of a pipe makes it wait.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <ixcap/capture/file_sink.hpp>
#include <ixcap/capture/output_file.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {

struct FileWriterOptions {
  std::size_t buffer_bytes = std::size_t{1} << 20;
  bool direct = false;  ///< past the page cache, if the file is one that this works with: direct_sink.hpp
  bool zstd = false;    ///< compressed: zstd_sink.hpp; goes before `direct`
  bool sync = false;    ///< close() waits until the file is on the disk
};

class FileWriter {
 public:
  /// Creates or empties the file at `path`; "-" is standard output, which is neither closed nor may be a terminal.
  explicit FileWriter(const std::string& path, FileWriterOptions options = {});
  /// `count_blocks`: those of the format that is written.
  FileWriter(OutputFile file, FileWriterOptions options, BlockCounter count_blocks);
  /// Closes the file if close() has not; an error is lost then.
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  /// Room for a block of `count` bytes, valid until the next call. Writes the buffer out when the block does not fit.
  std::uint8_t* reserve(std::size_t count) {
    if (count > buffer_.capacity - buffer_.used) [[unlikely]]
      make_room(count);
    return buffer_.bytes + buffer_.used;
  }
  /// Accepts what the caller has put there: one whole block of `count` bytes that holds `frames` frames.
  void commit(std::size_t count, std::uint64_t frames) noexcept {
    buffer_.used += count;
    bytes_accepted_ += count;
    frames_accepted_ += frames;
  }

  /// Writes out everything accepted so far.
  void flush();

  /// Flushes and closes. Does nothing after an error but close.
  void close();

  const std::string& name() const noexcept { return file_.name; }
  /// How it is written, in words, and why not in another way that was asked for.
  std::string describe() const { return sink_->describe() + why_not_; }
  std::uint64_t frames_accepted() const noexcept { return frames_accepted_; }
  std::uint64_t bytes_accepted() const noexcept { return bytes_accepted_; }
  /// Bytes that the file has, or soon will have: of a compressed one only the former are known.
  std::uint64_t length() const noexcept { return options_.zstd ? bytes_written() : bytes_accepted_; }
  /// Frames in whole blocks in the file. After an error, frames_accepted() - frames_written() frames are lost.
  std::uint64_t frames_written() const noexcept { return sink_->frames_written(); }
  /// Bytes of whole blocks in the file.
  std::uint64_t bytes_written() const noexcept { return sink_->bytes_written(); }

 private:
  std::unique_ptr<FileSink> make_sink(BlockCounter count_blocks);
  void make_room(std::size_t count);
  [[noreturn]] void fail(int error_number);

  OutputFile file_;
  FileWriterOptions options_;
  std::string why_not_;
  std::unique_ptr<FileSink> sink_;
  FileSink::Buffer buffer_;  // after an error without room, so that reserve() comes to make_room()
  std::uint64_t frames_accepted_ = 0;
  std::uint64_t bytes_accepted_ = 0;
  std::optional<Error> failure_;
};

}  // namespace ixcap::capture
