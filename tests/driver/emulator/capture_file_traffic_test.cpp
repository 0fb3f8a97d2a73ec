// Every capture file is replayed frame for frame, or refused, or ended with a reason; never trusted.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/driver/emulator/traffic.hpp>

#include "tests/files.hpp"

namespace ixcap::emulator {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Record {
  std::uint32_t wire_length;
  std::string bytes;
};

/// A record of `length` bytes that begin with `number` and end with 0xee.
Record record(std::size_t length, char number = 1) {
  std::string bytes(length, static_cast<char>(0xee));
  if (length > 0) bytes[0] = number;
  return {static_cast<std::uint32_t>(length), bytes};
}

std::string word(std::uint32_t value, bool big_endian = false, int bytes = 4) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * (big_endian ? bytes - 1 - i : i));
  return text;
}

std::string pcap_header(std::uint32_t snapshot = 65535, std::uint32_t link_type = DLT_EN10MB) {
  return word(0xa1b2c3d4) + word(0x00040002) + word(0) + word(0) + word(snapshot) + word(link_type);
}

std::string pcap_record(std::uint32_t captured, std::uint32_t wire, std::string_view bytes) {
  return word(1) + word(2) + word(captured) + word(wire) + std::string(bytes);
}

/// One section, one interface of `link_type`, two frames of 60 and 64 bytes.
std::string pcapng(bool big, std::uint32_t link_type = DLT_EN10MB) {
  const auto block = [big](std::uint32_t type, std::string body) {
    body.resize((body.size() + 3) / 4 * 4);
    const std::string length = word(static_cast<std::uint32_t>(body.size() + 12), big);
    return word(type, big) + length + body + length;
  };
  std::string file =
      block(0x0a0d0d0a, word(0x1a2b3c4d, big) + word(1, big, 2) + word(0, big, 2) + word(~0u) + word(~0u));
  file += block(1, word(link_type, big, 2) + word(0, big, 2) + word(65535, big));
  for (const std::uint32_t length : {60u, 64u}) {
    file += block(
        6, word(0, big) + word(0, big) + word(0, big) + word(length, big) + word(length, big) + record(length).bytes);
  }
  return file;
}

class CaptureFileTraffic : public ::testing::Test {
 protected:
  std::string path(const std::string& name = "x.pcap") const { return folder_.file(name); }

  std::string write(std::string_view contents) const {
    std::ofstream(path(), std::ios::binary) << contents;
    return path();
  }

  std::string write_pcap(const std::vector<Record>& records, int precision = PCAP_TSTAMP_PRECISION_MICRO) const {
    const std::unique_ptr<pcap_t, decltype(&pcap_close)> dead(
        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 262144, static_cast<u_int>(precision)), pcap_close);
    pcap_dumper_t* const dumper = pcap_dump_open(dead.get(), path().c_str());
    for (const Record& each : records) {
      pcap_pkthdr header{};
      header.caplen = static_cast<std::uint32_t>(each.bytes.size());
      header.len = each.wire_length;
      pcap_dump(reinterpret_cast<u_char*>(dumper), &header, reinterpret_cast<const u_char*>(each.bytes.data()));
    }
    pcap_dump_close(dumper);
    return path();
  }

  test::TemporaryFolder folder_;
};

std::unique_ptr<Traffic> open(const std::string& text) {
  return open_traffic(parse_traffic(text));
}

