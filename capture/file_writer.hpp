#pragma once

/// Appends pcapng blocks to a file, or to standard output, so that the file stays readable whatever happens.
///
/// The buffer holds whole blocks only. If a write fails half-way (the disk is full, say), a regular file is cut back to
/// the end of its last whole block; what went into a pipe cannot be taken back.
///
/// reserve(), flush() and close() throw ixcap::Error, which names the file, how much of the capture is in it, how much
/// is not, and the mend. Once one of them has thrown, reserve() and flush() throw the same again: nothing is written
/// after a gap. A reader that closed the pipe is an Error too; SIGPIPE and SIGXFSZ do not reach the process.
///
/// "In the file" means handed to the kernel. Used by one thread at a time; a write blocks as long as the disk or the
/// reader of a pipe makes it wait.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <ixcap/driver/error.hpp>

namespace ixcap::capture {

class FileWriter {
 public:
  static constexpr std::size_t default_buffer_bytes = std::size_t{1} << 20;

  /// Creates or empties the file at `path`; "-" is standard output, which is neither closed nor may be a terminal.
  explicit FileWriter(std::string path, std::size_t buffer_bytes = default_buffer_bytes);
  /// Closes the file if close() has not; an error is lost then.
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  /// Room for a block of `count` bytes, valid until the next call. Writes the buffer out when the block does not fit.
  std::uint8_t* reserve(std::size_t count) {
    if (count > capacity_ - used_) [[unlikely]]
      make_room(count);
    return buffer_.get() + used_;
  }
  /// Accepts what the caller has put there: one whole block of `count` bytes that holds `frames` frames.
  void commit(std::size_t count, std::uint64_t frames) noexcept {
    used_ += count;
    frames_accepted_ += frames;
  }

  /// Writes out everything accepted so far.
  void flush();

  /// Flushes and closes. Does nothing after an error but close.
  void close();

  const std::string& name() const noexcept { return name_; }
  std::uint64_t frames_accepted() const noexcept { return frames_accepted_; }
  /// Frames in whole blocks in the file. After an error, frames_accepted() - frames_written() frames are lost.
  std::uint64_t frames_written() const noexcept { return frames_written_; }
  /// Bytes of whole blocks in the file.
  std::uint64_t bytes_written() const noexcept { return bytes_written_; }

 private:
  void make_room(std::size_t count);
  [[noreturn]] void fail(int error_number, std::size_t written);
  bool cut_back(std::size_t count) const noexcept;

  std::string name_;  // for people: the path, or "standard output"
  int file_descriptor_ = -1;
  bool is_stdout_ = false;
  bool is_regular_ = false;

  std::size_t capacity_;
  std::size_t used_ = 0;  // after an error equal to capacity_, so that reserve() comes to make_room()
  std::unique_ptr<std::uint8_t[]> buffer_;

  std::uint64_t frames_accepted_ = 0;
  std::uint64_t frames_written_ = 0;
  std::uint64_t bytes_written_ = 0;
  std::optional<Error> failure_;
};

}  // namespace ixcap::capture
