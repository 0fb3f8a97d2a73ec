// The files of `ixcap capture`: however they rotate, every frame that was sent is in one of them, others read them
// without a complaint, and a capture that is killed leaves what it has written.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <sstream>
#include <thread>

#include <ixcap/capture/pcapng.hpp>

#include "tests/process.hpp"
#include "tests/tools/capture_files.hpp"
#include "tests/tools/wait_until.hpp"

namespace ixcap::test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class CaptureFilesOnDisk : public testing::Test {
 protected:
  Result capture(std::vector<std::string> words) const {
    words.insert(words.begin(), {IXCAP_COMMAND, "capture", "-v", "-w", out});
    return run(std::move(words));
  }
  static std::size_t frames_in(const std::vector<std::string>& paths) {
    std::size_t frames = 0;
    for (const std::string& path : paths) frames += read_capture(path).frames.size();
    return frames;
  }
  /// The summary's first line for so many frames as are in these files: on a busy machine that may be a single one.
  static std::string captured_line(const std::vector<std::string>& paths) {
    const std::size_t frames = frames_in(paths);
    return "\n" + std::to_string(frames) + (frames == 1 ? " packet captured\n" : " packets captured\n");
  }

  TemporaryFolder folder;
  const std::string out = folder.file("x");
};

TEST_F(CaptureFilesOnDisk, HoldTogetherWhatWasSent) {
  const std::vector<std::vector<std::string>> ways = {{},
                                                      {"-C", "1"},
                                                      {"-C", "500k", "--pcap"},
                                                      {"-C", "1", "--io", "plain"},
                                                      {"-C", "2", "-W", "100", "--sync"},
                                                      {"-C", "1", "-U"}};
  for (const std::vector<std::string>& way : ways) {
    SCOPED_TRACE(testing::PrintToString(way));
    std::vector<std::string> words = {"-i", "emulator:mix?count=20000"};
    words.insert(words.end(), way.begin(), way.end());
    const Result result = capture(words);
    ASSERT_EQ(result.status, 0) << result.err;
    const std::vector<std::string> files = lines_of(result.out);
    EXPECT_EQ(files.size() > 1, !way.empty());
    EXPECT_EQ(frames_in(files), 20'000u);
    EXPECT_THAT(result.err, HasSubstr("the sum is right"));
    for (const std::string& file : files) fs::remove(file);
    EXPECT_TRUE(fs::is_empty(folder.file(""))) << "all are announced";
  }
}

TEST_F(CaptureFilesOnDisk, TheCountOfIntervalsEndsTheCapture) {
  const Result result = run({IXCAP_COMMAND, "capture", "-i", "emulator:mix?rate=10kpps", "-G", "1", "-W", "2", "-w",
                             folder.file("x-%s.pcapng")});
  EXPECT_EQ(result.status, 0) << result.err;
  const std::vector<std::string> files = lines_of(result.out);
  EXPECT_THAT(files, SizeIs(2));
  EXPECT_THAT(result.err, HasSubstr(captured_line(files)));
}

TEST_F(CaptureFilesOnDisk, HangupRotates) {
  Process process({IXCAP_COMMAND, "capture", "-v", "-i", "emulator:mix?rate=10kpps", "-w", out});
  wait_until(process, [&] { return fs::exists(out + ".part"); });
  process.send(SIGHUP);
  wait_until(process, [&] { return fs::exists(out) && fs::exists(out + "1.part"); });
  process.send(SIGINT);
  const Result result = process.wait();
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(lines_of(result.out), ElementsAre(out, out + "1"));
  EXPECT_THAT(result.err, HasSubstr(captured_line({out, out + "1"})));
}

TEST_F(CaptureFilesOnDisk, AreAcceptedByOthers) {
  for (const char* const program : {"capinfos", "tshark", "tcpdump", "editcap", "mergecap"}) {
    if (!on_path(program)) GTEST_SKIP() << program << " is not installed";
  }
  const std::vector<std::vector<std::string>> ways = {
      {}, {"--pcap"}, {"--pcap", "--time-stamp-precision", "micro", "-s", "60"}, {"--io", "plain", "udp"}};
  for (const std::vector<std::string>& way : ways) {
    SCOPED_TRACE(testing::PrintToString(way));
    std::vector<std::string> words = {"-C", "400k", "-i", "emulator:mix?count=2000"};
    words.insert(words.end(), way.begin(), way.end());
    const Result result = capture(words);
    ASSERT_EQ(result.status, 0) << result.err;
    std::string merge = "mergecap -w " + folder.file("merged");
    for (const std::string& file : lines_of(result.out)) {
      merge += " " + file;
      for (const std::string& command :
           {"capinfos " + file + " >/dev/null", "tshark -n -r " + file + " 2>&1 >/dev/null | grep -v dangerous",
            "tcpdump -nr " + file + " >/dev/null 2>" + folder.file("log") + " || cat " + folder.file("log"),
            "editcap " + file + " " + folder.file("edited")}) {
        EXPECT_THAT(output_of(command), IsEmpty()) << command;
      }
      EXPECT_EQ(frames_in({folder.file("edited")}), frames_in({file}));
    }
    EXPECT_THAT(output_of(merge), IsEmpty());
    EXPECT_EQ(frames_in({folder.file("merged")}), frames_in(lines_of(result.out)));
  }
}

/// Kills a capture at a random moment and looks at what it leaves. Answers whether it had come to writing.
bool kill_and_look(std::mt19937& random, const std::vector<std::string>& options) {
  const TemporaryFolder folder;
  std::vector<std::string> words = {IXCAP_COMMAND, "capture", "-q", "-i", "emulator:mix", "-w", folder.file("x")};
  words.insert(words.end(), options.begin(), options.end());
  {
    const Process process(words);
    // Not a wait for something: any moment will do.
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 200'000));
  }
  bool written = false;
  for (const auto& entry : fs::directory_iterator(folder.file(""))) {
    written = true;
    const std::string bytes = read_file(entry.path());
    const auto* const blocks = reinterpret_cast<const std::uint8_t*>(bytes.data());
    const capture::WholeBlocks whole = capture::pcapng::count_whole_blocks(blocks, bytes.size());
    if (entry.path().extension() != ".part") {
      EXPECT_EQ(whole.bytes, bytes.size()) << entry.path() << " is finished";
      EXPECT_EQ(read_capture(entry.path()).frames.size(), whole.frames);
      continue;
    }
    // After the last whole block there is the beginning of one more, no gap.
    if (bytes.size() - whole.bytes < 8) continue;
    std::uint32_t head[2];
    std::memcpy(head, blocks + whole.bytes, sizeof head);
    EXPECT_THAT(head[0], testing::AnyOf(1u, 5u, 6u, 0x0a0d0d0au));
    EXPECT_GT(head[1], bytes.size() - whole.bytes);
  }
  return written;
}

/// A hundred times, and more, with IXCAP_KILLS=100.
TEST(CaptureThatIsKilled, LeavesPerfectFilesAndAReadablePart) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const char* const named = std::getenv("IXCAP_KILLS");
  const int kills = named != nullptr ? std::atoi(named) : 8;
  int written = 0;
  for (int i = 0; i < kills; ++i) {
    const bool plain = i % 3 == 2;
    if (kill_and_look(random, {"-C", "10", "-W", "5", "--io", plain ? "plain" : "auto"})) ++written;
  }
  RecordProperty("written", written);
}

