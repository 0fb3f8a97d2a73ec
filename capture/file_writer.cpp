#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include <ixcap/capture/direct_sink.hpp>
#include <ixcap/capture/file_writer.hpp>
#include <ixcap/capture/pcapng.hpp>
#include <ixcap/capture/zstd_sink.hpp>

namespace ixcap::capture {
namespace {

constexpr const char* cannot_write = "cannot write capture file";

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

bool is_regular(int descriptor) noexcept {
  struct stat status = {};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

FileWriter::FileWriter(const std::string& path, FileWriterOptions options)
    : FileWriter(open_output(path), options, &pcapng::count_whole_blocks) {}

FileWriter::FileWriter(OutputFile file, FileWriterOptions options, BlockCounter count_blocks)
    : file_(std::move(file)), options_(options), sink_(make_sink(count_blocks)) {}

std::unique_ptr<FileSink> FileWriter::make_sink(BlockCounter count_blocks) {
  if (options_.zstd) return make_zstd_sink(file_.descriptor, options_.buffer_bytes);
  if (options_.direct && !file_.is_standard_output) {
    std::string why_not;
    if (auto sink = make_direct_sink(file_.descriptor, options_.buffer_bytes, count_blocks, why_not)) return sink;
    why_not_ = fmt::format(" ({})", why_not);
  }
  return make_plain_sink(file_.descriptor, options_.buffer_bytes, count_blocks);
}

FileWriter::~FileWriter() {
  try {
    close();
  } catch (const Error&) {
  }
}

void FileWriter::make_room(std::size_t count) {
  if (failure_) throw Error(*failure_);
  if (const int error_number = sink_->make_room(buffer_, frames_accepted_, count); error_number != 0)
    fail(error_number);
}

void FileWriter::flush() {
  if (failure_) throw Error(*failure_);
  if (buffer_.used == 0) return;
  if (const int error_number = sink_->flush(buffer_, frames_accepted_); error_number != 0) fail(error_number);
}

void FileWriter::fail(int error_number) {
  buffer_ = {};
  const std::string reason =
      fmt::format("{}; {} frames ({} bytes) are {}, {} more were accepted and are lost{}",
                  std::generic_category().message(error_number), frames_written(), bytes_written(),
                  is_regular(file_.descriptor) ? "safely in it" : "passed on", frames_accepted_ - frames_written(),
                  sink_->is_torn() ? ", and it ends in the middle of a block" : "");
  failure_.emplace(cannot_write, file_.name, reason, mend_for_write(error_number));
  throw Error(*failure_);
}

void FileWriter::close() {
  if (file_.descriptor < 0) return;
  std::optional<Error> error;
  try {
    if (!failure_) flush();
  } catch (const Error& thrown) {
    error = thrown;
  }
  const auto check = [&](int error_number) {
    if (error_number != 0 && !failure_ && !error)
      error = Error::from_errno(cannot_write, file_.name, error_number, mend_for_write(error_number));
  };
  check(sink_->close());
  const int descriptor = std::exchange(file_.descriptor, -1);
  if (options_.sync && is_regular(descriptor)) check(::fdatasync(descriptor) == 0 ? 0 : errno);
  if (!file_.is_standard_output) check(::close(descriptor) == 0 ? 0 : errno);
  if (error) throw Error(*error);
}

}  // namespace ixcap::capture
