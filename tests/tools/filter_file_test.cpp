// `ixcap filter -r FILE`: every engine counts what tcpdump finds; and what the command says about engines.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include <ixcap/filter/engines.hpp>

#include "tests/process.hpp"
#include "tests/tools/capture_files.hpp"
#include "tools/disassembly.hpp"

namespace ixcap::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const std::vector<std::string> expressions = {"",
                                              "tcp",
                                              "udp port 53",
                                              "ip6",
                                              "vlan",
                                              "not ip",
                                              "tcp[tcpflags] & tcp-syn != 0",
                                              "host 10.0.0.1 or net 10.0.0.0/8",
                                              "ip[6:2] & 0x1fff != 0",
                                              "len > 1000",
                                              "greater 100 and not arp"};

bool runs_batches() {
  return std::ranges::any_of(filter::available_engines(), [](filter::EngineKind kind) {
    return kind == filter::EngineKind::avx2 || kind == filter::EngineKind::avx512;
  });
}

/// The names of the engines that this CPU runs, and libpcap.
std::vector<std::string> engines() {
  std::vector<std::string> names = {"libpcap"};
  for (const filter::EngineKind kind : filter::available_engines()) names.emplace_back(filter::name_of(kind));
  if (runs_batches()) names.emplace_back("batch");
  return names;
}

std::uint64_t bytes_of(const std::vector<CapturedFrame>& frames) {
  std::uint64_t bytes = 0;
  for (const CapturedFrame& frame : frames) bytes += frame.wire_length;
  return bytes;
}

/// The line that the command prints for an expression, from what tcpdump finds.
std::string expected_line(const TemporaryFolder& folder, const std::string& path, const std::string& expression) {
  const Result tcpdump = run({"tcpdump", "-Z", "root", "-r", path, "-w", folder.file("found.pcap"), expression});
  EXPECT_EQ(tcpdump.status, 0) << tcpdump.err;
  const std::vector<CapturedFrame> found = read_capture(folder.file("found.pcap")).frames;
  const std::vector<CapturedFrame> all = read_capture(path).frames;
  std::ostringstream line;
  line << found.size() << " of " << all.size() << " frames, " << bytes_of(found) << " of " << bytes_of(all)
       << " bytes: " << (expression.empty() ? "(every frame)" : expression) << '\n';
  return line.str();
}

/// A file of the generated mix, and the real ones with Ethernet frames.
std::vector<std::string> files(const TemporaryFolder& folder) {
  write_traffic(folder.file("mix.pcap"), "mix?count=3000&seed=21");
  std::vector<std::string> paths = {folder.file("mix.pcap")};
  const std::vector<std::string> real = real_captures();
  std::ranges::copy_if(real, std::back_inserter(paths),
                       [](const std::string& path) { return read_capture(path).link_type == DLT_EN10MB; });
  return paths;
}

TEST(FilterFile, CountsWhatTcpdumpFindsOnEveryEngine) {
  if (!on_path("tcpdump")) GTEST_SKIP() << "tcpdump is not installed";
  const TemporaryFolder folder;
  for (const std::string& path : files(folder)) {
    SCOPED_TRACE(path);
    std::string expected;
    std::vector<std::string> words = {IXCAP_COMMAND, "filter", "-r", path};
    for (const std::string& expression : expressions) {
      expected += expected_line(folder, path, expression);
      words.insert(words.end(), {"-e", expression});
    }
    words.insert(words.end(), {"--engine", ""});
    for (const std::string& engine : engines()) {
      words.back() = engine;
      const Result result = run(words);
      EXPECT_EQ(result.status, 0) << result.err;
      EXPECT_EQ(result.out, expected) << engine;
      EXPECT_THAT(result.err, engine == "batch" ? StartsWith("ixcap: filter engine avx")
                                                : StartsWith("ixcap: filter engine " + engine + "\n"));
    }
  }
}

