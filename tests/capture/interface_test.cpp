// An interface's name opens the right device, and a name that is none says which there are.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ixcap/capture/interface.hpp>

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
  EXPECT_THAT(refusal("eth0"), HasSubstr("there is no such interface"));
  EXPECT_THAT(refusal("emulato"), HasSubstr("give emulator"));
  EXPECT_THAT(refusal(""), HasSubstr("there is no such interface"));
}

TEST(Interface, SaysWhichDevicesItCannotDrive) {
  EXPECT_THAT(refusal("0000:03:00.0"), HasSubstr("software NIC only"));
  EXPECT_THAT(refusal("03:00.1"), HasSubstr("software NIC only"));
  EXPECT_THAT(refusal("vfio-user:/run/nic.sock"), HasSubstr("software NIC only"));
}

}  // namespace
}  // namespace ixcap::capture