TEST_F(CaptureFilesOnDisk, AFullDiskEndsAFileAndNotTheCapture) {
  if (geteuid() != 0) GTEST_SKIP() << "mounting a small disk takes root";
  const std::string disk = folder.file("disk");
  fs::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=3m") != 0) GTEST_SKIP() << "no tmpfs can be mounted here";
  const Result result =
      run({IXCAP_COMMAND, "capture", "-v", "-i", "emulator:mix?count=20000", "-C", "1", "-w", disk + "/x"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("No space left on device"));
  EXPECT_THAT(result.err, HasSubstr("the capture goes on"));
  EXPECT_THAT(result.err, HasSubstr("lost by the reader"));
  EXPECT_THAT(result.err, HasSubstr("20000  frames on the wire"));
  EXPECT_THAT(result.err, HasSubstr("the sum is right"));
  const std::vector<std::string> files = lines_of(result.out);
  EXPECT_GE(files.size(), 2u);
  EXPECT_THAT(result.err, HasSubstr(captured_line(files)));
  umount(disk.c_str());
}

TEST_F(CaptureFilesOnDisk, BelongToTheUserThatTheCaptureBecomes) {
  if (geteuid() != 0) GTEST_SKIP() << "becoming somebody else takes root";
  const passwd* const nobody = getpwnam("nobody");
  if (nobody == nullptr) GTEST_SKIP() << "there is no user nobody";
  // A folder of its own in one that it cannot even go through.
  fs::create_directory(folder.file("own"));
  ASSERT_EQ(chown(folder.file("own").c_str(), nobody->pw_uid, nobody->pw_gid), 0);
  ASSERT_EQ(chmod(folder.file("").c_str(), 0700), 0);
  const Result result = run({IXCAP_COMMAND, "capture", "-v", "-i", "emulator:mix?count=20000", "-C", "1", "-Z",
                             "nobody", "-w", folder.file("own/x")});
  EXPECT_EQ(result.status, 0) << result.err;
  const std::vector<std::string> files = lines_of(result.out);
  EXPECT_GT(files.size(), 5u);
  EXPECT_EQ(frames_in(files), 20'000u);
  for (const std::string& file : files) {
    struct stat status = {};
    EXPECT_EQ(stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, nobody->pw_uid);
  }
  EXPECT_EQ(capture({"-i", "emulator:mix?count=1", "-Z", "nobody"}).status, 1) << "not a folder of its own";
  EXPECT_EQ(capture({"-i", "emulator:mix?count=1", "-Z", "no such user"}).status, 1);
}

TEST_F(CaptureFilesOnDisk, NonsenseIsRefusedWithOneLine) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"-C", "much"},
                                             {"-C", "0"},
                                             {"-C", "1t"},
                                             {"--keep-free", "1g,perhaps"},
                                             {"--keep-free", "x"},
                                             {"--time-stamp-precision", "micro"}}) {
    std::vector<std::string> all = {"-i", "emulator:mix?count=1"};
    all.insert(all.end(), words.begin(), words.end());
    const Result result = capture(all);
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(lines_of(result.err), SizeIs(1)) << result.err;
    EXPECT_FALSE(fs::exists(out));
  }
  EXPECT_EQ(run({IXCAP_COMMAND, "capture", "-i", "emulator:mix?count=1", "-C", "1", "-w", "-"}).status, 1);
}

}  // namespace
}  // namespace ixcap::test
