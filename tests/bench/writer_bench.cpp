/// What writing costs: the traffic `mix` from a ring to a disk, beside what dd(1) reaches on that disk in the same run.
///
///     writer_bench [--folder DIR] [--rounds N] [--mib N] [--seconds N]        77: DIR has no O_DIRECT
///
/// In turns, N rounds of each, of which the table has medians:
///
///     dd          `dd if=/dev/zero oflag=direct` into a new file, with the writer's block size; its own figure
///     FORMAT      from a ring that was filled in advance, so that nothing but the writer runs, to a new file past the
///                 page cache, as `ixcap capture -w` does; N MiB, as much as dd
///     at 10 Gb/s  the same, while a second thread fills a ring of 64 MiB at the wire rate of 10GBASE-R for N seconds;
///                 what finds no room is lost
///
/// "Cores" is processor time of the writing thread over time, with what it takes in the kernel, and behind the plus
/// that of io_uring's own threads, which do the writes that it has asked for; "s/Mpkt" is both for a million packets.

#include <fcntl.h>
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ixcap/capture/capture_files.hpp>
#include <ixcap/capture/ring.hpp>
#include <ixcap/driver/emulator/mix_traffic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::bench {
namespace {

using namespace capture;
using Clock = std::chrono::steady_clock;

constexpr double aim_of_dd = 0.90;
constexpr double aim_cores = 0.5;
constexpr unsigned records_a_turn = 1024;           // as `ixcap capture`
constexpr auto nap = std::chrono::milliseconds(1);  // as well
constexpr std::size_t mebibyte = std::size_t{1} << 20;

struct Options {
  std::string folder = ".";
  unsigned rounds = 9;
  std::size_t mib = 512;
  double seconds = 1;
};

/// One writing of one file.
struct Run {
  double seconds = 0;
  double bytes = 0;                                          ///< in the file
  double packets = 0;                                        ///< in the file
  double lost = 0;                                           ///< packets that found no room in the ring
  double offered = std::numeric_limits<double>::infinity();  ///< bytes a second that were there to be written
  double thread = 0;                                         ///< processor seconds of the thread that writes
  double workers = 0;                                        ///< processor seconds of io_uring's threads

  double rate() const { return bytes / seconds; }
  double cores() const { return (thread + workers) / seconds; }
};

double seconds_of(const timespec& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}
double clock_seconds(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return seconds_of(time);
}

/// The time since it was made, and whose processor time went by meanwhile. `run` gets both at the end.
class Meter {
 public:
  /// `other_seconds`: processor time of this process that is neither this thread's nor io_uring's.
  void stop(Run& run, double other_seconds) const {
    run.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    run.thread = clock_seconds(CLOCK_THREAD_CPUTIME_ID) - thread_;
    run.workers = std::max(0.0, clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - process_ - run.thread - other_seconds);
  }

 private:
  double thread_ = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
  double process_ = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
  Clock::time_point start_ = Clock::now();
};

/// A file in the folder, removed with what the disk has to do for that before anything else is measured.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& folder)
      : folder_(folder), path_(fmt::format("{}/writer_bench.{}", folder, ::getpid())) {}
  ~ScratchFile() {
    std::error_code ignored;
    for (const char* suffix : {"", ".part"}) std::filesystem::remove(path_ + suffix, ignored);
    const pci::FileDescriptor folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ::fsync(folder.number());
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string folder_;
  std::string path_;
};

bool has_direct_writes(const std::string& folder) {
  const ScratchFile file(folder);
  return pci::FileDescriptor(::open(file.path().c_str(), O_WRONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0600)).valid();
}

/// The mix, as the software NIC has it, into a ring.
class Filler {
 public:
  explicit Filler(RingMemory& memory) : producer_(memory) {}

  /// False: there is no room.
  bool append() {
    if (frame_ == nullptr) frame_ = mix_.next();
    if (!producer_.append({frame_->bytes, frame_->captured_length, frame_->wire_length}, time_ns_, 1, 0, 0))
      return false;
    skip();
    return true;
  }
  /// The frame that found no room is lost. Picoseconds that a frame takes on the wire at 10 Gb/s are added up.
  void skip() {
    const std::uint64_t spacing_ps = wire_rate.spacing_ps(frame_->wire_length);
    wire_ps_ += spacing_ps;
    time_ns_ += spacing_ps / 1000;
    frame_ = nullptr;
  }
  void fill() {
    while (append()) {
    }
    producer_.publish();
  }
  std::chrono::nanoseconds wire_time() const { return std::chrono::nanoseconds(wire_ps_ / 1000); }
  RingProducer& producer() { return producer_; }

