#pragma once

/// The files of one capture: the one that is being written, the change to the next, and those that are finished.
///
///     capture::CaptureFiles files({.path = "x.pcapng", .rotation = {.bytes = 100'000'000}}, description, statistics);
///     for each record:       files.write(record);
///     from time to time:     files.look_after();     // rotation by time, statistics, free space, commands
///     at the end:            files.close();
///
/// A file is written as NAME.part and renamed when it is finished (output_folder.hpp); it ends with statistics, and
/// holds some every minute. file_names.hpp tells when there is a new one and what it is called. A pipe, a device or
/// standard output is written as it is, and cannot rotate.
///
/// **When a file cannot be written** (disk full, an I/O error, no permission) the capture goes on: the file is ended at
/// its last whole block and finished, frames are lost to this writer and counted, and the next rotation tries again; by
/// size that is when the file would have had its size. The first failure is told, and kept in failure(). When a stream
/// fails, write(), look_after(), flush() and close() throw.
///
/// **free_floor.** When the file system has fewer bytes left, the oldest files that this object has finished are
/// deleted, if `free_policy` says so; when there is none, or it does not, the capture is over. Looked at ten times a
/// second.
///
/// Threads: one at a time; it waits for the disk as FileWriter does. Records must outlive write() only. Errors: the
/// constructor throws ixcap::Error.

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ixcap/capture/file_command.hpp>
#include <ixcap/capture/file_names.hpp>
#include <ixcap/capture/output_folder.hpp>
#include <ixcap/capture/packet_writer.hpp>
#include <ixcap/capture/pcap_writer.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {

enum class FileFormat { pcapng, pcap };
enum class FreePolicy { stop, remove_oldest };

/// What time it is: a clock on the wall for names, and one that nobody sets for intervals.
struct FileTimes {
  std::int64_t wall_s;
  std::chrono::nanoseconds steady;
};
FileTimes file_times_now();

struct CaptureFilesOptions {
  std::string path;  ///< as open_output(), with conversions of strftime(3) if an interval is given
  RotationOptions rotation = {};
  FileFormat format = FileFormat::pcapng;
  TimePrecision precision = TimePrecision::nano;  ///< of FileFormat::pcap
  FileWriterOptions writer = {};
  std::uint64_t free_floor = 0;  ///< bytes; 0: none
  FreePolicy free_policy = FreePolicy::stop;
  std::string command = {};  ///< run on each finished file: file_command.hpp
  std::function<FileTimes()> clock = file_times_now;
  std::shared_ptr<OutputFolder> folder = {};  ///< that of `path`, for one that can no longer be reached by its path
};

/// What is told, on the thread that calls. Each may be empty.
struct CaptureFilesEvents {
  std::function<void(const std::string& path)> finished = {};    ///< the file has its name
  std::function<void(const std::string& sentence)> failed = {};  ///< the first time only
  std::function<void(const std::string& sentence)> said = {};    ///< what is of interest to the curious
};

class CaptureFiles {
 public:
  using Statistics = std::function<pcapng::InterfaceStatistics()>;
  static constexpr std::chrono::minutes statistics_interval{1};
  static constexpr std::chrono::milliseconds look_interval{100};

  CaptureFiles(CaptureFilesOptions options, pcapng::InterfaceDescription description, Statistics statistics,
               CaptureFilesEvents events = {});
  /// Leaves the part of a file that close() has not finished where it is.
  ~CaptureFiles() = default;

  /// A record as RingReader::next() returned it.
  void write(const Record& record);
  void look_after();
  /// Goes on in another file; without effect on a stream.
  void rotate() { rotate(Rotation::request); }
  /// Says in the file what has happened: a changed filter, a lost link.
  void note(const std::string& comment);
  /// Brings what has been written to the file.
  void flush();
  /// Finishes the last file and waits for the commands.
  void close();

  /// The capture is to end: all files have been written, or there is no space left for more.
  bool is_over() const noexcept { return over_; }
  /// What went wrong first; also a command.
  const std::optional<Error>& failure() const noexcept { return failure_; }
  /// Frames that are in files.
  std::uint64_t frames_written() const noexcept;
  /// The same, and those that are on their way there.
  std::uint64_t frames_accepted() const noexcept;

 private:
  using Time = std::chrono::nanoseconds;
  struct Finished {
    std::shared_ptr<OutputFolder> folder;
    std::string name;
  };

  void rotate(Rotation rotation);
  void start_file(const std::string& path);
  std::unique_ptr<PacketWriter> make_writer(OutputFile file) const;
  void finish_file();
  void settle(std::uint64_t frames);
  void keep(const std::string& name);
  void discard(const Record& record);
  void give_up(const Error& error);
  void tell(const Error& error, const std::string& consequence);
  void keep_space_free();
  template <typename Step>
  void attempt(const Step& step);

  const CaptureFilesOptions options_;
  const pcapng::InterfaceDescription description_;
  const Statistics statistics_;
  const CaptureFilesEvents events_;
  const bool stream_;
  FileNames names_;
  FileCommand command_;

  std::shared_ptr<OutputFolder> folder_;
  std::string name_;                      // of the current file, in folder_
  std::unique_ptr<PacketWriter> writer_;  // none: the file has failed, or all is closed
  std::uint64_t settled_frames_ = 0;      // in files that are closed
  std::uint64_t discarded_bytes_ = 0;     // that the current file would have had
  std::uint64_t missing_frames_ = 0;      // since the last frame in a file
  std::deque<Finished> finished_;         // oldest first, as far as they may be deleted
  Time rotation_due_{0};
  Time statistics_due_{0};
  Time look_due_{0};
  bool over_ = false;
  std::optional<Error> failure_;
};

}  // namespace ixcap::capture
