/// What writing costs: the traffic `mix` from a ring to a disk, beside what dd(1) reaches on that disk in the same run.
///
///     writer_bench [--folder DIR] [--rounds N] [--mib N] [--seconds N]
///
/// **As fast as it goes.** A ring is filled in advance, so that nothing but the writer runs; then it is written to a
/// new file past the page cache, as `ixcap capture -w` does, in turns with `dd if=/dev/zero oflag=direct` of the same
/// size and with the writer's block size. Medians of N rounds.
///
/// **At 10 Gb/s.** A second thread fills a ring of 64 MiB at the wire rate of 10GBASE-R; what finds no room is counted.
///
/// "Cores" is processor time of the writing thread over time, with what it takes in the kernel, and behind the plus
/// that of io_uring's own threads, which do the writes that it has asked for.

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/capture_files.hpp>
#include <ixcap/capture/ring.hpp>
#include <ixcap/driver/emulator/mix_traffic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/idle.hpp>

namespace ixcap::bench {
namespace {

using namespace capture;
using Clock = std::chrono::steady_clock;

constexpr double aim_of_dd = 0.90;
constexpr double aim_cores = 0.5;
constexpr unsigned records_a_turn = 1024;  // as `ixcap capture`
constexpr std::size_t mebibyte = std::size_t{1} << 20;

struct Options {
  std::string folder = ".";
  unsigned rounds = 9;
  std::size_t mib = 512;
  double seconds = 3;
};

/// One writing of one file.
struct Run {
  double seconds = 0;
  double bytes = 0;    ///< in the file
  double packets = 0;  ///< in the file
  double lost = 0;     ///< packets that found no room in the ring
  double thread = 0;   ///< processor seconds of the thread that writes
  double workers = 0;  ///< processor seconds of io_uring's threads

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
  explicit ScratchFile(const std::string& folder, const std::string& name)
      : folder_(folder), path_((std::filesystem::path(folder) / name).string()) {}
  ~ScratchFile() {
    std::error_code ignored;
    for (const char* suffix : {"", ".part"}) std::filesystem::remove(path_ + suffix, ignored);
    const int descriptor = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    ::fsync(descriptor);
    ::close(descriptor);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string folder_;
  std::string path_;
};

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

CaptureFiles open_files(const std::string& path, FileFormat format) {
  return CaptureFiles({.path = path, .format = format, .writer = {.direct = true}}, {.name = "writer_bench"},
                      [] { return pcapng::InterfaceStatistics{}; });
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
  const ScratchFile file(folder, "writer_bench.ours");
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
  const ScratchFile file(folder, "writer_bench.dd");
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
    throw Error("cannot run", "dd", said, "give a folder on a file system that has O_DIRECT with --folder");
  run.bytes = std::stod(said.substr(said.rfind('\n', line) + 1));
  run.seconds = std::stod(said.substr(copied + 8));
  return run;
}

/// The mix at the wire rate of 10 Gb/s for some seconds, through a ring as `ixcap capture` has it.
Run write_at_wire_rate(const Options& options, FileFormat format) {
  RingMemory memory({.populate = true});
  RingReader reader(memory);
  const ScratchFile file(options.folder, "writer_bench.ours");
  Run run;
  double producer_seconds = 0;
  const Meter meter;
  CaptureFiles files = open_files(file.path(), format);
  std::jthread producing([&] {
    Filler filler(memory);
    const auto start = Clock::now();
    const auto length = std::chrono::duration<double>(options.seconds);
    for (auto now = start; now - start < length; now = Clock::now()) {
      for (unsigned i = 0; i < batch_size && filler.wire_time() < now - start; ++i) {
        if (filler.append()) continue;
        filler.skip();
        run.lost += 1;
      }
      filler.producer().publish();
      _mm_pause();
    }
    filler.producer().close();
    producer_seconds = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
  });
  Idle idle;
  while (true) {
    if (write_turn(reader, files)) {
      idle.reset();
    } else if (reader.state() != RingState::open) {
      break;
    } else {
      idle.wait();
    }
  }
  producing.join();
  finish(files, file.path(), run);
  meter.stop(run, producer_seconds);
  return run;
}

double median(const std::vector<Run>& runs, const std::function<double(const Run&)>& figure) {
  std::vector<double> figures;
  for (const Run& run : runs) figures.push_back(figure(run));
  const auto middle = figures.begin() + static_cast<std::ptrdiff_t>(figures.size() / 2);
  std::ranges::nth_element(figures, middle);
  return *middle;
}
double median_rate(const std::vector<Run>& runs) {
  return median(runs, [](const Run& run) { return run.rate(); });
}

void print_costs(const std::vector<Run>& runs) {
  fmt::print(" {:>6.2f} +{:>5.2f} {:>8.3f}\n", median(runs, [](const Run& run) { return run.thread / run.seconds; }),
             median(runs, [](const Run& run) { return run.workers / run.seconds; }),
             median(runs, [](const Run& run) { return 1e6 * (run.thread + run.workers) / run.packets; }));
  std::fflush(stdout);
}

void print_line(const std::string& name, const std::vector<Run>& runs, double dd_rate) {
  const auto by_rate = [](const Run& a, const Run& b) { return a.rate() < b.rate(); };
  const auto [slowest, fastest] = std::ranges::minmax_element(runs, by_rate);
  const double rate = median_rate(runs);
  fmt::print("{:<22} {:>6.3f} {:>6.3f} {:>6.3f} {:>7.3f}", name, rate / 1e9, slowest->rate() / 1e9,
             fastest->rate() / 1e9, rate / dd_rate);
  if (runs.front().packets != 0) return print_costs(runs);
  fmt::print("\n");
}

void judge(const std::string& what, double figure, double aim, bool reached) {
  fmt::print("{:<8} {}: {:.3f}, the aim is {}\n", reached ? "reached" : "MISSED", what, figure, aim);
}

struct Format {
  const char* name;
  FileFormat format;
};
constexpr std::array formats{Format{"pcapng", FileFormat::pcapng}, Format{"pcap", FileFormat::pcap}};

/// Answers dd's rate.
double measure_fastest(const Options& options) {
  const std::size_t block_bytes = FileWriterOptions{}.buffer_bytes;
  RingMemory memory({.size_bytes = std::bit_ceil(options.mib * mebibyte), .populate = true});
  RingReader reader(memory);
  Filler filler(memory);
  std::vector<Run> dd;
  std::array<std::vector<Run>, formats.size()> ours;
  const std::size_t turns = 1 + ours.size();
  for (std::size_t round = 0; round < options.rounds; ++round) {
    for (std::size_t turn = 0; turn < turns; ++turn) {
      // Another one begins every round, so that nobody always comes after the same one.
      const std::size_t i = (round + turn) % turns;
      if (i == 0) {
        dd.push_back(run_dd(options.folder, block_bytes, memory.size_bytes()));
      } else {
        filler.fill();
        ours[i - 1].push_back(write_ring(options.folder, formats[i - 1].format, reader));
      }
    }
  }
  const double dd_rate = median_rate(dd);
  fmt::print("\n{} rounds of {} MiB, blocks of {} KiB\n", options.rounds, memory.size_bytes() / mebibyte,
             block_bytes / 1024);
  fmt::print("{:<22} {:>6} {:>6} {:>6} {:>7} {:>14} {:>8}\n", "", "GB/s", "least", "most", "of dd", "cores", "s/Mpkt");
  print_line("dd oflag=direct", dd, dd_rate);
  for (std::size_t i = 0; i < formats.size(); ++i) print_line(formats[i].name, ours[i], dd_rate);
  for (std::size_t i = 0; i < formats.size(); ++i) {
    const double part = median_rate(ours[i]) / dd_rate;
    judge(fmt::format("{} as a part of dd's rate", formats[i].name), part, aim_of_dd, part >= aim_of_dd);
  }
  return dd_rate;
}

void measure_at_wire_rate(const Options& options, double dd_rate) {
  fmt::print("\nAt the wire rate of 10 Gb/s for {} s\n", options.seconds);
  fmt::print("{:<22} {:>6} {:>6} {:>6} {:>7} {:>14} {:>8}\n", "", "GB/s", "Mpkt/s", "lost %", "of dd", "cores",
             "s/Mpkt");
  for (const auto& [name, format] : formats) {
    const Run run = write_at_wire_rate(options, format);
    fmt::print("{:<22} {:>6.3f} {:>6.3f} {:>6.2f} {:>7.3f}", name, run.rate() / 1e9, run.packets / run.seconds / 1e6,
               100 * run.lost / (run.packets + run.lost), run.rate() / dd_rate);
    print_costs({run});
    judge(fmt::format("{} in cores", name), run.cores(), aim_cores, run.cores() <= aim_cores);
  }
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
  application.add_option("--seconds", options.seconds, "At 10 Gb/s")->capture_default_str();
  CLI11_PARSE(application, argc, argv);
  try {
    bench::measure_at_wire_rate(options, bench::measure_fastest(options));
  } catch (const Error& error) {
    fmt::print(stderr, "writer_bench: {}\n", error.what());
    return 1;
  }
}