TEST(FilterFile, ReadsStandardInput) {
  const TemporaryFolder folder;
  write_traffic(folder.file("mix.pcap"), "mix?count=100");
  EXPECT_EQ(output_of("cat " + folder.file("mix.pcap") + " | " IXCAP_COMMAND " filter -r - tcp 2>/dev/null"),
            run({IXCAP_COMMAND, "filter", "-r", folder.file("mix.pcap"), "tcp"}).out);
}

TEST(FilterFile, MayHoldTruncatedFramesOrNone) {
  const TemporaryFolder folder;
  write_capture(folder.file("short.pcap"), {{std::vector<std::uint8_t>(10, 1), 100}, {{}, 60}});
  EXPECT_EQ(run({IXCAP_COMMAND, "filter", "-r", folder.file("short.pcap"), "-e", "len = 60", "-e", "ip"}).out,
            "1 of 2 frames, 60 of 160 bytes: len = 60\n0 of 2 frames, 0 of 160 bytes: ip\n");
  write_capture(folder.file("none.pcap"), {});
  EXPECT_EQ(run({IXCAP_COMMAND, "filter", "-r", folder.file("none.pcap"), "ip"}).out,
            "0 of 0 frames, 0 of 0 bytes: ip\n");
  EXPECT_THAT(run({IXCAP_COMMAND, "filter", "--cost", "-r", folder.file("none.pcap"), "ip"}).err,
              HasSubstr("it holds no frame"));
}

TEST(FilterFile, CountsUnderVlanTagsIfAskedTo) {
  const TemporaryFolder folder;
  CapturedFrame arp{std::vector<std::uint8_t>(60), 60};
  arp.bytes[12] = 0x08;
  arp.bytes[13] = 0x06;
  CapturedFrame tagged = arp;
  tagged.bytes.insert(tagged.bytes.begin() + 12, {0x81, 0x00, 0x00, 0x05});
  tagged.wire_length = 64;
  write_capture(folder.file("arp.pcap"), {arp, tagged});
  const std::string path = folder.file("arp.pcap");
  for (const std::string& engine : engines()) {
    EXPECT_THAT(run({IXCAP_COMMAND, "filter", "-r", path, "--engine", engine, "arp"}).out, StartsWith("1 of 2 frames"));
    EXPECT_THAT(run({IXCAP_COMMAND, "filter", "-r", path, "--engine", engine, "--vlan-aware", "arp"}).out,
                StartsWith("2 of 2 frames"));
  }
  const Result capture = run({IXCAP_COMMAND, "capture", "-q", "-i", "emulator:" + path, "--vlan-aware", "-w",
                              folder.file("out.pcapng"), "arp"});
  EXPECT_EQ(capture.status, 0) << capture.err;
  EXPECT_EQ(read_capture(folder.file("out.pcapng")).frames, (std::vector{arp, tagged}));
}

TEST(FilterFile, IsRefusedIfItIsNone) {
  const TemporaryFolder folder;
  const Result missing = run({IXCAP_COMMAND, "filter", "-r", folder.file("absent.pcap"), "ip"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.out, IsEmpty());
  EXPECT_THAT(missing.err, StartsWith("ixcap: cannot open capture file"));
  EXPECT_EQ(run({IXCAP_COMMAND, "filter", "-r", "", "ip"}).status, 1);
  write_capture(folder.file("other.pcap"), {}, DLT_PPP);
  const Result other = run({IXCAP_COMMAND, "filter", "-r", folder.file("other.pcap"), "ip"});
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.err, HasSubstr("not Ethernet"));
}

TEST(FilterFile, ThatIsDamagedIsSaidToBe) {
  const TemporaryFolder folder;
  write_traffic(folder.file("mix.pcap"), "mix?count=100");
  std::filesystem::resize_file(folder.file("mix.pcap"), std::filesystem::file_size(folder.file("mix.pcap")) - 1);
  for (const std::string option : {"--vlan-aware", "--cost"}) {
    const Result result = run({IXCAP_COMMAND, "filter", "-r", folder.file("mix.pcap"), option, "ip"});
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, HasSubstr("cannot read frame 100 of capture file"));
  }
}