 private:
  static constexpr emulator::Rate wire_rate = {emulator::Rate::Unit::bits_per_second, 10e9};
  RingProducer producer_;
  emulator::MixTraffic mix_{{}};
  const emulator::WireFrame* frame_ = nullptr;
  std::uint64_t wire_ps_ = 0;
  std::uint64_t time_ns_ = 1'700'000'000'000'000'000;
};

std::string way_of_writing;  // as the files tell it

CaptureFiles open_files(const std::string& path, FileFormat format) {
  return CaptureFiles({.path = path, .format = format, .writer = {.direct = true}}, {.name = "writer_bench"},
                      [] { return pcapng::InterfaceStatistics{}; }, {.said = [](const std::string& sentence) {
                        way_of_writing = sentence.substr(sentence.rfind(" by ") + 4);
                      }});
}

/// One turn as `ixcap capture` has it. False: there was nothing.
bool write_turn(RingReader& reader, CaptureFiles& files) {
  unsigned records = 0;
  for (; records < records_a_turn; ++records) {
    const Record* record = reader.next();
    if (record == nullptr) break;
    files.write(*record);
  }
  reader.release();
  files.look_after();
  return records != 0;
}

void finish(CaptureFiles& files, const std::string& path, Run& run) {
  files.close();
  if (files.failure()) throw Error(*files.failure());
  run.packets = static_cast<double>(files.frames_written());
  run.bytes = static_cast<double>(std::filesystem::file_size(path));
}

/// Writes what is in the ring.
Run write_ring(const std::string& folder, FileFormat format, RingReader& reader) {
  const ScratchFile file(folder);
  Run run;
  const Meter meter;
  CaptureFiles files = open_files(file.path(), format);
  while (write_turn(reader, files)) {
  }
  finish(files, file.path(), run);
  meter.stop(run, 0);
  return run;
}

/// Runs dd and believes its own figure.
Run run_dd(const std::string& folder, std::size_t block_bytes, std::size_t bytes) {
  const ScratchFile file(folder);
  const std::string command = fmt::format("LC_ALL=C exec dd if=/dev/zero of='{}' bs={} count={} oflag=direct 2>&1",
                                          file.path(), block_bytes, std::max<std::size_t>(1, bytes / block_bytes));
  std::FILE* const pipe = ::popen(command.c_str(), "re");
  if (pipe == nullptr) throw Error::from_errno("cannot run", "dd", errno, "install coreutils");
  std::string said;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) said += static_cast<char>(c);
  const int status = ::pclose(pipe);
  Run run;
  const std::size_t line = said.find(" bytes");
  const std::size_t copied = said.find("copied, ");
  if (status != 0 || line == std::string::npos || copied == std::string::npos)
    throw Error("cannot run", "dd", said, "free space there, or give another --folder");
  run.bytes = std::stod(said.substr(said.rfind('\n', line) + 1));
  run.seconds = std::stod(said.substr(copied + 8));
  return run;
}

/// Appends frames when they are due at 10 Gb/s, for some seconds. Answers how many found no room. A thread that was
/// kept from running does not make up for it: that would be a burst as no wire has it.
double offer_at_wire_rate(Filler& filler, double seconds) {
  constexpr std::chrono::nanoseconds longest_delay = std::chrono::milliseconds(1);
  double lost = 0;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  auto start = Clock::now();
  for (auto now = start; now < end; now = Clock::now()) {
    start = std::max(start, now - longest_delay - filler.wire_time());
    while (filler.wire_time() < now - start) {
      if (filler.append()) continue;
      filler.skip();
      lost += 1;
    }
    filler.producer().publish();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  filler.producer().close();
  return lost;
}

/// The mix at the wire rate of 10 Gb/s, through a ring as `ixcap capture` has it.
Run write_at_wire_rate(const Options& options, FileFormat format) {
  RingMemory memory({.populate = true});
  RingReader reader(memory);
  Filler filler(memory);
  const ScratchFile file(options.folder);
  Run run;
  double producer_seconds = 0;
  const Meter meter;
  CaptureFiles files = open_files(file.path(), format);
  std::jthread producing([&] {
    run.lost = offer_at_wire_rate(filler, options.seconds);
    producer_seconds = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
  });
  while (true) {
    if (write_turn(reader, files)) continue;
    if (reader.state() != RingState::open) break;
    std::this_thread::sleep_for(nap);
  }
  producing.join();
  finish(files, file.path(), run);
  meter.stop(run, producer_seconds);
  run.offered = run.bytes * (run.packets + run.lost) / run.packets / options.seconds;
  return run;
}

/// What is measured, and what has been.
struct Contender {
  std::string name;
  std::function<Run()> run;
  std::vector<Run> runs = {};

  double median(const std::function<double(const Run&)>& figure) const {
    std::vector<double> figures;
    for (const Run& one : runs) figures.push_back(figure(one));
    const auto middle = figures.begin() + static_cast<std::ptrdiff_t>(figures.size() / 2);
    std::ranges::nth_element(figures, middle);
    return *middle;
  }
  double rate() const { return median(&Run::rate); }
};

void measure(std::vector<Contender>& contenders, unsigned rounds) {
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t turn = 0; turn < contenders.size(); ++turn) {
      // Another one begins every round, so that nobody always comes after the same one.
      Contender& contender = contenders[(round + turn) % contenders.size()];
      contender.runs.push_back(contender.run());
    }
  }
}

