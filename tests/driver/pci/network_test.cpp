// The kernel's network interfaces are read without rights, and set up where a test may have a network of its own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/network.hpp>

namespace ixcap::pci {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(Network, TheLoopbackHasItsAddress) {
  EXPECT_THAT(interface_addresses("lo", false), Contains("127.0.0.1/8"));
  EXPECT_FALSE(holds_default_route("lo"));
}

TEST(Network, AnInterfaceThatIsNotThereHasNothing) {
  EXPECT_THAT(interface_addresses("no-such-one", false), IsEmpty());
  EXPECT_FALSE(holds_default_route("no-such-one"));
  EXPECT_THROW(restore_interface("no-such-one", {.name = "other", .mtu = 1500, .mac = "", .up = true, .addresses = {}}),
               Error);
}

/// Runs `act` in a process with a network of its own, as root there. Answers 0 if it says true, 77 if there is no such
/// network to be had.
int in_own_network(const std::function<bool()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    const uid_t user = ::getuid();
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) ::_exit(77);
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
    ::_exit(act() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

TEST(Network, AnInterfaceBecomesWhatItWas) {
  const int status = in_own_network([] {
    const NetworkState wanted{
        .name = "uplink", .mtu = 1400, .mac = "", .up = true, .addresses = {"192.0.2.2/24", "2001:db8::2/64"}};
    restore_interface("lo", wanted);
    restore_interface("uplink", wanted);  // what is there already is no error
    const auto lasting = interface_addresses("uplink", true);
    const bool all = std::find(lasting.begin(), lasting.end(), "192.0.2.2/24") != lasting.end() &&
                     std::find(lasting.begin(), lasting.end(), "2001:db8::2/64") != lasting.end();
    return all && interface_addresses("lo", false).empty();
  });
  if (status == 77) GTEST_SKIP() << "no network namespace to be had here";
  EXPECT_EQ(status, 0);
}

TEST(Network, ADefaultRouteIsSeenInAnyTable) {
  // ip(8) makes the routes; where it is missing, the guests of tests/vm still tell.
  const int status = in_own_network([] {
    if (std::system("command -v ip >/dev/null") != 0) ::_exit(77);
    const bool made = std::system("ip link set lo up && ip address add 192.0.2.2/24 dev lo") == 0;
    const bool before = holds_default_route("lo");
    const bool routed = std::system("ip route add default via 192.0.2.1 dev lo table 77") == 0;
    return made && !before && routed && holds_default_route("lo");
  });
  if (status == 77) GTEST_SKIP() << "no network namespace, or no ip command, to be had here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace ixcap::pci
