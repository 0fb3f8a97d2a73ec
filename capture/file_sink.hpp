#pragma once

/// How a FileWriter's buffer comes to the file: by plain writes (here), past the page cache (direct_sink.hpp), or
/// compressed (zstd_sink.hpp).
///
/// The buffer is the sink's; its first `used` bytes are whole blocks, except that of a direct sink may begin with the
/// end of one. Whenever a function fails, it answers the errno, the file has been cut back to the end of its last whole
/// block, and frames_written() and bytes_written() are final; then only close() is called any more.
///
/// Threads: one at a time. The descriptor is the FileWriter's.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace ixcap::capture {

/// What a run of whole blocks and perhaps a part of another holds.
struct WholeBlocks {
  std::size_t bytes = 0;     ///< up to the end of the last whole block
  std::uint64_t frames = 0;  ///< blocks with a frame among them
};

/// Counts the whole blocks in `count` bytes; `at_start`: they are the first of a file.
using BlockCounter = WholeBlocks (*)(const std::uint8_t* bytes, std::size_t count, bool at_start);

class FileSink {
 public:
  struct Buffer {
    std::uint8_t* bytes = nullptr;
    std::size_t capacity = 0;
    std::size_t used = 0;
  };

  virtual ~FileSink() = default;

  /// Makes room for `count` bytes more in `buffer`; `frames` have been accepted up to now. 0, or an errno.
  virtual int make_room(Buffer& buffer, std::uint64_t frames, std::size_t count) = 0;
  /// Brings all of `buffer` to the file.
  virtual int flush(Buffer& buffer, std::uint64_t frames) = 0;
  /// Waits for what is under way, and ends what has to be ended. Called once, last, also after an error.
  virtual int close() noexcept { return 0; }

  /// In words: "plain writes".
  virtual std::string describe() const = 0;

  /// Frames and bytes of whole blocks that are in the file.
  std::uint64_t frames_written() const noexcept { return frames_written_; }
  std::uint64_t bytes_written() const noexcept { return bytes_written_; }
  /// After an error: the end of the file could not be cut.
  bool is_torn() const noexcept { return torn_; }

 protected:
  std::uint64_t frames_written_ = 0;
  std::uint64_t bytes_written_ = 0;
  bool torn_ = false;
};

struct WriteResult {
  std::size_t written = 0;
  int error_number = 0;  ///< 0 if everything was written
};
/// write(2) until everything is written or it fails, without a signal; waits for the reader of a pipe.
WriteResult write_all(int descriptor, const std::uint8_t* bytes, std::size_t count) noexcept;

/// Takes the last `count` bytes, which were written by us at the descriptor's position, away again. False: it cannot.
bool cut_back(int descriptor, std::size_t count) noexcept;

/// A plain sink: the buffer is written out when it is full.
std::unique_ptr<FileSink> make_plain_sink(int descriptor, std::size_t buffer_bytes, BlockCounter count_blocks);

}  // namespace ixcap::capture
