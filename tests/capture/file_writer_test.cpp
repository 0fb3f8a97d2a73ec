// Whatever goes wrong while a file is written, it ends with a whole block, and the count of frames in it is true.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/capture/file_writer.hpp>
#include <ixcap/capture/pcapng.hpp>

#include "tests/files.hpp"

namespace ixcap::capture {
namespace {

using testing::HasSubstr;

std::vector<std::uint8_t> contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Accepts one frame; its length follows from its number.
void write_frame(FileWriter& writer, std::uint64_t number) {
  const std::vector<std::uint8_t> frame(60 + number % 1000, static_cast<std::uint8_t>(number));
  const auto length = static_cast<std::uint32_t>(frame.size());
  const pcapng::EnhancedPacket packet = {number, frame.data(), length, length, pcapng::Reception::unknown, 0, 0, {}};
  const std::size_t block_length = pcapng::enhanced_packet_length(packet);
  pcapng::put_enhanced_packet(writer.reserve(block_length), packet, block_length);
  writer.commit(block_length, 1);
}

// Writes frames until the writer throws, and returns what it threw.
Error write_until_error(FileWriter& writer) {
  for (std::uint64_t i = 0; i < 1'000'000; ++i) {
    try {
      write_frame(writer, i);
    } catch (const Error& error) {
      EXPECT_EQ(writer.frames_accepted(), i);
      return error;
    }
  }
  throw std::runtime_error("a million frames and no error");
}

void expect_whole(const std::string& path, std::uint64_t frames, std::uint64_t bytes) {
  const std::vector<std::uint8_t> file = contents(path);
  const pcapng::WholeBlocks whole = pcapng::count_whole_blocks(file.data(), file.size());
  EXPECT_EQ(whole.bytes, file.size());
  EXPECT_EQ(whole.bytes, bytes);
  EXPECT_EQ(whole.frames, frames);
}

// Puts a descriptor in standard output's place as long as it lives.
class StandardOutput {
 public:
  explicit StandardOutput(int descriptor) : saved_(::dup(STDOUT_FILENO)) {
    std::fflush(stdout);
    ::dup2(descriptor, STDOUT_FILENO);
    ::close(descriptor);
  }
  ~StandardOutput() {
    ::dup2(saved_, STDOUT_FILENO);
    ::close(saved_);
  }
  StandardOutput(const StandardOutput&) = delete;
  StandardOutput& operator=(const StandardOutput&) = delete;

