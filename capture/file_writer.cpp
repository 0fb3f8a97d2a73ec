#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include <ixcap/capture/file_writer.hpp>
#include <ixcap/capture/pcapng.hpp>

namespace ixcap::capture {
namespace {

constexpr const char* cannot_open = "cannot open capture file";
constexpr const char* cannot_write = "cannot write capture file";

// While it lives, this thread gets no SIGPIPE and no SIGXFSZ, which the kernel sends to a thread whose write fails;
// EPIPE and EFBIG say the same. The process's handlers stay as they are.
class SignalShield {
 public:
  SignalShield() noexcept {
    sigset_t pending;
    ::sigpending(&pending);
    ::sigemptyset(&blocked_);
    ::sigemptyset(&ours_);
    for (const int signal : {SIGPIPE, SIGXFSZ}) {
      ::sigaddset(&blocked_, signal);
      if (::sigismember(&pending, signal) == 0) ::sigaddset(&ours_, signal);
    }
    ::pthread_sigmask(SIG_BLOCK, &blocked_, &before_);
  }
  ~SignalShield() {
    // What has become pending meanwhile was meant for our write.
    const timespec at_once = {};
    while (::sigtimedwait(&ours_, nullptr, &at_once) > 0 || errno == EINTR) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalShield(const SignalShield&) = delete;
  SignalShield& operator=(const SignalShield&) = delete;

 private:
  sigset_t blocked_;
  sigset_t ours_;
  sigset_t before_;
};

struct WriteResult {
  std::size_t written;
  int error_number;  // 0 if everything was written
};

WriteResult write_all(int file_descriptor, const std::uint8_t* bytes, std::size_t count) noexcept {
  const SignalShield shield;
  std::size_t written = 0;
  while (written < count) {
    const ssize_t result = ::write(file_descriptor, bytes + written, count - written);
    if (result > 0) {
      written += static_cast<std::size_t>(result);
    } else if (result == 0) {  // nothing written and no reason given: trying again might never end
      return {written, EIO};
    } else if (errno == EAGAIN) {  // a pipe that somebody else made non-blocking
      pollfd ready = {file_descriptor, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return {written, errno};
    }
  }
  return {written, 0};
}

std::string mend_for_open(int error_number) {
  switch (error_number) {
    case ENOENT:
      return "create its directory (mkdir -p)";
    case EISDIR:
      return "give the path of a file in it";
    case EROFS:
    case EACCES:
    case EPERM:
      return "give a path that you may write to";
    default:
      return "give the path of another file";
  }
}

std::string mend_for_write(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return "free space there (df -h), or write to another disk";
    case EFBIG:
      return "raise the limit (ulimit -f unlimited), or write smaller files";
    case EPIPE:
      return "keep the program that reads the pipe running until the capture ends";
    default:
      return "look for the cause in the kernel's log (dmesg), or write to another disk";
  }
}

}  // namespace

FileWriter::FileWriter(std::string path, std::size_t buffer_bytes)
    : name_(std::move(path)),
      is_stdout_(name_ == "-"),
      capacity_(buffer_bytes),
      buffer_(std::make_unique_for_overwrite<std::uint8_t[]>(buffer_bytes)) {
  if (is_stdout_) {
    name_ = "standard output";
    file_descriptor_ = STDOUT_FILENO;
    if (::isatty(file_descriptor_) != 0)
      throw Error(cannot_open, name_, "it is a terminal", "pipe it to a program that reads pcapng: -w - | tshark -r -");
  } else {
    do {
      file_descriptor_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    } while (file_descriptor_ < 0 && errno == EINTR);
    if (file_descriptor_ < 0) throw Error::from_errno(cannot_open, name_, errno, mend_for_open(errno));
  }
  struct stat status = {};
  is_regular_ = ::fstat(file_descriptor_, &status) == 0 && S_ISREG(status.st_mode);
}

FileWriter::~FileWriter() {
  try {
    close();
  } catch (const Error&) {
  }
}

void FileWriter::make_room(std::size_t count) {
  flush();
  if (count <= capacity_) return;
  buffer_ = std::make_unique_for_overwrite<std::uint8_t[]>(count);
  capacity_ = count;
}

void FileWriter::flush() {
  if (failure_) throw Error(*failure_);
  if (used_ == 0) return;
  const WriteResult result = write_all(file_descriptor_, buffer_.get(), used_);
  if (result.error_number != 0) fail(result.error_number, result.written);
  bytes_written_ += used_;
  frames_written_ = frames_accepted_;
  used_ = 0;
}

void FileWriter::fail(int error_number, std::size_t written) {
  const pcapng::WholeBlocks whole = pcapng::count_whole_blocks(buffer_.get(), written);
  bytes_written_ += whole.bytes;
  frames_written_ += whole.frames;
  used_ = capacity_;
  const bool torn = written != whole.bytes && !cut_back(written - whole.bytes);
  const std::string reason = fmt::format("{}; {} frames ({} bytes) are {}, {} more were accepted and are lost{}",
                                         std::generic_category().message(error_number), frames_written_, bytes_written_,
                                         is_regular_ ? "safely in it" : "passed on", frames_accepted_ - frames_written_,
                                         torn ? ", and it ends in the middle of a block" : "");
  failure_.emplace(cannot_write, name_, reason, mend_for_write(error_number));
  throw Error(*failure_);
}

// The file's position is the end of what we wrote, also where the file is appended to. If the file does not end there,
// it is not ours alone, and nothing is cut.
bool FileWriter::cut_back(std::size_t count) const noexcept {
  struct stat status = {};
  const off_t end = ::lseek(file_descriptor_, 0, SEEK_CUR);
  return is_regular_ && end >= 0 && ::fstat(file_descriptor_, &status) == 0 && status.st_size == end &&
         ::ftruncate(file_descriptor_, end - static_cast<off_t>(count)) == 0;
}

void FileWriter::close() {
  if (file_descriptor_ < 0) return;
  std::optional<Error> error;
  try {
    if (!failure_) flush();
  } catch (const Error& thrown) {
    error = thrown;
  }
  const int file_descriptor = std::exchange(file_descriptor_, -1);
  if (!is_stdout_ && ::close(file_descriptor) != 0 && !failure_)
    error = Error::from_errno(cannot_write, name_, errno, mend_for_write(errno));
  if (error) throw Error(*error);
}

}  // namespace ixcap::capture
