// `ixcap emulate` serves software 82599s that another process captures from as from a card, to the frame.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <thread>

#include <ixcap/driver/pci/file_descriptor.hpp>

#include "tests/process.hpp"
#include "tests/tools/capture_files.hpp"

namespace ixcap::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

/// Waits until a process has said `words`, or has ended.
void wait_for_words(const Process& process, const std::string& words) {
  while (process.running() && process.err().find(words) == std::string::npos) std::this_thread::yield();
}

/// Sends lines to a control socket; answers what comes back, as many lines.
std::string control(const std::string& path, const std::string& lines) {
  const pci::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  // The file is there a moment before anybody listens.
  while (::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno != ECONNREFUSED) return "no socket";
    std::this_thread::yield();
  }
  if (::send(socket.number(), lines.data(), lines.size(), MSG_NOSIGNAL) < 0) return "not sent";
  std::string answers;
  std::array<char, 4096> bytes;
  while (std::ranges::count(answers, '\n') < std::ranges::count(lines, '\n')) {
    const ssize_t count = ::recv(socket.number(), bytes.data(), bytes.size(), 0);
    if (count <= 0) break;
    answers.append(bytes.data(), static_cast<std::size_t>(count));
  }
  return answers;
}

Result capture_from(const std::string& socket, const std::string& output, const std::string& count) {
  return run({IXCAP_COMMAND, "capture", "-v", "-i", "vfio-user:" + socket, "-c", count, "-w", output});
}

TEST(Emulate, ServesTheFramesOfAFile) {
  const TemporaryFolder folder;
  write_traffic(folder.file("sent.pcap"), "mix?count=2000&seed=3");
  Process server(
      {IXCAP_COMMAND, "emulate", "--socket", folder.file("nic.sock"), "--traffic", folder.file("sent.pcap")});
  wait_for_words(server, "is at vfio-user:");
  const Result result = capture_from(folder.file("nic.sock"), folder.file("out.pcapng"), "2000");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("2000 packets captured"));
  EXPECT_EQ(read_capture(folder.file("out.pcapng")).frames, read_capture(folder.file("sent.pcap")).frames);
  server.send(SIGTERM);
  const Result served = server.wait();
  EXPECT_EQ(served.status, 0);
  EXPECT_THAT(served.err, HasSubstr("nic.sock: a client has come"));
  EXPECT_THAT(served.err, HasSubstr("nic.sock: 2000 frames on the wire, 2000 delivered"));
  EXPECT_FALSE(std::filesystem::exists(folder.file("nic.sock")));
}

TEST(Emulate, CarriesTheTrafficMixToAnotherProcessToTheFrame) {
  const TemporaryFolder folder;
  const std::string mix = "mix?count=20000&seed=5";
  write_traffic(folder.file("sent.pcap"), mix);
  Process server({IXCAP_COMMAND, "emulate", "--socket", folder.file("nic.sock"), "--traffic", mix});
  wait_for_words(server, "is at vfio-user:");
  const Result result = capture_from(folder.file("nic.sock"), folder.file("out.pcapng"), "20000");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("20000 packets captured\n20000 packets received by filter\n0 packets dropped"));
  EXPECT_THAT(result.err, HasSubstr("the sum is right"));
  const std::vector<CapturedFrame> sent = read_capture(folder.file("sent.pcap")).frames;
  EXPECT_EQ(read_capture(folder.file("out.pcapng")).frames, sent);
  std::size_t bytes = 0;
  for (const CapturedFrame& frame : sent) bytes += frame.wire_length;
  server.send(SIGTERM);
  EXPECT_THAT(server.wait().err, AllOf(HasSubstr("nic.sock: 20000 frames on the wire, 20000 delivered, 0 missed, "
                                                 "0 without a descriptor, 0 DMA faults"),
                                       HasSubstr("receive queue 0: 20000 frames, " +
                                                 std::to_string(bytes + 4 * sent.size()) + " bytes with FCS")));
}

TEST(Emulate, ServesSeveralCardsAndOneClientAfterTheOther) {
  const TemporaryFolder folder;
  const std::vector<std::string> sockets{folder.file("a.sock"), folder.file("b.sock")};
  Process server({IXCAP_COMMAND, "emulate", "--socket", sockets[0], "--socket", sockets[1], "--traffic", "mix"});
  for (const std::string& socket : sockets) wait_for_words(server, "is at vfio-user:" + socket);
  for (const std::string& socket : {sockets[0], sockets[1], sockets[0]}) {
    const Result result = capture_from(socket, folder.file("out.pcapng"), "500");
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("500 packets captured"));
  }
  server.send(SIGINT);
  EXPECT_EQ(server.wait().status, 0);
}