 private:
  int saved_;
};

class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_ = {};
};

TEST(FileWriter, WritesWholeBlocksAndCountsThem) {
  const test::TemporaryFolder folder;
  FileWriter writer(folder.file("x.pcapng"), {.buffer_bytes = 5000});
  for (std::uint64_t i = 0; i < 3000; ++i) write_frame(writer, i);
  EXPECT_LT(writer.frames_written(), 3000u);
  writer.flush();
  EXPECT_EQ(writer.frames_written(), 3000u);
  expect_whole(folder.file("x.pcapng"), 3000, writer.bytes_written());
  write_frame(writer, 3000);
  writer.close();
  writer.close();
  expect_whole(folder.file("x.pcapng"), 3001, writer.bytes_written());
}

TEST(FileWriter, TakesABlockThatIsLongerThanItsBuffer) {
  const test::TemporaryFolder folder;
  FileWriter writer(folder.file("x.pcapng"), {.buffer_bytes = 100});
  for (std::uint64_t i = 0; i < 2000; ++i) write_frame(writer, i);
  writer.close();
  expect_whole(folder.file("x.pcapng"), 2000, writer.bytes_written());
}

TEST(FileWriter, ClosesTheFileWhenItGoes) {
  const test::TemporaryFolder folder;
  {
    FileWriter writer(folder.file("x.pcapng"));
    write_frame(writer, 0);
  }
  expect_whole(folder.file("x.pcapng"), 1, std::filesystem::file_size(folder.file("x.pcapng")));
}

TEST(FileWriter, RefusesAPathItCannotWriteAndSaysWhatToDo) {
  const test::TemporaryFolder folder;
  try {
    FileWriter writer(folder.file("none/x.pcapng"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.subject(), folder.file("none/x.pcapng"));
    EXPECT_EQ(error.mend(), "create its directory (mkdir -p)");
  }
  try {
    FileWriter writer(folder.file(""));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.mend(), "give the path of a file in it");
  }
}

void expect_readable_when_full(const FileWriterOptions& options) {
  constexpr rlim_t limit = 1'000'003;  // within a block, and within a buffer
  const test::TemporaryFolder folder;
  const FileSizeLimit full(limit);
  FileWriter writer(folder.file("x.pcapng"), options);
  SCOPED_TRACE(writer.describe());
  const Error error = write_until_error(writer);
  EXPECT_GT(writer.bytes_written(), limit - 1200);  // everything up to the last block that fits
  EXPECT_LT(writer.frames_written(), writer.frames_accepted());
  expect_whole(folder.file("x.pcapng"), writer.frames_written(), writer.bytes_written());
  EXPECT_THAT(error.reason(), HasSubstr(std::to_string(writer.frames_written()) + " frames (" +
                                        std::to_string(writer.bytes_written()) + " bytes) are safely in it, " +
                                        std::to_string(writer.frames_accepted() - writer.frames_written()) + " more"));
  EXPECT_THAT(error.mend(), HasSubstr("ulimit -f"));

  // Nothing is written after a gap, and closing says nothing new.
  EXPECT_THROW(write_frame(writer, 0), Error);
  EXPECT_THROW(writer.flush(), Error);
  EXPECT_NO_THROW(writer.close());
  expect_whole(folder.file("x.pcapng"), writer.frames_written(), writer.bytes_written());
}

TEST(FileWriter, LeavesAReadableFileWhenThereIsNoRoomForMore) {
  expect_readable_when_full({.buffer_bytes = 30'000});
}

// Past the page cache several buffers are on their way when the first of them does not fit.
TEST(FileWriter, LeavesAReadableFileWhenThereIsNoRoomForWhatIsOnItsWay) {
  for (const std::size_t buffer_bytes : {4096, 30'000, 400'000})
    expect_readable_when_full({.buffer_bytes = buffer_bytes, .direct = true});
}

TEST(FileWriter, PastThePageCacheTheFileIsTheSame) {
  const test::TemporaryFolder folder;
  for (const bool direct : {false, true}) {
    FileWriter writer(folder.file(direct ? "direct" : "plain"), {.buffer_bytes = 20'000, .direct = direct});
    for (std::uint64_t i = 0; i < 10'000; ++i) {
      write_frame(writer, i);
      if (i % 1000 == 0) writer.flush();
    }
    writer.close();
    expect_whole(writer.name(), 10'000, writer.bytes_written());
  }
  EXPECT_EQ(contents(folder.file("direct")), contents(folder.file("plain")));
}

TEST(FileWriter, CutsAFileThatStandardOutputAppendsTo) {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("x");
  std::ofstream(path) << std::string(12'345, 'x');
  const FileSizeLimit full(100'003);
  const StandardOutput redirected(::open(path.c_str(), O_WRONLY | O_APPEND));
  FileWriter writer("-", {.buffer_bytes = 30'000});
  write_until_error(writer);
  EXPECT_EQ(std::filesystem::file_size(path), 12'345 + writer.bytes_written());
  EXPECT_GT(writer.frames_written(), 0u);
}

TEST(FileWriter, SaysThatTheDeviceIsFull) {
  FileWriter writer("/dev/full", {.buffer_bytes = 5000});
  const Error error = write_until_error(writer);
  EXPECT_THAT(error.reason(), HasSubstr("No space left on device; 0 frames (0 bytes)"));
  EXPECT_THAT(error.mend(), HasSubstr("free space"));
  EXPECT_EQ(writer.frames_written(), 0u);
}

TEST(FileWriter, ClosingSaysWhatWritingCouldNot) {
  FileWriter writer("/dev/full");
  write_frame(writer, 0);
  EXPECT_THROW(writer.close(), Error);
  EXPECT_EQ(writer.frames_accepted() - writer.frames_written(), 1u);
}

TEST(FileWriter, TurnsAClosedPipeIntoAnErrorAndNoSignal) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  ::close(pipe[0]);
  const StandardOutput redirected(pipe[1]);
  FileWriter writer("-", {.buffer_bytes = 5000});
  const Error error = write_until_error(writer);  // SIGPIPE has its default action: it would end this test
  EXPECT_THAT(std::string(error.what()), HasSubstr("cannot write capture file 'standard output': Broken pipe"));
  sigset_t pending;
  ::sigpending(&pending);
  EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
}

TEST(FileWriter, WaitsForAReaderThatIsSlowerAlsoOnANonBlockingPipe) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  ASSERT_EQ(::fcntl(pipe[1], F_SETFL, O_NONBLOCK), 0);
  std::vector<std::uint8_t> read_bytes;
  std::thread reader([&] {
    std::uint8_t chunk[777];
    for (ssize_t count = 0; (count = ::read(pipe[0], chunk, sizeof chunk)) > 0;)
      read_bytes.insert(read_bytes.end(), chunk, chunk + count);
  });
  std::uint64_t bytes_written = 0;
  {
    const StandardOutput redirected(pipe[1]);
    FileWriter writer("-");
    for (std::uint64_t i = 0; i < 5000; ++i) write_frame(writer, i);
    writer.close();
    bytes_written = writer.bytes_written();
  }
  reader.join();
  ::close(pipe[0]);
  const pcapng::WholeBlocks whole = pcapng::count_whole_blocks(read_bytes.data(), read_bytes.size());
  EXPECT_EQ(whole.bytes, bytes_written);
  EXPECT_EQ(whole.frames, 5000u);
}

TEST(FileWriter, RefusesATerminal) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0) GTEST_SKIP() << "no pseudo-terminal to be had here";
  const StandardOutput redirected(terminal);
  try {
    FileWriter writer("-");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.mend(), HasSubstr("-w - | tshark -r -"));
  }
}

}  // namespace
}  // namespace ixcap::capture
