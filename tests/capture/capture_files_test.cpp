// Every frame given to CaptureFiles is in one of its files, once and in order, however they rotate; a finished file has
// its name only when it is whole; and when a file cannot be written the rest goes on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include <ixcap/capture/capture_files.hpp>

#include "tests/files.hpp"
#include "tests/process.hpp"

namespace ixcap::capture {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

constexpr std::size_t frame_bytes = 100;
constexpr std::uint64_t start_ns = 1'700'000'000'000'000'000;

/// A record whose frame holds its number.
struct NumberedRecord {
  Record record = {};
  std::uint8_t frame[frame_bytes] = {};

  explicit NumberedRecord(std::uint64_t number) {
    record.captured_length = record.wire_length = frame_bytes;
    record.timestamp_ns = start_ns + number;
    std::memcpy(frame, &number, sizeof number);
  }
};
static_assert(offsetof(NumberedRecord, frame) == sizeof(Record));

/// The numbers of the frames in a file.
std::vector<std::uint64_t> numbers_in(const std::string& path) {
  char message[PCAP_ERRBUF_SIZE];
  pcap_t* const file = pcap_open_offline(path.c_str(), message);
  if (file == nullptr) throw std::runtime_error(path + ": " + message);
  std::vector<std::uint64_t> numbers;
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  int outcome = 0;
  while ((outcome = pcap_next_ex(file, &header, &data)) == 1) std::memcpy(&numbers.emplace_back(), data, 8);
  EXPECT_EQ(outcome, PCAP_ERROR_BREAK) << path << ": " << pcap_geterr(file);
  pcap_close(file);
  return numbers;
}

class CaptureFilesTest : public testing::Test {
 protected:
  void open(CaptureFilesOptions options) {
    options.clock = [this] { return now; };
    files = std::make_unique<CaptureFiles>(
        std::move(options), pcapng::InterfaceDescription{.name = "test"},
        [] { return pcapng::InterfaceStatistics{.timestamp_ns = start_ns}; },
        CaptureFilesEvents{.finished = [this](const std::string& path) { finished.push_back(path); },
                           .failed = [this](const std::string& sentence) { failed.push_back(sentence); }});
  }
  void write(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      const NumberedRecord numbered(next++);
      files->write(numbered.record);
    }
  }
  void pass(std::chrono::milliseconds time) {
    now.steady += time;
    now.wall_s = now.steady / 1s;
    files->look_after();
  }
  /// All frames of the finished files, in the order in which they were finished.
  std::vector<std::uint64_t> all_numbers() const {
    std::vector<std::uint64_t> all;
    for (const std::string& path : finished) {
      const std::vector<std::uint64_t> some = numbers_in(path);
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
  void expect_everything() const {
    const std::vector<std::uint64_t> all = all_numbers();
    ASSERT_EQ(all.size(), next);
    for (std::uint64_t i = 0; i < next; ++i) ASSERT_EQ(all[i], i);
    EXPECT_EQ(files->frames_written(), next);
    EXPECT_FALSE(files->failure());
  }
  std::string path(const std::string& name) const { return folder.file(name); }

  test::TemporaryFolder folder;
  FileTimes now = {1000, 1000s};
  std::unique_ptr<CaptureFiles> files;
  std::vector<std::string> finished;
  std::vector<std::string> failed;
  std::uint64_t next = 0;
};

TEST_F(CaptureFilesTest, AFileHasItsNameWhenItIsFinished) {
  std::ofstream(path("x")) << "what was there before";
  open({.path = path("x")});
  write(10);
  files->flush();
  EXPECT_TRUE(fs::exists(path("x.part")));
  EXPECT_EQ(test::read_file(path("x")), "what was there before");
  files->close();
  EXPECT_FALSE(fs::exists(path("x.part")));
  EXPECT_THAT(finished, ElementsAre(path("x")));
  expect_everything();
}

TEST_F(CaptureFilesTest, RotatesBySize) {
  for (const bool direct : {false, true}) {
    finished.clear();
    next = 0;
    open({.path = path("x"), .rotation = {.bytes = 10'000}, .writer = {.direct = direct}});
    write(1000);
    files->close();
    EXPECT_THAT(finished, SizeIs(16));
    for (const std::string& file : finished) EXPECT_LT(fs::file_size(file), 10'000u + 300u);
    expect_everything();
  }
}

TEST_F(CaptureFilesTest, RotatesByTimeWithoutTraffic) {
  open({.path = path("x-%s"), .rotation = {.interval = 10s}});
  write(5);
  pass(9999ms);
  EXPECT_THAT(finished, IsEmpty());
  pass(1ms);
  EXPECT_THAT(finished, ElementsAre(path("x-1000")));
  pass(10s);
  write(7);
  pass(25s);  // one that comes late does not move the others
  pass(5s);
  files->close();
  EXPECT_THAT(finished, ElementsAre(path("x-1000"), path("x-1010"), path("x-1020"), path("x-1045"), path("x-1050")));
  expect_everything();
}

TEST_F(CaptureFilesTest, TheCountEndsACaptureByTime) {
  open({.path = path("x-%s"), .rotation = {.interval = 10s, .most_files = 2}});
  write(5);
  pass(10s);
  EXPECT_FALSE(files->is_over());
  write(5);
  pass(10s);
  EXPECT_TRUE(files->is_over());
  files->close();
  EXPECT_THAT(finished, ElementsAre(path("x-1000"), path("x-1010")));
  expect_everything();
}

TEST_F(CaptureFilesTest, ARingKeepsTheNewestFiles) {
  open({.path = path("x-%s."), .rotation = {.bytes = 10'000, .interval = 10s, .most_files = 3}});
  for (unsigned i = 0; i < 10; ++i) {
    write(100);
    pass(10s);
  }
  files->close();
  std::vector<std::string> there;
  for (const auto& entry : fs::directory_iterator(path(""))) there.push_back(entry.path().string());
  std::sort(there.begin(), there.end());
  std::vector<std::string> newest(finished.end() - 3, finished.end());
  std::sort(newest.begin(), newest.end());
  EXPECT_EQ(there, newest);
  finished.erase(finished.begin(), finished.end() - 3);
  const std::vector<std::uint64_t> numbers = all_numbers();
  ASSERT_FALSE(numbers.empty());
  for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], next - numbers.size() + i);
}

TEST_F(CaptureFilesTest, RotatesOnRequestInEveryFormat) {
  for (const auto format : {FileFormat::pcap, FileFormat::pcapng}) {
    finished.clear();
    next = 0;
    open({.path = path("x"), .format = format});
    write(3);
    files->rotate();
    write(4);
    files->rotate();
    files->close();
    EXPECT_THAT(finished, ElementsAre(path("x"), path("x1"), path("x2")));
    expect_everything();
  }
}

TEST_F(CaptureFilesTest, StatisticsComeEveryMinuteAndAtTheEndAndSoDoNotes) {
  if (!test::on_path("tshark")) GTEST_SKIP() << "tshark is not installed";
  open({.path = path("x")});
  write(1);
  pass(59s);
  pass(1s);
  pass(60s);
  files->note("the filter is now: tcp");
  files->close();
  EXPECT_THAT(test::output_of("capinfos " + path("x")), HasSubstr("Number of stat entries = 4"));
  EXPECT_THAT(test::output_of("tshark -V -X 'read_format:MIME Files Format' -r " + path("x")),
              HasSubstr("the filter is now: tcp"));
}

TEST_F(CaptureFilesTest, AFileThatCannotBeWrittenIsEndedAndTheNextSaysWhatIsMissing) {
  rlimit before = {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  void (*const handler)(int) = ::signal(SIGXFSZ, SIG_IGN);
  for (const bool direct : {false, true}) {
    finished.clear();
    failed.clear();
    next = 0;
    open({.path = path("x"), .writer = {.buffer_bytes = 8192, .direct = direct}});
    const rlimit limit = {100'001, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    write(2000);
    ::setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_THAT(failed, SizeIs(1));
    EXPECT_THAT(failed[0], HasSubstr("File too large"));
    EXPECT_THAT(finished, ElementsAre(path("x")));  // whole, as numbers_in() finds
    const std::uint64_t kept = files->frames_written();
    EXPECT_EQ(numbers_in(path("x")).size(), kept);
    EXPECT_GT(fs::file_size(path("x")), 100'001u - 200u) << "up to the last whole block";
    files->rotate();
    write(10);
    files->close();
    EXPECT_EQ(files->frames_written(), kept + 10);
    EXPECT_THAT(numbers_in(path("x1")), SizeIs(10));
    EXPECT_TRUE(files->failure());
    EXPECT_THAT(failed, SizeIs(1)) << "told once";
    if (test::on_path("tshark")) {
      EXPECT_EQ(test::output_of("tshark -r " + path("x1") + " -c 1 -T fields -e frame.drop_count 2>/dev/null"),
                std::to_string(2000 - kept) + "\n");
    }
  }
  ::signal(SIGXFSZ, handler);
}

TEST_F(CaptureFilesTest, AFolderThatIsGoneIsToldAndTriedAgain) {
  fs::create_directory(path("d"));
  open({.path = path("d/x-%s"), .rotation = {.interval = 10s}});
  write(1);
  fs::remove_all(path("d"));
  pass(10s);
  write(5);
  EXPECT_THAT(failed, SizeIs(1));
  EXPECT_EQ(files->frames_accepted(), 1u);
}

TEST_F(CaptureFilesTest, TheOldestFilesMakeSpace) {
  open({.path = path("x"), .free_floor = UINT64_MAX - 1, .free_policy = FreePolicy::remove_oldest});
  write(1);
  files->rotate();
  files->rotate();
  write(1);
  EXPECT_FALSE(files->is_over());
  pass(100ms);
  EXPECT_FALSE(fs::exists(path("x")));
  EXPECT_FALSE(fs::exists(path("x1")));
  EXPECT_TRUE(files->is_over()) << "nothing of its own is left to delete";
  files->close();
  EXPECT_THAT(numbers_in(path("x2")), ElementsAre(1));
}

TEST_F(CaptureFilesTest, ACommandRunsOnEveryFinishedFile) {
  std::ofstream(path("command")) << "#!/bin/sh\nmv \"$1\" \"$1.done\"\ncase $1 in *2) exit 3; esac\n";
  fs::permissions(path("command"), fs::perms::owner_all);
  open({.path = path("x"), .command = path("command")});
  for (unsigned i = 0; i < 12; ++i) {
    write(1);
    files->rotate();
  }
  files->close();
  for (const std::string& file : finished) EXPECT_TRUE(fs::exists(file + ".done")) << file;
  EXPECT_THAT(finished, SizeIs(13));
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_THAT(failed[0], HasSubstr("ended with status 3"));
}

TEST_F(CaptureFilesTest, AStreamIsWrittenAsItIsAndCannotRotate) {
  open({.path = "/dev/null"});
  write(10);
  files->rotate();
  files->close();
  EXPECT_THAT(finished, IsEmpty());
  EXPECT_EQ(files->frames_written(), 10u);
  EXPECT_THROW(open({.path = "/dev/null", .rotation = {.bytes = 1}}), Error);
  EXPECT_THROW(open({.path = "/dev/null", .command = "true"}), Error);
}

TEST_F(CaptureFilesTest, APartThatIsBeingWrittenIsRefused) {
  open({.path = path("x")});
  write(1);
  const std::unique_ptr<CaptureFiles> first = std::move(files);
  EXPECT_THROW(open({.path = path("x")}), Error);
  first->close();
  EXPECT_THAT(numbers_in(path("x")), ElementsAre(0));
}

TEST_F(CaptureFilesTest, ACompressedFileCanBeReadUpToWhereItEnds) {
  if (!test::on_path("zstd")) GTEST_SKIP() << "zstd is not installed";
  try {
    open({.path = path("x"), .writer = {.zstd = true}});
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  write(100);
  files->flush();
  ASSERT_EQ(test::run({"sh", "-c", "zstdcat " + path("x.zst.part") + " > " + path("cut") + " 2>/dev/null"}).status, 1);
  EXPECT_THAT(numbers_in(path("cut")), SizeIs(100));
  write(100);
  files->close();
  ASSERT_EQ(test::run({"zstd", "-q", "-d", path("x.zst")}).status, 0);
  EXPECT_THAT(numbers_in(path("x")), SizeIs(200));
}

}  // namespace
}  // namespace ixcap::capture