/// A capture whose server ends in mid-stream by this signal says so, and keeps what it has.
void end_under_a_capture(int signal_number) {
  const TemporaryFolder folder;
  Process server({IXCAP_COMMAND, "emulate", "-q", "--socket", folder.file("nic.sock"), "--traffic", "mix?rate=1G"});
  while (server.running() && !std::filesystem::exists(folder.file("nic.sock"))) std::this_thread::yield();
  Process capture(
      {IXCAP_COMMAND, "capture", "-U", "-i", "vfio-user:" + folder.file("nic.sock"), "-w", folder.file("out.pcapng")});
  const auto size = [&] {
    std::error_code absent;
    const auto bytes = std::filesystem::file_size(folder.file("out.pcapng.part"), absent);
    return absent ? 0 : bytes;
  };
  while (capture.running() && size() < 100'000) std::this_thread::yield();
  server.send(signal_number);
  EXPECT_THAT(server.wait().err, IsEmpty());
  const Result result = capture.wait();
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("its server is gone"));
  EXPECT_GT(read_capture(folder.file("out.pcapng")).frames.size(), 100u);
}

TEST(Emulate, LeavesACaptureWithWhatItHasWhenItEnds) {
  end_under_a_capture(SIGTERM);
}

TEST(Emulate, LeavesACaptureWithWhatItHasWhenItIsKilled) {
  end_under_a_capture(SIGKILL);
}

TEST(Emulate, MakesFaultsHappenFromTheStart) {
  const TemporaryFolder folder;
  Process server({IXCAP_COMMAND, "emulate", "--socket", folder.file("nic.sock"), "--traffic", "mix?count=2000&seed=3",
                  "--fault", "crc-errors=0.25,seed=9"});
  wait_for_words(server, "is at vfio-user:");
  const Result result = capture_from(folder.file("nic.sock"), folder.file("out.pcapng"), "1000");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("rejected by the MAC"));
  EXPECT_THAT(result.err, HasSubstr("the sum is right"));
  server.send(SIGTERM);
  EXPECT_EQ(server.wait().status, 0);
}

