// An interface's name opens the right device, and a name that is none says which there are.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include <ixcap/capture/interface.hpp>
#include <ixcap/driver/emulator/vfio_user_server.hpp>

#include "tests/driver/memory_function.hpp"
#include "tests/files.hpp"

namespace ixcap::capture {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& name) {
  try {
    const Interface interface(name);
    return "opened";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(name));
    return error.what();
  }
}

TEST(Interface, OpensTheSoftwareNic) {
  for (const char* name : {"emulator", "emulator:mix", "emulator:", "emulator:mix?count=5&size=64"}) {
    Interface interface(name);
    EXPECT_EQ(interface.device().identity().vendor, 0x8086) << name;
    EXPECT_FALSE(interface.ended());
    EXPECT_TRUE(interface.wire_counts().has_value());
  }
}

TEST(Interface, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(refusal("no-such-interface"), HasSubstr("there is no such interface"));
  EXPECT_THAT(refusal("emulato"), HasSubstr("give emulator"));
  EXPECT_THAT(refusal("emulator?count=5"), HasSubstr("give emulator:mix?count=5"));
  EXPECT_THAT(refusal(""), HasSubstr("there is no such interface"));
  EXPECT_THAT(refusal("lo"), HasSubstr("that is a network interface of the kernel"));
}

TEST(Interface, TakesTheAddressOfACardWithOrWithoutItsDomain) {
  // No machine has so many buses in use.
  EXPECT_THAT(refusal("0000:fe:1f.7"), HasSubstr("there is no PCI device"));
  EXPECT_THAT(refusal("fe:1f.7"), HasSubstr("there is no PCI device"));
  EXPECT_THAT([] { const Interface interface("FE:1F.7"); }, testing::ThrowsMessage<Error>(HasSubstr("0000:fe:1f.7")));
  for (const char* name : {"fe:1f.8", "fe:1g.7", "fe-1f.7", "0000:fe:1f:7", ":fe:1f.7"}) {
    EXPECT_THAT(refusal(name), HasSubstr("there is no such interface")) << name;
  }
}

TEST(Interface, OpensWhatAnotherProcessServes) {
  const test::TemporaryFolder folder;
  const std::string name = "vfio-user:" + folder.file("nic.sock");
  EXPECT_THAT([&] { const Interface absent(name); },
              testing::ThrowsMessage<Error>(HasSubstr("ixcap emulate --socket")));
  emulator::Nic nic(nullptr, {}, emulator::Drive::threaded);
  std::optional<emulator::VfioUserServer> server(std::in_place, nic, folder.file("nic.sock"));
  Interface interface(name);
  EXPECT_EQ(interface.device().identity().vendor, 0x8086);
  EXPECT_FALSE(interface.ended());
  EXPECT_FALSE(interface.failure().has_value());
  EXPECT_FALSE(interface.wire_counts().has_value()) << "only the server knows";
  server.reset();
  EXPECT_EQ(interface.device().read(0), 0xffffffffu);
  EXPECT_TRUE(interface.ended());
  ASSERT_TRUE(interface.failure().has_value());
  EXPECT_THAT(interface.failure()->what(), HasSubstr("its server is gone"));
}

TEST(Interface, CapturesFromAnotherProcessOnlyIfItServesAn82599) {
  const test::TemporaryFolder folder;
  test::MemoryFunction function;
  constexpr std::uint8_t another_device[] = {0x34, 0x12};
  function.write_config(2, another_device);
  const emulator::VfioUserServer server(function, folder.file("nic.sock"));
  EXPECT_THAT(refusal("vfio-user:" + folder.file("nic.sock")), HasSubstr("it is no 82599"));
}

}  // namespace
}  // namespace ixcap::capture
