// Expressions compile to what libpcap compiles them to, and a mistake is pointed at where it was made.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/filter/expression.hpp>

#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ExpressionError mistake_in(const std::string& expression) {
  try {
    compile(expression);
  } catch (const ExpressionError& error) {
    return error;
  }
  ADD_FAILURE() << expression << " compiles";
  return {"", 0, "", ""};
}

// `marker` is the second line of the picture.
void expect_caret(const std::string& expression, const std::string& marker, const std::string& reason) {
  const ExpressionError error = mistake_in(expression);
  EXPECT_EQ(error.picture(), expression + "\n" + marker);
  EXPECT_EQ(error.column(), marker.size() - 1) << expression;
  EXPECT_THAT(error.what(), HasSubstr(reason)) << expression;
  EXPECT_THAT(error.what(), Not(HasSubstr("\n"))) << expression;
}

TEST(Expression, PointsAtTheWordThatTheGrammarDoesNotTake) {
  expect_caret("tcp prot 80", "    ^", "syntax error");
  expect_caret("foo", "^", "syntax error");
  expect_caret("tcp and and udp", "        ^", "syntax error");
  expect_caret("vlan foo", "     ^", "syntax error");
  expect_caret("tcp)", "   ^", "syntax error");
  expect_caret("tcp port 80, 443", "           ^", "syntax error");
  expect_caret("tcp port 80 8080", "            ^", "syntax error");
  expect_caret("ip.src == 10.0.0.1", "^", "syntax error");
  expect_caret("src 10.0.0.1 dst 10.0.0.2", "             ^", "syntax error");
  expect_caret("tcp[tcpflags] & (tcp-syn|tcp-ack != 0", "                                 ^", "syntax error");
  expect_caret("host ::zz or ip", "     ^", "syntax error");
  expect_caret("host 'a'", "     ^", "syntax error");
  expect_caret("ip[6:x] = 0", "     ^", "syntax error");
}

TEST(Expression, PointsPastTheEndOfWhatIsIncomplete) {
  expect_caret("host", "    ^", "syntax error");
  expect_caret("(tcp", "    ^", "syntax error");
  expect_caret("len >", "     ^", "syntax error");
  expect_caret("not port 22 and", "               ^", "syntax error");
  expect_caret("tcp[0]", "      ^", "syntax error");
  expect_caret("ip[0", "    ^", "syntax error");
  expect_caret("not", "   ^", "syntax error");
}

TEST(Expression, PointsAtTheNameThatIsUnknown) {
  expect_caret("tcp port http80", "         ^", "unknown port 'http80'");
  expect_caret("ip proto foo", "         ^", "unknown ip proto 'foo'");
  expect_caret("port foo or host foo", "     ^", "unknown port 'foo'");
  expect_caret("portrange a-b", "          ^", "unknown port in range 'a-b'");
  expect_caret("udp or ether proto foo", "                   ^", "unknown ether proto 'foo'");
}

TEST(Expression, PointsAtTheNumberThatIsOutOfRange) {
  expect_caret("port 99999", "     ^", "illegal port number 99999 > 65535");
  expect_caret("port 80 or 99999", "           ^", "illegal port number 99999 > 65535");
  expect_caret("port 0x1869f", "     ^", "illegal port number 99999 > 65535");
  expect_caret("net 10.0.0.0/33", "             ^", "mask length must be <= 32");
  expect_caret("net 10.0.0.1/8", "    ^", "non-network bits set");
  expect_caret("ip[6:3] = 1", "     ^", "data size must be 1, 2, or 4");
  expect_caret("vlan 5000 and tcp", "     ^", "VLAN tag 5000 greater than maximum 4095");
  expect_caret("ip[0] << 32 = 0", "         ^", "shift by more than 31 bits");
  expect_caret("ip[0]/0=1", "      ^", "division by zero");
  expect_caret("udp or len > 4294967296", "             ^", "number 4294967296 overflows 32 bits");
  expect_caret("ether host 1:2", "           ^", "illegal link layer address");
  expect_caret("host 300.1.1.1", "     ^", "invalid IPv4 address '300.1.1.1'");
}

TEST(Expression, BlamesTheWholeForAContradiction) {
  expect_caret("tcp port 80 and udp", "^", "expression rejects all packets");
  EXPECT_THAT(mistake_in("tcp port 80 and udp").mend(), HasSubstr("conditions"));
}

TEST(Expression, NamesTheWordAndItsColumnInTheMend) {
  EXPECT_THAT(mistake_in("tcp prot 80").mend(), HasSubstr("'prot' in column 5"));
  EXPECT_THAT(mistake_in("host").mend(), HasSubstr("missing at the end"));
}

TEST(Expression, PutsTheCaretUnderTheRightCharacterOfAnyScript) {
  const ExpressionError error = mistake_in("host \xc3\xa9 and and");
  EXPECT_EQ(error.picture(), "host \xc3\xa9 and and\n     ^");
  EXPECT_EQ(ExpressionError("\xc3\xa9 x", 3, "", "").picture(), "\xc3\xa9 x\n  ^");
  EXPECT_EQ(ExpressionError("a\nb\tx", 4, "", "").picture(), "a b x\n    ^");
}

TEST(Expression, RefusesWhatTheVerifierRefuses) {
  expect_caret("ip6 protochain 6", "    ^", "it jumps backwards");
  expect_caret("tcp and inbound", "        ^", "Linux kernel");
}

TEST(Expression, RefusesAnEmbeddedZeroByte) {
  EXPECT_EQ(mistake_in(std::string("ip\0tcp", 6)).column(), 2U);
  EXPECT_EQ(mistake_in(std::string("ip\0tcp", 6)).picture(), "ip tcp\n  ^");
}

TEST(Expression, CompilesToWhatLibpcapCompilesTo) {
  for (const std::string_view expression : sample_expressions()) {
    for (const bool optimize : {true, false}) {
      pcap_t* handle = pcap_open_dead(DLT_EN10MB, 96);
      bpf_program raw = {};
      const std::string text(expression);
      ASSERT_EQ(pcap_compile(handle, &raw, text.c_str(), optimize ? 1 : 0, PCAP_NETMASK_UNKNOWN), 0)
          << text << ": " << pcap_geterr(handle);
      std::vector<Instruction> expected;
      std::for_each_n(raw.bf_insns, raw.bf_len, [&](const bpf_insn& i) {
        expected.push_back({i.code, i.jt, i.jf, i.k});
      });
      EXPECT_TRUE(std::ranges::equal(compile(expression, 96, optimize).instructions(), expected)) << expression;
      pcap_freecode(&raw);
      pcap_close(handle);
    }
  }
}

TEST(Expression, MayBeCompiledByManyThreadsAtOnce) {
  std::vector<std::jthread> threads;
  for (int count = 0; count < 4; ++count) {
    threads.emplace_back([] {
      for (const std::string_view expression : sample_expressions()) compile(expression);
      EXPECT_EQ(mistake_in("tcp prot 80").column(), 4U);
    });
  }
}

}  // namespace
}  // namespace ixcap::filter
