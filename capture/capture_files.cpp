#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include <ixcap/capture/capture_files.hpp>
#include <ixcap/capture/frame_clock.hpp>
#include <ixcap/capture/pcapng_writer.hpp>

namespace ixcap::capture {
namespace {

CaptureFilesOptions completed(CaptureFilesOptions options) {
  options.path = without_links(options.path);
  return options;
}

void refuse_what_a_stream_cannot(const CaptureFilesOptions& options) {
  const auto refuse = [&](const char* what) {
    throw Error("cannot write capture files", options.path, fmt::format("it is no file, so {}", what),
                "give the path of a file with -w");
  };
  if (options.rotation.bytes != 0 || options.rotation.interval.count() != 0 || options.rotation.most_files != 0)
    refuse("there cannot be several");
  if (options.free_floor != 0) refuse("it takes no space");
  if (!options.command.empty()) refuse("no command can be run on it");
}

constexpr std::size_t pcapng_overhead = pcapng::detail::packet_head_length + pcapng::detail::packet_tail_length;

}  // namespace

FileTimes file_times_now() {
  return {static_cast<std::int64_t>(FrameClock::now_ns() / 1'000'000'000),
          std::chrono::steady_clock::now().time_since_epoch()};
}

CaptureFiles::CaptureFiles(CaptureFilesOptions options, pcapng::InterfaceDescription description, Statistics statistics,
                           CaptureFilesEvents events)
    : options_(completed(std::move(options))),
      description_(std::move(description)),
      statistics_(std::move(statistics)),
      events_(std::move(events)),
      stream_(is_stream(options_.path)),
      names_(options_.path, options_.rotation, options_.writer.zstd && !stream_ ? ".zst" : ""),
      command_(options_.command),
      folder_(options_.folder) {
  const FileTimes now = options_.clock();
  rotation_due_ = options_.rotation.interval.count() == 0 ? Time::max() : now.steady + options_.rotation.interval;
  statistics_due_ = now.steady + statistics_interval;
  look_due_ = now.steady + look_interval;
  if (stream_) {
    refuse_what_a_stream_cannot(options_);
    writer_ = make_writer(open_output(options_.path));
  } else {
    start_file(names_.first(now.wall_s));
  }
}

std::unique_ptr<PacketWriter> CaptureFiles::make_writer(OutputFile file) const {
  std::unique_ptr<PacketWriter> writer;
  if (options_.format == FileFormat::pcap) {
    writer = std::make_unique<PcapWriter>(std::move(file), options_.writer, options_.precision, description_.snaplen);
  } else {
    writer = std::make_unique<PcapngWriter>(std::move(file), options_.writer, description_);
  }
  if (events_.said) events_.said(fmt::format("writing {} by {}", writer->file().name(), writer->file().describe()));
  return writer;
}

/// Runs a step that writes. A file that cannot be written is given up; of a stream the caller is told.
template <typename Step>
void CaptureFiles::attempt(const Step& step) {
  if (stream_) return step();
  try {
    step();
  } catch (const Error& error) {
    give_up(error);
  }
}

void CaptureFiles::write(const Record& record) {
  const std::uint64_t bytes = writer_ ? writer_->file().length() : discarded_bytes_;
  if (options_.rotation.bytes != 0 && bytes > options_.rotation.bytes && !over_) [[unlikely]]
    rotate(Rotation::size);
  bool written = false;
  if (writer_) {
    attempt([&] {
      writer_->write(record);
      written = true;
    });
  }
  if (!written) discard(record);
}

void CaptureFiles::discard(const Record& record) {
  missing_frames_ += record.is_loss() ? record.lost_frames : 1;
  discarded_bytes_ += pcapng_overhead + record.captured_length;
}

void CaptureFiles::look_after() {
  const FileTimes now = options_.clock();
  if (now.steady >= rotation_due_ && !over_) {
    while (rotation_due_ <= now.steady) rotation_due_ += options_.rotation.interval;
    rotate(Rotation::time);
  }
  if (now.steady >= statistics_due_) {
    statistics_due_ = now.steady + statistics_interval;
    if (writer_) attempt([this] { writer_->write_statistics(statistics_()); });
  }
  if (now.steady >= look_due_) {
    look_due_ = now.steady + look_interval;
    command_.look_after();
    keep_space_free();
    if (const std::optional<Error> error = command_.take_failure(); error) tell(*error, "the capture goes on");
  }
}

void CaptureFiles::note(const std::string& comment) {
  if (writer_) attempt([&] { writer_->write_statistics(statistics_(), {comment}); });
}

void CaptureFiles::flush() {
  if (writer_) attempt([this] { writer_->flush(); });
}

void CaptureFiles::close() {
  if (stream_ && writer_) {
    writer_->write_statistics(statistics_());
    writer_->close();
    settled_frames_ += std::exchange(writer_, nullptr)->file().frames_written();
    return;
  }
  finish_file();
  command_.finish();
  if (const std::optional<Error> error = command_.take_failure(); error) tell(*error, "");
}

void CaptureFiles::rotate(Rotation rotation) {
  if (stream_ || over_) return;
  finish_file();
  if (names_.is_last()) {
    over_ = true;
    return;
  }
  const std::string path = names_.next(rotation, options_.clock().wall_s);
  try {
    start_file(path);
  } catch (const Error& error) {
    tell(error, "the capture goes on, and tries again with its next file");
  }
}

void CaptureFiles::start_file(const std::string& path) {
  discarded_bytes_ = 0;
  const std::string folder = folder_of(path);
  if (!folder_ || folder_->path_of("") != folder) folder_ = std::make_shared<OutputFolder>(folder);
  name_ = name_of(path);
  writer_ = make_writer(folder_->create_part(name_));
  if (missing_frames_ == 0) return;
  Record loss = {};
  loss.flags = record_is_loss;
  loss.lost_frames = std::exchange(missing_frames_, 0);
  attempt([&] { writer_->write(loss); });
}

/// The current file gets its statistics and its name.
void CaptureFiles::finish_file() {
  if (writer_) attempt([this] { writer_->write_statistics(statistics_()); });
  if (writer_) attempt([this] { writer_->close(); });
  if (writer_) settle(std::exchange(writer_, nullptr)->file().frames_written());
}

/// A closed file that holds something gets its name.
void CaptureFiles::settle(std::uint64_t frames) {
  settled_frames_ += frames;
  try {
    folder_->finish(name_, options_.writer.sync);
  } catch (const Error& error) {
    tell(error, "the capture goes on");
    return;
  }
  keep(name_);
  const std::string path = folder_->path_of(name_);
  if (events_.finished) events_.finished(path);
  command_.run_on(path);
}

/// Remembers a finished file as far as it may have to make room, and makes the room of a ring.
void CaptureFiles::keep(const std::string& name) {
  const bool deletes = options_.free_floor != 0 && options_.free_policy == FreePolicy::remove_oldest;
  if (!names_.is_ring() && !deletes) return;
  std::erase_if(finished_, [&](const Finished& file) { return file.folder == folder_ && file.name == name; });
  finished_.push_back({folder_, name});
  while (names_.is_ring() && finished_.size() > options_.rotation.most_files) {
    finished_.front().folder->remove(finished_.front().name);
    finished_.pop_front();
  }
}

/// The current file could not be written: it is what it is, and what comes is lost until there is another.
void CaptureFiles::give_up(const Error& error) {
  const std::unique_ptr<PacketWriter> writer = std::exchange(writer_, nullptr);
  try {
    writer->close();
  } catch (const Error&) {
    // The error that brought us here comes first.
  }
  const FileWriter& file = writer->file();
  discarded_bytes_ = file.length();
  missing_frames_ += file.frames_accepted() - file.frames_written();
  tell(error, "the capture goes on, and tries again with its next file");
  if (file.frames_written() == 0) {
    folder_->remove_part(name_);
  } else {
    settle(file.frames_written());
  }
}

void CaptureFiles::tell(const Error& error, const std::string& consequence) {
  if (failure_) return;
  failure_ = error;
  if (events_.failed)
    events_.failed(consequence.empty() ? error.what() : fmt::format("{}; {}", error.what(), consequence));
}

void CaptureFiles::keep_space_free() {
  if (options_.free_floor == 0 || over_ || !folder_) return;
  const auto short_of_space = [this] { return folder_->free_bytes().value_or(UINT64_MAX) < options_.free_floor; };
  while (short_of_space() && options_.free_policy == FreePolicy::remove_oldest && !finished_.empty()) {
    const auto& [folder, name] = finished_.front();
    if (events_.said) events_.said(fmt::format("deleting {}, to keep space free", folder->path_of(name)));
    folder->remove(name);
    finished_.pop_front();
  }
  if (!short_of_space()) return;
  over_ = true;
  if (events_.said) {
    events_.said(fmt::format("less than {} bytes are free where {} is: that is the end", options_.free_floor,
                             folder_->path_of(name_)));
  }
}

std::uint64_t CaptureFiles::frames_written() const noexcept {
  return settled_frames_ + (writer_ ? writer_->file().frames_written() : 0);
}

std::uint64_t CaptureFiles::frames_accepted() const noexcept {
  return settled_frames_ + (writer_ ? writer_->file().frames_accepted() : 0);
}

}  // namespace ixcap::capture
