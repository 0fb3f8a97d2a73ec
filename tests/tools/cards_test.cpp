// The commands that deal with cards, where there is none or no right to one: each refusal is one line that helps, and
// nothing is changed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tests/process.hpp"

namespace ixcap::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr const char* nowhere = "ffff:1f:1f.7";  // where no machine has a device

void expect_refusal(const Result& result, const std::string& words) {
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_THAT(result.err, AllOf(StartsWith("ixcap: "), HasSubstr(words)));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

/// A device of this machine that is no 82599; empty if there is none.
std::string other_device() {
  std::error_code absent;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/bus/pci/devices", absent)) {
    const std::string device = read_file(entry.path() / "device");
    if (read_file(entry.path() / "vendor") != "0x8086\n" || !device.starts_with("0x15")) {
      if (device != "0x10fb\n") return entry.path().filename().string();
    }
  }
  return "";
}

TEST(Cards, WhatIsNoAddressIsRefused) {
  for (const char* command : {"bind", "unbind", "doctor"}) {
    expect_refusal(run({IXCAP_COMMAND, command, "3:0"}), "that is no PCI address");
    expect_refusal(run({IXCAP_COMMAND, command, "../../etc/passwd"}), "that is no PCI address");
    expect_refusal(run({IXCAP_COMMAND, command, "lo"}), "that is no PCI address");
    expect_refusal(run({IXCAP_COMMAND, command, "0000:03:00.0", "more"}), "more");
  }
  expect_refusal(run({IXCAP_COMMAND, "bind"}), "ADDRESS");
  expect_refusal(run({IXCAP_COMMAND, "unbind"}), "ADDRESS");
}

TEST(Cards, WhatIsNotThereIsRefused) {
  expect_refusal(run({IXCAP_COMMAND, "bind", nowhere}), "there is no PCI device at this address");
  for (const char* user : {"", "no-such-user"})
    expect_refusal(run({IXCAP_COMMAND, "bind", "--user", user, nowhere}), "there is no such user");
  expect_refusal(run({IXCAP_COMMAND, "doctor", nowhere}), "there is no PCI device at this address");
  expect_refusal(run({IXCAP_COMMAND, "capture", "-i", nowhere, "-w", "/dev/null"}), "there is no PCI device");
  expect_refusal(run({IXCAP_COMMAND, "capture", "--bind", "-i", nowhere, "-w", "/dev/null"}), "there is no PCI device");
  expect_refusal(run({IXCAP_COMMAND, "capture", "--bind", "-i", "emulator", "-w", "/dev/null"}),
                 "that is no PCI address");
}

TEST(Cards, WhatIsNo82599IsLeftAlone) {
  const std::string other = other_device();
  if (other.empty()) GTEST_SKIP() << "this machine has no PCI device";
  expect_refusal(run({IXCAP_COMMAND, "bind", other}), "it is no 82599");
  expect_refusal(run({IXCAP_COMMAND, "doctor", other}), "it is no 82599");
  expect_refusal(run({IXCAP_COMMAND, "capture", "--bind", "-i", other, "-w", "/dev/null"}), "it is no 82599");
}

TEST(Cards, OnlyRootChangesDrivers) {
  const auto as_nobody = [] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(126);
  };
  const Result result = run({IXCAP_COMMAND, "unbind", nowhere}, as_nobody);
  if (result.status == 127) GTEST_SKIP() << "the command lies where only root may run it";
  expect_refusal(result, "sudo ixcap unbind ffff:1f:1f.7");
}

TEST(Cards, WithoutACardTheDoctorSaysWhatWorksWithoutOne) {
  const Result result = run({IXCAP_COMMAND, "doctor"});
  if (result.out.find("0000:") != std::string::npos) GTEST_SKIP() << "this machine has an 82599";
  expect_refusal(result, "'ixcap capture -i emulator' needs no card");
  const Result json = run({IXCAP_COMMAND, "doctor", "--json"});
  EXPECT_EQ(json.status, 1);
  EXPECT_EQ(json.out, "[\n]\n");
}

}  // namespace
}  // namespace ixcap::test
