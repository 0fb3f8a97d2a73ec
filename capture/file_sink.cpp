#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <ixcap/capture/file_sink.hpp>
#include <ixcap/capture/signal_shield.hpp>

namespace ixcap::capture {
namespace {

class PlainSink final : public FileSink {
 public:
  PlainSink(int descriptor, std::size_t buffer_bytes, BlockCounter count_blocks)
      : descriptor_(descriptor),
        count_blocks_(count_blocks),
        capacity_(buffer_bytes),
        memory_(std::make_unique_for_overwrite<std::uint8_t[]>(buffer_bytes)) {}

  int make_room(Buffer& buffer, std::uint64_t frames, std::size_t count) override {
    if (const int error_number = flush(buffer, frames); error_number != 0) return error_number;
    if (count > capacity_) {
      memory_ = std::make_unique_for_overwrite<std::uint8_t[]>(count);
      capacity_ = count;
    }
    buffer = {memory_.get(), capacity_, 0};
    return 0;
  }

  int flush(Buffer& buffer, std::uint64_t frames) override {
    const auto [written, error_number] = write_all(descriptor_, buffer.bytes, buffer.used);
    if (error_number == 0) {
      bytes_written_ += buffer.used;
      frames_written_ = frames;
      buffer.used = 0;
      return 0;
    }
    const WholeBlocks whole = count_blocks_(buffer.bytes, written, bytes_written_ == 0);
    bytes_written_ += whole.bytes;
    frames_written_ += whole.frames;
    torn_ = written != whole.bytes && !cut_back(descriptor_, written - whole.bytes);
    return error_number;
  }

  std::string describe() const override { return "plain writes"; }

 private:
  int descriptor_;
  BlockCounter count_blocks_;
  std::size_t capacity_;
  std::unique_ptr<std::uint8_t[]> memory_;
};

}  // namespace

WriteResult write_all(int descriptor, const std::uint8_t* bytes, std::size_t count) noexcept {
  if (count == 0) return {};
  const SignalShield shield;
  std::size_t written = 0;
  while (written < count) {
    const ssize_t result = ::write(descriptor, bytes + written, count - written);
    if (result > 0) {
      written += static_cast<std::size_t>(result);
    } else if (result == 0) {  // nothing written and no reason given: trying again might never end
      return {written, EIO};
    } else if (errno == EAGAIN) {  // a pipe that somebody else made non-blocking
      pollfd ready = {descriptor, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return {written, errno};
    }
  }
  return {written, 0};
}

// The file's position is the end of what we wrote, also where the file is appended to. If the file does not end there,
// it is not ours alone, and nothing is cut.
bool cut_back(int descriptor, std::size_t count) noexcept {
  struct stat status = {};
  const off_t end = ::lseek(descriptor, 0, SEEK_CUR);
  return end >= 0 && ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == end &&
         ::ftruncate(descriptor, end - static_cast<off_t>(count)) == 0;
}

std::unique_ptr<FileSink> make_plain_sink(int descriptor, std::size_t buffer_bytes, BlockCounter count_blocks) {
  return std::make_unique<PlainSink>(descriptor, buffer_bytes, count_blocks);
}

}  // namespace ixcap::capture
