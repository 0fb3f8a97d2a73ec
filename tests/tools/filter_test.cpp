// `ixcap filter` prints what tcpdump prints.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/process.hpp"

namespace ixcap::test {
namespace {

using testing::EndsWith;

TEST(FilterCommand, PrintsWhatTcpdumpPrints) {
  if (!on_path("tcpdump")) GTEST_SKIP() << "tcpdump is not installed";
  for (const std::string expression :
       {"", "tcp", "udp port 53", "ip6", "vlan", "tcp[tcpflags] & tcp-syn != 0", "host 8.8.8.8 or net 10.0.0.0/8",
        "ip[6:2] & 0x1fff != 0", "len > 1000", "vlan 5 and tcp port 80", "ether host 00:11:22:33:44:55"}) {
    for (const std::string flag : {"-d", "-dd", "-ddd"}) {
      SCOPED_TRACE(flag + " " + expression);
      const Result theirs = run({"tcpdump", "-y", "EN10MB", flag, expression});
      ASSERT_EQ(theirs.status, 0) << theirs.err;
      const Result ours = run({IXCAP_COMMAND, "filter", flag, expression});
      EXPECT_EQ(ours.status, 0) << ours.err;
      EXPECT_EQ(ours.out, theirs.out);
    }
  }
}

TEST(FilterCommand, TakesTheExpressionInOneWordOrMany) {
  EXPECT_EQ(run({IXCAP_COMMAND, "filter", "tcp", "port", "80"}).out, run({IXCAP_COMMAND, "filter", "tcp port 80"}).out);
}

TEST(FilterCommand, ShowsWhereABadExpressionIsWrong) {
  const Result result = run({IXCAP_COMMAND, "filter", "-d", "udp and port 99999"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, EndsWith("\nudp and port 99999\n             ^\n"));
}

TEST(FilterCommand, ShowsSeveralProgramsEachUnderItsExpression) {
  const std::string ip = run({IXCAP_COMMAND, "filter", "ip"}).out;
  const std::string tcp = run({IXCAP_COMMAND, "filter", "tcp"}).out;
  const std::string udp = run({IXCAP_COMMAND, "filter", "udp port 53"}).out;
  EXPECT_EQ(run({IXCAP_COMMAND, "filter", "-e", "tcp", "udp", "port", "53", "--expression", "ip"}).out,
            "# tcp\n" + tcp + "# ip\n" + ip + "# udp port 53\n" + udp);
  EXPECT_EQ(run({IXCAP_COMMAND, "filter", "-e", "tcp"}).out, tcp);
  EXPECT_THAT(run({IXCAP_COMMAND, "filter", "-dd", "-e", "ip", "-e", "tcp"}).out,
              testing::AllOf(testing::StartsWith("// ip\n{ 0x28"), testing::HasSubstr("},\n// tcp\n{ 0x28")));
  EXPECT_EQ(run({IXCAP_COMMAND, "filter", "-ddd", "-e", "ip", "-e", "tcp"}).out,
            run({IXCAP_COMMAND, "filter", "-ddd", "ip"}).out + run({IXCAP_COMMAND, "filter", "-ddd", "tcp"}).out);
}

TEST(FilterCommand, TakesAtMostSixtyFourExpressions) {
  std::vector<std::string> words = {IXCAP_COMMAND, "filter"};
  for (int count = 0; count < 64; ++count) words.insert(words.end(), {"-e", "ip"});
  EXPECT_EQ(run(words).status, 0);
  words.emplace_back("tcp");
  const Result result = run(words);
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, testing::HasSubstr("there are 65, more than 64"));
}

TEST(FilterCommand, PointsIntoTheExpressionThatIsWrong) {
  const Result result = run({IXCAP_COMMAND, "filter", "-e", "tcp", "-e", "tcp prot 80", "udp"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.out, testing::IsEmpty());
  EXPECT_THAT(result.err, EndsWith("\ntcp prot 80\n    ^\n"));
}

TEST(FilterCommand, LooksBehindVlanTagsIfAskedTo) {
  const Result aware = run({IXCAP_COMMAND, "filter", "--vlan-aware", "tcp"});
  EXPECT_EQ(aware.status, 0);
  EXPECT_THAT(aware.out, testing::StartsWith("(000) ldh      [12]\n(001) jeq      #0x8100"));
  EXPECT_THAT(aware.out, testing::HasSubstr("ldh      [20]"));
  const Result refused = run({IXCAP_COMMAND, "filter", "--vlan-aware", "udp or vlan 5"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, EndsWith("\nudp or vlan 5\n       ^\n"));
}

TEST(FilterCommand, ExplainsWhatIsGoingToBeRun) {
  const std::string out = run({IXCAP_COMMAND, "filter", "--explain", "-e", "ip", "tcp port 80"}).out;
  EXPECT_THAT(out, testing::StartsWith("expression 0: ip\n4 instructions\n(000) ldh      [12]\n"));
  EXPECT_THAT(out, testing::HasSubstr("\nexpression 1: tcp port 80\n20 instructions\n"));
  EXPECT_THAT(out, testing::HasSubstr("\nVLAN tags: a tagged frame is one of type 0x8100"));
  EXPECT_THAT(out, testing::HasSubstr("\nengine: "));
  EXPECT_THAT(out, testing::HasSubstr("\n\nscalar, one frame at a time: fields of up to 8 bytes\n"
                                      "  program 0: node 1; without branches if length >= 14\n"));
  EXPECT_THAT(out, testing::ContainsRegex("\n  node +2: \\[12:2\\] = 0x800 .* \\? accept : reject\n"));
  EXPECT_THAT(run({IXCAP_COMMAND, "filter", "--explain", "--vlan-aware", "ip"}).out,
              testing::HasSubstr("\nVLAN tags: looked through"));
  EXPECT_THAT(run({IXCAP_COMMAND, "filter", "--explain", "--engine", "libpcap", "ip"}).out,
              testing::HasSubstr("\nengine: libpcap, without native code\n"));
}

TEST(FilterCommand, RefusesOptionsThatContradict) {
  const std::vector<std::vector<std::string>> contradictions = {{"-d", "--jit"},
                                                                {"-dd", "--explain"},
                                                                {"-d", "-r", "x.pcap"},
                                                                {"--jit", "--explain"},
                                                                {"--jit", "-r", "x.pcap"},
                                                                {"--explain", "-r", "x.pcap"},
                                                                {"--cost"},
                                                                {"--cost", "-r", "x.pcap", "--engine", "interpreter"}};
  for (const std::vector<std::string>& options : contradictions) {
    std::vector<std::string> words = {IXCAP_COMMAND, "filter"};
    words.insert(words.end(), options.begin(), options.end());
    const Result result = run(words);
    EXPECT_EQ(result.status, 1) << testing::PrintToString(options);
    EXPECT_THAT(result.out, testing::IsEmpty());
    EXPECT_THAT(result.err, EndsWith("see 'ixcap filter --help'\n"));
  }
}

TEST(FilterCommand, FailsIfItsOutputCannotBeWritten) {
  EXPECT_EQ(output_of(IXCAP_COMMAND " filter ip >/dev/full; echo $?"),
            "ixcap: cannot write 'standard output': No space left on device; make room where it goes, and try again\n"
            "1\n");
}

TEST(FilterCommand, KeepsTheDefaultLengthForASnapshotLengthOfZero) {
  EXPECT_EQ(run({IXCAP_COMMAND, "filter", "-s", "0", "ip"}).out, run({IXCAP_COMMAND, "filter", "ip"}).out);
}

TEST(DevicesCommand, ListsTheSoftwareNicEverywhere) {
  const Result table = run({IXCAP_COMMAND, "devices"});
  EXPECT_EQ(table.status, 0);
  EXPECT_THAT(table.out, testing::HasSubstr("emulator"));
  const Result json = run({IXCAP_COMMAND, "devices", "--json"});
  EXPECT_THAT(json.out, testing::StartsWith("[\n  {\"interface\":\"emulator\""));
}

}  // namespace
}  // namespace ixcap::test
