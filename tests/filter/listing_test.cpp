// The three listings are byte for byte those of tcpdump -d, -dd and -ddd: on text kept here, and on tcpdump itself
// where it is installed.

#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <string>

#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/listing.hpp>

#include "tests/filter/samples.hpp"
#include "tests/process.hpp"

namespace ixcap::filter {
namespace {

TEST(Listing, PrintsAssembly) {
  EXPECT_EQ(list(compile("ip"), Listing::assembly),
            "(000) ldh      [12]\n"
            "(001) jeq      #0x800           jt 2\tjf 3\n"
            "(002) ret      #262144\n"
            "(003) ret      #0\n");
  EXPECT_EQ(list(compile("tcp[tcpflags] & tcp-syn != 0"), Listing::assembly),
            "(000) ldh      [12]\n"
            "(001) jeq      #0x800           jt 2\tjf 10\n"
            "(002) ldb      [23]\n"
            "(003) jeq      #0x6             jt 4\tjf 10\n"
            "(004) ldh      [20]\n"
            "(005) jset     #0x1fff          jt 10\tjf 6\n"
            "(006) ldxb     4*([14]&0xf)\n"
            "(007) ldb      [x + 27]\n"
            "(008) jset     #0x2             jt 9\tjf 10\n"
            "(009) ret      #262144\n"
            "(010) ret      #0\n");
}

TEST(Listing, PrintsCArrays) {
  EXPECT_EQ(list(compile("ip"), Listing::c),
            "{ 0x28, 0, 0, 0x0000000c },\n"
            "{ 0x15, 0, 1, 0x00000800 },\n"
            "{ 0x6, 0, 0, 0x00040000 },\n"
            "{ 0x6, 0, 0, 0x00000000 },\n");
}

TEST(Listing, PrintsDecimals) {
  EXPECT_EQ(list(compile("ip"), Listing::decimal), "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n");
  EXPECT_EQ(list(compile("", 0xffffffff), Listing::decimal), "1\n6 0 0 4294967295\n");
}

TEST(Listing, NamesTheCodeOfAnUnknownInstruction) {
  EXPECT_EQ(image({0x27, 0, 0, 0}, 12), "(012) unimp    0x27");
}

TEST(Listing, PrintsWhatTcpdumpPrints) {
  if (!test::on_path("tcpdump")) GTEST_SKIP() << "tcpdump is not on PATH";
  if (test::output_of("tcpdump --version").find(pcap_lib_version()) == std::string::npos) {
    GTEST_SKIP() << "tcpdump uses another libpcap";
  }
  // Three processes for each: every fifth expression will do.
  for (std::size_t i = 1; i < sample_expressions().size(); i += 5) {
    const std::string_view expression = sample_expressions()[i];
    const Program program = compile(expression);
    const auto tcpdump = [&](const std::string& flag) {
      return test::output_of("tcpdump -y EN10MB " + flag + " -- '" + std::string(expression) + "' 2>/dev/null");
    };
    EXPECT_EQ(list(program, Listing::assembly), tcpdump("-d")) << expression;
    EXPECT_EQ(list(program, Listing::c), tcpdump("-dd")) << expression;
    EXPECT_EQ(list(program, Listing::decimal), tcpdump("-ddd")) << expression;
  }
}

}  // namespace
}  // namespace ixcap::filter