TEST(FilterCost, MeasuresEveryEngineAgainstLibpcap) {
  const TemporaryFolder folder;
  write_traffic(folder.file("mix.pcap"), "mix?count=1000");
  const Result result = run({IXCAP_COMMAND, "filter", "--cost", "-r", folder.file("mix.pcap"), "-e", "tcp", "ip6"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("1000 frames of"), HasSubstr("2 expressions")));
  std::istringstream lines(result.out);
  std::string header;
  std::getline(lines, header);
  EXPECT_EQ(header, "engine        ns/packet  speed of libpcap");
  std::vector<std::string> measured;
  std::string engine, speed;
  double ns = 0;
  while (lines >> engine >> ns >> speed) {
    EXPECT_GT(ns, 0) << engine;
    EXPECT_EQ(speed.back(), 'x');
    EXPECT_TRUE(engine != "libpcap" || speed == "1.00x") << speed;
    measured.push_back(engine);
  }
  std::vector<std::string> expected = engines();
  std::erase(expected, "batch");
  EXPECT_EQ(measured, expected);
}

TEST(FilterEngine, IsRefusedIfThereIsNoneOfThatName) {
  const Result result = run({IXCAP_COMMAND, "filter", "--explain", "--engine", "turbo", "ip"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("'turbo': there is none of that name"), HasSubstr("interpreter"), HasSubstr("libpcap")));
}

TEST(FilterEngine, IsRefusedIfTheCpuDoesNotRunIt) {
  const std::vector<std::string> here = engines();
  for (const std::string engine : {"scalar", "avx2", "avx512", "batch"}) {
    if (std::ranges::find(here, engine) != here.end()) continue;
    const Result result = run({IXCAP_COMMAND, "filter", "--explain", "--engine", engine, "ip"});
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, HasSubstr("'" + engine + "': this CPU does not run it; take one of: interpreter"));
  }
}

TEST(FilterEngine, IsTheBestThatTheEnvironmentAllows) {
  const std::string best(filter::name_of(filter::available_engines().back()));
  const auto unset = [] { ::unsetenv("IXCAP_SIMD"); };
  EXPECT_THAT(run({IXCAP_COMMAND, "filter", "--explain", "ip"}, unset).out, HasSubstr("\nengine: " + best + ", "));
  const auto wrong = [] { ::setenv("IXCAP_SIMD", "sse", 1); };
  EXPECT_THAT(run({IXCAP_COMMAND, "filter", "--explain", "ip"}, wrong).err, HasSubstr("'IXCAP_SIMD=sse'"));
  EXPECT_EQ(run({IXCAP_COMMAND, "filter", "--explain", "--engine", "interpreter", "ip"}, wrong).status, 0);
}

TEST(FilterEngine, IsOnlyForWhatRunsOne) {
  for (const std::string flag : {"-O", "-d"}) {
    const Result result = run({IXCAP_COMMAND, "filter", flag, "--engine", "interpreter", "ip"});
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.err, HasSubstr("--engine requires -r, --explain or --jit"));
  }
}

TEST(FilterNativeCode, IsDisassembledWithItsSource) {
  for (const std::string& engine : engines()) {
    const Result result = run({IXCAP_COMMAND, "filter", "--jit", "--engine", engine, "tcp port 80"});
    if (engine == "libpcap" || engine == "interpreter") {
      EXPECT_EQ(result.status, 1);
      EXPECT_THAT(result.err, HasSubstr("'" + engine + "': it has none"));
    } else if (!tools::can_disassemble()) {
      EXPECT_EQ(result.status, 1);
      EXPECT_THAT(result.err, HasSubstr("libzydis-dev"));
    } else {
      EXPECT_EQ(result.status, 0) << result.err;
      EXPECT_THAT(result.out, AllOf(StartsWith("00000000  "), HasSubstr("ret"), HasSubstr("; ")));
    }
  }
}

}  // namespace
}  // namespace ixcap::test