std::string refusal(const std::string& text) {
  try {
    open(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

/// What is left of the traffic, bytes copied.
std::vector<Record> rest(Traffic& traffic) {
  std::vector<Record> records;
  while (const WireFrame* frame = traffic.next()) {
    EXPECT_LE(frame->captured_length, frame->wire_length);
    EXPECT_LE(frame->wire_length, WireFrame::longest);
    records.push_back(
        {frame->wire_length, std::string(reinterpret_cast<const char*>(frame->bytes), frame->captured_length)});
  }
  EXPECT_EQ(traffic.next(), nullptr) << "the end is final";
  return records;
}

std::string firsts(const std::vector<Record>& records) {
  std::string numbers;
  for (const Record& each : records) numbers += each.bytes.at(0);
  return numbers;
}

TEST_F(CaptureFileTraffic, ReplaysBothPrecisionsByteForByte) {
  const std::vector<Record> written{record(60, 'a'), record(1514, 'b'), record(14, 'c'), record(15868, 'd')};
  for (const int precision : {PCAP_TSTAMP_PRECISION_MICRO, PCAP_TSTAMP_PRECISION_NANO}) {
    const auto traffic = open(write_pcap(written, precision));
    const std::vector<Record> read = rest(*traffic);
    ASSERT_EQ(read.size(), written.size());
    for (std::size_t i = 0; i < read.size(); ++i) {
      EXPECT_EQ(read[i].bytes, written[i].bytes);
      EXPECT_EQ(read[i].wire_length, written[i].wire_length) << "short and long frames travel as they are";
    }
    EXPECT_FALSE(traffic->failure());
    EXPECT_EQ(traffic->zero_filled(), 0u);
  }
}

TEST_F(CaptureFileTraffic, ReplaysPcapngOfBothByteOrders) {
  for (const bool big_endian : {false, true}) {
    const auto traffic = open(write(pcapng(big_endian)));
    const std::vector<Record> read = rest(*traffic);
    ASSERT_EQ(read.size(), 2u) << big_endian;
    EXPECT_EQ(read[1].bytes, record(64).bytes);
    EXPECT_FALSE(traffic->failure());
  }
}

TEST_F(CaptureFileTraffic, RefusesWhatIsNoCaptureFile) {
  EXPECT_THAT(refusal(path("missing")), HasSubstr("missing': No such file or directory; give the path"));
  EXPECT_THAT(refusal(folder_.file(".")), HasSubstr("Is a directory"));
  EXPECT_THAT(refusal(write("")), HasSubstr("the file is empty"));
  EXPECT_THAT(refusal(write("#!/bin/sh\necho this is no capture\n")), HasSubstr("unknown file format"));
  EXPECT_THAT(refusal(write("\xd4\xc3")), HasSubstr("truncated"));
  EXPECT_THAT(refusal(write(std::string(4096, '\xff'))), HasSubstr("cannot open capture file"));
}

TEST_F(CaptureFileTraffic, RefusesOtherLinkTypesByName) {
  EXPECT_THAT(refusal(write(pcap_header(65535, DLT_PPP))),
              HasSubstr("its link type is PPP (PPP), not Ethernet; give a file that was captured on an Ethernet"));
  EXPECT_THAT(refusal(write(pcapng(true, 105))), HasSubstr("IEEE802_11"));
}

TEST_F(CaptureFileTraffic, EndsAtATruncationAndSaysWhere) {
  write_pcap({record(60, 'a'), record(60, 'b'), record(60, 'c')});
  std::filesystem::resize_file(path(), std::filesystem::file_size(path()) - 10);
  const auto traffic = open(path() + "?loop=3");
  EXPECT_EQ(firsts(rest(*traffic)), "ab");
  ASSERT_TRUE(traffic->failure());
  EXPECT_THAT(traffic->failure()->what(), HasSubstr("cannot read frame 3 of capture file '" + path() + "': truncated"));
  EXPECT_THAT(traffic->failure()->mend(), HasSubstr("`tcpdump -r '" + path() + "' -w readable.pcap`"));
}

TEST_F(CaptureFileTraffic, EveryPrefixEndsInOrder) {
  write_pcap({record(60, 'a'), record(70, 'b')});
  std::ifstream stream(path(), std::ios::binary);
  const std::string pcap_file((std::istreambuf_iterator<char>(stream)), {});
  for (const std::string& whole : {pcap_file, pcapng(false), pcapng(true)}) {
    for (std::size_t length = 0; length < whole.size(); ++length) {
      try {
        const auto traffic = open(write(whole.substr(0, length)));
        EXPECT_LT(rest(*traffic).size(), 2u);
      } catch (const Error& error) {
        EXPECT_THAT(error.mend(), ::testing::Not(IsEmpty()));
      }
    }
  }
}

TEST_F(CaptureFileTraffic, BoundsWhatRecordsClaim) {
  const std::string sixty(60, 'x');
  const auto traffic = open(write(pcap_header() + pcap_record(60, 20, sixty) + pcap_record(0, 0, "") +
                                  pcap_record(60, 4'000'000'000, sixty) + pcap_record(0, 60, "") +
                                  pcap_record(4'000'000'000, 4'000'000'000, sixty)));
  const std::vector<Record> read = rest(*traffic);
  ASSERT_EQ(read.size(), 4u);
  EXPECT_EQ(read[0].wire_length, 60u);
  EXPECT_EQ(read[1].wire_length, 0u);
  EXPECT_EQ(read[2].wire_length, WireFrame::longest);
  EXPECT_EQ(read[3].wire_length, 60u);
  EXPECT_EQ(traffic->zero_filled(), 2u);
  ASSERT_TRUE(traffic->failure());
  EXPECT_THAT(traffic->failure()->action(), HasSubstr("frame 5"));
}

TEST_F(CaptureFileTraffic, ABoundlessSnapshotLengthBoundsNothingAway) {
  for (const std::uint32_t snapshot : {0u, 0x7fffffffu, 0xffffffffu}) {
    const auto traffic = open(write(pcap_header(snapshot) + pcap_record(60, 60, std::string(60, 'x')) +
                                    pcap_record(0x7ffffff0, 0x7ffffff0, std::string(600, 'x'))));
    EXPECT_EQ(rest(*traffic).size(), 1u);
    EXPECT_TRUE(traffic->failure());
  }
}

TEST_F(CaptureFileTraffic, CountsTruncatedFramesNotPaddedOnes) {
  Record truncated = record(40, 'a');
  truncated.wire_length = 1514;
  write_pcap({truncated, record(42, 'b'), record(100, 'c')});
  const auto traffic = open(path() + "?pad=60&loop=2");
  const std::vector<Record> read = rest(*traffic);
  ASSERT_EQ(read.size(), 6u);
  EXPECT_EQ(read[3].wire_length, 1514u);
  EXPECT_EQ(read[4].wire_length, 60u);
  EXPECT_EQ(read[4].bytes, record(42, 'b').bytes) << "the rest is zeros by contract, none are stored";
  EXPECT_EQ(read[5].wire_length, 100u);
  EXPECT_EQ(traffic->zero_filled(), 2u);
}

TEST_F(CaptureFileTraffic, LoopsAndCounts) {
  write_pcap({record(60, 'a'), record(60, 'b'), record(60, 'c')});
  EXPECT_EQ(firsts(rest(*open(path() + "?loop=3"))), "abcabcabc");
  EXPECT_EQ(firsts(rest(*open(path() + "?count=2"))), "ab");
  EXPECT_EQ(firsts(rest(*open(path() + "?loop=0&count=7"))), "abcabca");
  EXPECT_EQ(firsts(rest(*open(path() + "?loop=2&count=100"))), "abcabc");
}

TEST_F(CaptureFileTraffic, LoopsOverFilesTooLargeToKeep) {
  const std::vector<Record> large(100, record(15868));
  const auto traffic = open(write_pcap(large) + "?loop=3");
  EXPECT_EQ(rest(*traffic).size(), 300u);
  EXPECT_FALSE(traffic->failure());

  const auto vanishing = open(path() + "?loop=3");
  ASSERT_NE(vanishing->next(), nullptr);
  std::filesystem::remove(path());
  EXPECT_EQ(rest(*vanishing).size(), 99u);
  ASSERT_TRUE(vanishing->failure());
  EXPECT_THAT(vanishing->failure()->what(), HasSubstr("No such file"));
}

TEST_F(CaptureFileTraffic, AFileWithoutFramesEndsEvenWhenLoopedForEver) {
  const auto traffic = open(write(pcap_header()) + "?loop=0");
  EXPECT_THAT(rest(*traffic), IsEmpty());
  EXPECT_FALSE(traffic->failure());
}

TEST_F(CaptureFileTraffic, ReadsAPipeOnceOnly) {
  const std::string fifo = path("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const std::string contents = pcap_header() + pcap_record(60, 60, record(60, 'a').bytes);
  const auto feed = [&] { std::ofstream(fifo, std::ios::binary) << contents; };
  {
    std::jthread writer(feed);
    EXPECT_EQ(firsts(rest(*open(fifo))), "a");
  }
  std::jthread writer(feed);
  EXPECT_THAT(refusal(fifo + "?loop=2"), HasSubstr("it can be read only once, and loop= asks for more"));
}

TEST_F(CaptureFileTraffic, ReadsStandardInput) {
  write_pcap({record(60, 'a'), record(60, 'b')});
  const int saved = ::dup(STDIN_FILENO);
  ASSERT_NE(std::freopen(path().c_str(), "r", stdin), nullptr);
  EXPECT_EQ(firsts(rest(*open("-"))), "ab");
  EXPECT_THAT(refusal("-?loop=2"), HasSubstr("cannot"));
  ::dup2(saved, STDIN_FILENO);
  ::close(saved);
}

TEST(RealCaptures, AreReplayedWhollyOrRefusedForTheirLinkType) {
  const std::vector<std::string> files = test::real_captures();
  if (files.empty()) GTEST_SKIP() << "IXCAP_CAPTURES names no folder of capture files";
  for (const std::string& path : files) {
    char reason[PCAP_ERRBUF_SIZE] = "";
    const std::unique_ptr<pcap_t, decltype(&pcap_close)> oracle(pcap_open_offline(path.c_str(), reason), pcap_close);
    ASSERT_NE(oracle, nullptr) << path << reason;
    if (pcap_datalink(oracle.get()) != DLT_EN10MB) {
      EXPECT_THAT(refusal(path), HasSubstr("its link type is "));
      continue;
    }
    const auto traffic = open(path);
    pcap_pkthdr* header = nullptr;
    const u_char* bytes = nullptr;
    while (pcap_next_ex(oracle.get(), &header, &bytes) == 1) {
      const WireFrame* const frame = traffic->next();
      ASSERT_NE(frame, nullptr) << path;
      ASSERT_EQ(frame->captured_length, header->caplen) << path;
      EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(frame->bytes), frame->captured_length),
                std::string_view(reinterpret_cast<const char*>(bytes), header->caplen));
    }
    EXPECT_EQ(traffic->next(), nullptr) << path;
  }
}

TEST_F(CaptureFileTraffic, TellsWhenEachFrameWasRecordedAndWhereTheFileBegins) {
  const std::string frame(60, 'x');
  const std::string second = word(5) + word(999'999) + word(60) + word(60) + frame;
  const std::string any_stamp = word(0xFFFFFFFF) + word(0xFFFFFFFF) + word(60) + word(60) + frame;
  write(pcap_header() + pcap_record(60, 60, frame) + second + any_stamp);
  const auto traffic = open(path() + "?loop=3");
  for (int pass = 0; pass < 3; ++pass) {
    const WireFrame* next = traffic->next();
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(next->recorded_ns, 1'000'002'000u);
    EXPECT_TRUE(next->starts_file) << pass;
    next = traffic->next();
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(next->recorded_ns, 5'999'999'000u);
    EXPECT_FALSE(next->starts_file);
    ASSERT_NE(traffic->next(), nullptr) << "whatever it says";
  }
  EXPECT_EQ(traffic->next(), nullptr);
  const auto mix = open("mix?count=1");
  EXPECT_EQ(mix->next()->recorded_ns, 0u);
}

}  // namespace
}  // namespace ixcap::emulator
