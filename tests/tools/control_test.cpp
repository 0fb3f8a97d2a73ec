// `ixcap control`: a running capture gets other filters, says so, and loses nothing by it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "tests/process.hpp"
#include "tests/tools/capture_files.hpp"

namespace ixcap::test {
namespace {

using testing::HasSubstr;

class ControlCommand : public testing::Test {
 protected:
  Result control(std::vector<std::string> words) const {
    words.insert(words.begin(), {IXCAP_COMMAND, "control", socket});
    return run(std::move(words));
  }

  void wait_for_the_socket(const Process& capture) const {
    while (!std::filesystem::exists(socket)) {
      ASSERT_TRUE(capture.running()) << capture.err();
      std::this_thread::yield();
    }
  }

  TemporaryFolder folder;
  const std::string socket = folder.file("share.sock");
};

TEST_F(ControlCommand, ChangesARunningCapture) {
  const std::string out = folder.file("out.pcapng");
  Process capture(
      {IXCAP_COMMAND, "capture", "-v", "-i", "emulator:mix?rate=100kpps", "--share", socket, "-w", out, "udp port 53"});
  wait_for_the_socket(capture);
  Result result = control({"filter", "add", "tcp", "port", "443"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "filter 1: tcp port 443\n");
  EXPECT_EQ(control({"filter", "list"}).out, " 0  udp port 53\n 1  tcp port 443\n");
  EXPECT_EQ(control({"filter", "replace", "0", "icmp or arp"}).out, "filter 0: icmp or arp\n");
  EXPECT_EQ(control({"filter", "list", "--json"}).out,
            "[{\"filter\":0,\"expression\":\"icmp or arp\"},{\"filter\":1,\"expression\":\"tcp port 443\"}]\n");
  EXPECT_EQ(control({"filter", "remove", "tcp", "port", "443"}).status, 0);
  EXPECT_EQ(control({"filter", "remove", "0"}).status, 0);
  EXPECT_EQ(control({"filter", "list"}).out, "");
  EXPECT_THAT(control({"statistics"}).out, HasSubstr("frames on the wire"));
  capture.send(SIGINT);
  const Result end = capture.wait();
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_THAT(end.err, HasSubstr("ixcap: filter 1 is added by user "));
  EXPECT_THAT(end.err, HasSubstr(": icmp or arp, which was udp port 53\n"));
  EXPECT_THAT(end.err, HasSubstr("the sum is right"));
}

TEST_F(ControlCommand, RefusesWithOneLine) {
  const auto expect_refusal = [](const Result& result, const std::string& part) {
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.err, HasSubstr(part));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  expect_refusal(control({"filter", "list"}), "start a capture there: ixcap capture --share NAME");
  expect_refusal(control({"colour"}), "there is no such command");
  const Process capture({IXCAP_COMMAND, "capture", "-i", "emulator:mix?rate=1kpps", "--share", socket});
  wait_for_the_socket(capture);
  expect_refusal(control({"filter"}), "add, remove, replace or list");
  expect_refusal(control({"filter", "add"}), "an expression is missing");
  expect_refusal(control({"filter", "replace", "tcp"}), "first comes the number of the filter");
  expect_refusal(control({"filter", "remove", "7"}), "no filter has it");
  expect_refusal(control({"filter", "remove", "udp"}), "no filter has just these words");
  const Result wrong = control({"filter", "add", "tcp prot 80"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("\ntcp prot 80\n    ^\n"));
}

}  // namespace
}  // namespace ixcap::test