TEST(Emulate, TakesCommandsWhileItServes) {
  const TemporaryFolder folder;
  const std::string path = folder.file("control");
  Process server({IXCAP_COMMAND, "emulate", "--socket", folder.file("a.sock"), "--socket", folder.file("b.sock"),
                  "--traffic", "mix", "--control", path});
  while (server.running() && !std::filesystem::exists(path)) std::this_thread::yield();
  EXPECT_EQ(control(path, "1 fault crc-errors=0.5\n1 fault runts=0.25\n0 fault seed=3\n"),
            "ok crc-errors=0.5\nok crc-errors=0.5,runts=0.25\nok seed=3\n");
  EXPECT_EQ(control(path, "fault link-flap=1s\n"),
            "ok 0: link-flap=1s,seed=3; 1: crc-errors=0.5,runts=0.25,link-flap=1s\n");
  EXPECT_EQ(control(path, "fault none\n"), "ok 0: none; 1: none\n");
  EXPECT_EQ(control(path, "link down\r\n 0  link up\n1 module sr\nmodule copper\n"), "ok\nok\nok\nok\n");
  EXPECT_THAT(control(path, "0 statistics\n"), HasSubstr("ok frames=0 bytes=0 rejected=0"));
  EXPECT_THAT(control(path, "2 statistics\n"), HasSubstr("error: there is no NIC 2; the last is 1"));
  EXPECT_THAT(control(path, "link sideways\n"), HasSubstr("error: link is up or down"));
  EXPECT_THAT(control(path, "module qsfp\n"), HasSubstr("error: module is copper, sr, lr or none"));
  EXPECT_THAT(control(path, "fault crc-errors=7\n"), HasSubstr("error: cannot use faults 'crc-errors=7'"));
  EXPECT_THAT(control(path, "\n"), HasSubstr("error: there is no command ''"));
  EXPECT_EQ(control(path, std::string(10'000, 'x') + "\n"), "") << "nobody writes such lines";
  EXPECT_EQ(control(path, "fault none\n"), "ok 0: none; 1: none\n") << "and others go on";
  server.send(SIGTERM);
  EXPECT_EQ(server.wait().status, 0);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Emulate, ACaptureSaysThatItsCardWasPulledOut) {
  const TemporaryFolder folder;
  const std::string path = folder.file("control");
  Process server(
      {IXCAP_COMMAND, "emulate", "--socket", folder.file("nic.sock"), "--traffic", "mix", "--control", path});
  while (server.running() && !std::filesystem::exists(path)) std::this_thread::yield();
  EXPECT_EQ(control(path, "link down\n"), "ok\n");
  EXPECT_EQ(control(path, "link up\n"), "ok\n");
  EXPECT_EQ(capture_from(folder.file("nic.sock"), folder.file("out.pcapng"), "500").status, 0);
  EXPECT_EQ(control(path, "fault remove\n"), "ok remove=on\n");
  const Result gone = capture_from(folder.file("nic.sock"), folder.file("out.pcapng"), "500");
  EXPECT_EQ(gone.status, 1);
  EXPECT_EQ(control(path, "fault none\n"), "ok none\n");
  EXPECT_EQ(capture_from(folder.file("nic.sock"), folder.file("out.pcapng"), "500").status, 0) << "put back";
  server.send(SIGTERM);
  EXPECT_EQ(server.wait().status, 0);
}

TEST(Emulate, RecordsWhatComesOverTheWire) {
  const TemporaryFolder folder;
  write_traffic(folder.file("sent.pcap"), "mix?count=700&seed=4");
  Process server({IXCAP_COMMAND, "emulate", "--socket", folder.file("nic.sock"), "--traffic", folder.file("sent.pcap"),
                  "--record", folder.file("wire.pcapng")});
  wait_for_words(server, "is at vfio-user:");
  const Result result = capture_from(folder.file("nic.sock"), folder.file("out.pcapng"), "700");
  EXPECT_EQ(result.status, 0) << result.err;
  server.send(SIGTERM);
  EXPECT_EQ(server.wait().status, 0);
  EXPECT_EQ(read_capture(folder.file("wire.pcapng")).frames, read_capture(folder.file("sent.pcap")).frames);
}

TEST(Emulate, SaysWhenARecordingCannotGoOn) {
  const TemporaryFolder folder;
  Process server(
      {IXCAP_COMMAND, "emulate", "--socket", folder.file("nic.sock"), "--traffic", "mix", "--record", "/dev/full"});
  wait_for_words(server, "is at vfio-user:");
  capture_from(folder.file("nic.sock"), folder.file("out.pcapng"), "20000");
  wait_for_words(server, "/dev/full");
  server.send(SIGTERM);
  EXPECT_EQ(server.wait().status, 1);
}

TEST(Emulate, RefusesWhatItCannotServe) {
  const TemporaryFolder folder;
  EXPECT_THAT(run({IXCAP_COMMAND, "emulate"}).err, HasSubstr("--socket"));
  const Result nowhere = run({IXCAP_COMMAND, "emulate", "--socket", folder.file("none/nic.sock")});
  EXPECT_EQ(nowhere.status, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("cannot serve a device at"));
  const Result traffic =
      run({IXCAP_COMMAND, "emulate", "--socket", folder.file("nic.sock"), "--traffic", folder.file("none.pcap")});
  EXPECT_EQ(traffic.status, 1);
  EXPECT_THAT(traffic.err, HasSubstr("none.pcap"));
  const std::string socket = folder.file("nic.sock");
  const Result cable = run({IXCAP_COMMAND, "emulate", "--socket", socket, "--cable"});
  EXPECT_EQ(cable.status, 1);
  EXPECT_THAT(cable.err, HasSubstr("give --socket twice"));
  const Result taps = run({IXCAP_COMMAND, "emulate", "--socket", socket, "--tap", "a", "--tap", "b"});
  EXPECT_EQ(taps.status, 1);
  EXPECT_THAT(taps.err, HasSubstr("more TAP interfaces than NICs"));
  const Result fault = run({IXCAP_COMMAND, "emulate", "--socket", socket, "--fault", "crc=1"});
  EXPECT_EQ(fault.status, 1);
  EXPECT_THAT(fault.err, HasSubstr("there is no fault 'crc'"));
  const Result control = run({IXCAP_COMMAND, "emulate", "--socket", socket, "--control", folder.file("none/control")});
  EXPECT_EQ(control.status, 1);
  EXPECT_THAT(control.err, HasSubstr("none/control"));
  const std::string file = folder.file("wire.pcapng");
  const Result records = run({IXCAP_COMMAND, "emulate", "--socket", socket, "--record", file, "--record", file});
  EXPECT_EQ(records.status, 1);
  EXPECT_THAT(records.err, HasSubstr("more files than NICs"));
  const Result name = run({IXCAP_COMMAND, "emulate", "--socket", socket, "--tap", "../nic"});
  EXPECT_EQ(name.status, 1);
  EXPECT_THAT(name.err, HasSubstr("../nic"));
}

}  // namespace
}  // namespace ixcap::test