void print(const Contender& contender, double dd_rate) {
  const auto [slowest, fastest] = std::ranges::minmax_element(contender.runs, {}, &Run::rate);
  fmt::print("{:<18} {:>7.3f} {:>7.3f} {:>7.3f} {:>7.3f}", contender.name, contender.rate() / 1e9,
             slowest->rate() / 1e9, fastest->rate() / 1e9, contender.rate() / dd_rate);
  if (slowest->packets != 0) {
    fmt::print(" {:>8.2f} {:>7.2f} {:>6.2f} +{:>5.2f} {:>8.3f}",
               contender.median([](const Run& run) { return run.packets / run.seconds / 1e6; }),
               contender.median([](const Run& run) { return 100 * run.lost / (run.packets + run.lost); }),
               contender.median([](const Run& run) { return run.thread / run.seconds; }),
               contender.median([](const Run& run) { return run.workers / run.seconds; }),
               contender.median([](const Run& run) { return 1e6 * (run.thread + run.workers) / run.packets; }));
  }
  fmt::print("\n");
}

/// The aims: so much of the slower of dd and what was there to be written, and no more cores than that.
void judge(const Contender& contender, double dd_rate) {
  const double part = contender.median([&](const Run& run) { return run.rate() / std::min(dd_rate, run.offered); });
  const double cores = contender.median(&Run::cores);
  fmt::print("{:<8} {}: {:.2f} of what was possible, the aim is {:.2f}, at {:.2f} cores, the aim is {:.2f}\n",
             part >= aim_of_dd && cores <= aim_cores ? "reached" : "MISSED", contender.name, part, aim_of_dd, cores,
             aim_cores);
}

void run_all(const Options& options) {
  const std::size_t block_bytes = FileWriterOptions{}.buffer_bytes;
  RingMemory memory({.size_bytes = std::bit_ceil(options.mib * mebibyte), .populate = true});
  RingReader reader(memory);
  Filler filler(memory);
  std::vector<Contender> contenders;
  contenders.push_back({"dd oflag=direct", [&] { return run_dd(options.folder, block_bytes, memory.size_bytes()); }});
  for (const auto& [name, format] : {std::pair{"pcapng", FileFormat::pcapng}, std::pair{"pcap", FileFormat::pcap}}) {
    contenders.push_back({name, [&, format = format] {
                            filler.fill();
                            return write_ring(options.folder, format, reader);
                          }});
    contenders.push_back(
        {fmt::format("{} at 10 Gb/s", name), [&, format = format] { return write_at_wire_rate(options, format); }});
  }
  measure(contenders, options.rounds);

  fmt::print("{} rounds of {} MiB, or of {} s; {}\n\n", options.rounds, memory.size_bytes() / mebibyte, options.seconds,
             way_of_writing);
  fmt::print("{:<18} {:>7} {:>7} {:>7} {:>7} {:>8} {:>7} {:>13} {:>8}\n", "", "GB/s", "least", "most", "of dd",
             "Mpkt/s", "lost %", "cores", "s/Mpkt");
  const double dd_rate = contenders.front().rate();
  for (const Contender& contender : contenders) print(contender, dd_rate);
  fmt::print("\n");
  for (const Contender& contender : std::span(contenders).subspan(1)) judge(contender, dd_rate);
}

}  // namespace
}  // namespace ixcap::bench

int main(int argc, char** argv) {
  using namespace ixcap;
  bench::Options options;
  CLI::App application("What writing costs");
  application.add_option("--folder", options.folder, "Where files are written")->capture_default_str();
  application.add_option("--rounds", options.rounds)->check(CLI::PositiveNumber)->capture_default_str();
  application.add_option("--mib", options.mib, "MiB of records a round")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  application.add_option("--seconds", options.seconds, "Of a round at 10 Gb/s")->capture_default_str();
  CLI11_PARSE(application, argc, argv);
  if (!bench::has_direct_writes(options.folder)) {
    fmt::print(stderr, "SKIPPED: {} is no folder on a file system that has O_DIRECT: give one with --folder\n",
               options.folder);
    return 77;
  }
  try {
    bench::run_all(options);
  } catch (const Error& error) {
    fmt::print(stderr, "writer_bench: {}\n", error.what());
    return 1;
  }
}
