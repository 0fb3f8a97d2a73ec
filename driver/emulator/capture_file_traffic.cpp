#include <fmt/format.h>
#include <pcap/pcap.h>
#include <stdio_ext.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>

#include <ixcap/driver/emulator/capture_file_traffic.hpp>
#include <ixcap/driver/emulator/pipe_file.hpp>

namespace ixcap::emulator {
namespace {

constexpr std::size_t read_size = 64 * 1024;    // bytes a read(2): more, up to 1 MiB, makes no clear difference
constexpr std::size_t kept_size = 1024 * 1024;  // bytes of a replayed file that stay in memory
constexpr const char* cannot_open = "cannot open capture file";

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

File open_file(const std::string& path) {
  constexpr const char* mend =
      "give the path of a readable pcap or pcapng file, or mix for generated packets; options come after ?, with & "
      "between them";
  // A copy of standard input, so that closing the capture closes nothing of the program's.
  File file(path == "-" ? ::fdopen(::dup(STDIN_FILENO), "r") : std::fopen(path.c_str(), "re"));
  if (file == nullptr) throw Error::from_errno(cannot_open, path, errno, mend);
  struct stat status {};
  if (::fstat(::fileno(file.get()), &status) != 0) throw Error::from_errno(cannot_open, path, errno, mend);
  if (S_ISDIR(status.st_mode)) throw Error::from_errno(cannot_open, path, EISDIR, mend);
  if (S_ISREG(status.st_mode) && status.st_size == 0) throw Error(cannot_open, path, "the file is empty", mend);
  return file;
}

bool is_regular(std::FILE* file) {
  struct stat status {};
  return ::fstat(::fileno(file), &status) == 0 && S_ISREG(status.st_mode);
}

/// The same pipe, but one whose reader can be called off.
File make_cancellable(const File& file, const std::string& path, const std::atomic<bool>& cancelled) {
  const int descriptor = ::dup(::fileno(file.get()));
  File pipe(descriptor < 0 ? nullptr : open_pipe_file(descriptor, cancelled));
  if (pipe == nullptr) throw Error::from_errno(cannot_open, path, errno, "close some files and try again");
  return pipe;
}

void check_link_type(pcap_t* capture, const std::string& path) {
  const int link_type = pcap_datalink(capture);
  if (link_type == DLT_EN10MB) return;
  const char* const name = pcap_datalink_val_to_name(link_type);
  const char* const description = pcap_datalink_val_to_description(link_type);
  const std::string found = name == nullptr ? fmt::format("number {}", link_type)
                                            : fmt::format("{} ({})", name, description == nullptr ? "" : description);
  throw Error("cannot replay capture file", path, fmt::format("its link type is {}, not Ethernet", found),
              "give a file that was captured on an Ethernet interface (link type EN10MB)");
}

/// A stamp of nanosecond precision, as libpcap was asked for. A file may claim anything: times before 1970 are 0.
std::uint64_t recorded_ns(const timeval& stamp) {
  const auto seconds = static_cast<std::uint64_t>(std::max<std::int64_t>(stamp.tv_sec, 0));
  const auto nanoseconds = static_cast<std::uint64_t>(std::max<std::int64_t>(stamp.tv_usec, 0));
  constexpr std::uint64_t most_seconds = std::numeric_limits<std::uint64_t>::max() / 2'000'000'000;
  return std::min(seconds, most_seconds) * 1'000'000'000 + nanoseconds % 1'000'000'000;
}

}  // namespace

void CaptureFileTraffic::Close::operator()(pcap* capture) const noexcept {
  pcap_close(capture);  // and the FILE with it
}

CaptureFileTraffic::CaptureFileTraffic(const TrafficSpec& spec)
    : path_(spec.source),
      pad_(spec.pad),
      frames_left_(spec.count == TrafficSpec::forever ? std::numeric_limits<std::uint64_t>::max() : spec.count),
      passes_left_(spec.loop == TrafficSpec::forever ? std::numeric_limits<std::uint64_t>::max() : spec.loop - 1),
      buffer_(read_size) {
  open();
  if (passes_left_ == 0) return;
  if (!regular_ || path_ == "-") {
    throw Error("cannot replay capture file", path_, "it can be read only once, and loop= asks for more",
                "leave loop= out, or store the capture in a file first");
  }
  kept_.emplace(kept_size);
}

void CaptureFileTraffic::open() {
  capture_.reset();
  File file = open_file(path_);
  regular_ = is_regular(file.get());
  if (!regular_) file = make_cancellable(file, path_, cancelled_);
  std::setvbuf(file.get(), buffer_.data(), _IOFBF, buffer_.size());
  __fsetlocking(file.get(), FSETLOCKING_BYCALLER);  // one thread reads it: no lock around each record

  char reason[PCAP_ERRBUF_SIZE] = "";
  capture_.reset(pcap_fopen_offline_with_tstamp_precision(file.get(), PCAP_TSTAMP_PRECISION_NANO, reason));
  if (capture_ == nullptr) {
    throw Error(cannot_open, path_, reason, "give a pcap or pcapng file, decompressed (`file` tells what it is)");
  }
  static_cast<void>(file.release());  // pcap_close closes it
  check_link_type(capture_.get(), path_);
  frame_number_ = 0;
}

const WireFrame* CaptureFileTraffic::next() noexcept {
  if (frames_left_ == 0) return nullptr;
  if (!read(frame_)) {
    frames_left_ = 0;
    return nullptr;
  }
  --frames_left_;
  if (frame_.captured_length < frame_.wire_length) ++zero_filled_;
  frame_.wire_length = std::max(frame_.wire_length, pad_);
  return &frame_;
}

/// The next frame of this pass or the next, as the file tells it; false at the end of the last.
bool CaptureFileTraffic::read(WireFrame& frame) {
  if (capture_ != nullptr) {
    if (read_record(frame)) return true;
    if (!start_next_pass()) return false;
    if (capture_ != nullptr) return read_record(frame);
  }
  if (kept_position_ == kept_->frames().size()) {
    if (passes_left_ == 0) return false;
    --passes_left_;
    kept_position_ = 0;
  }
  frame = kept_->frames()[kept_position_++];
  return true;
}

bool CaptureFileTraffic::read_record(WireFrame& frame) {
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  ++frame_number_;
  const int outcome = pcap_next_ex(capture_.get(), &header, &bytes);
  if (outcome == 1) {
    const std::uint32_t captured = std::min(header->caplen, WireFrame::longest);
    frame = {.bytes = bytes,
             .captured_length = captured,
             .wire_length = std::clamp(header->len, captured, WireFrame::longest),
             .recorded_ns = recorded_ns(header->ts),
             .starts_file = frame_number_ == 1};
    if (kept_ && !kept_->add(frame)) kept_.reset();
    return true;
  }
  if (outcome != PCAP_ERROR_BREAK) {
    failure_.emplace(
        fmt::format("cannot read frame {} of capture file", frame_number_), path_, pcap_geterr(capture_.get()),
        fmt::format("the frames before it were delivered; `tcpdump -r '{}' -w readable.pcap` keeps those", path_));
  }
  return false;
}

/// From the end of the file to its beginning, in memory if that is where it is kept; false if the traffic ends here.
bool CaptureFileTraffic::start_next_pass() {
  const bool file_has_no_frames = frame_number_ == 1;
  if (failure_ || passes_left_ == 0 || file_has_no_frames) return false;
  --passes_left_;
  if (kept_) {
    capture_.reset();
    return true;
  }
  try {
    open();
  } catch (const Error& error) {
    failure_ = error;
    return false;
  }
  return true;
}

}  // namespace ixcap::emulator
