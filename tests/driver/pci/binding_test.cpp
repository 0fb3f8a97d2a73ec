// A card changes hands and comes back as it was, whatever happens on the way: refusals change nothing, a step that
// fails undoes the others, and from every step at which the process dies or the power goes, the next unbind mends it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include <ixcap/driver/pci/binding.hpp>

#include "tests/driver/pci/fake_machine.hpp"

namespace ixcap::pci {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* port_0 = "0000:03:00.0";
constexpr const char* port_1 = "0000:03:00.1";

class Binding : public testing::Test {
 protected:
  void SetUp() override {
    machine.add({});
    machine.add({.address = port_1, .interface = "enp3s0f1"});
    machine.restore("enp3s0f0", {.name = "enp3s0f0",
                                 .mtu = 9000,
                                 .mac = "02:00:00:00:00:07",
                                 .up = true,
                                 .addresses = {"192.0.2.2/24", "2001:db8::2/64"}});
  }
  /// All that is to come back.
  std::vector<std::string> state() const {
    std::vector<std::string> lines;
    for (const char* address : {port_0, port_1}) {
      lines.push_back(machine.driver_of(address));
      lines.push_back(machine.get("sys/bus/pci/devices/" + std::string(address) + "/driver_override"));
      const auto network = machine.network(machine.interface_of(address));
      if (!network) continue;
      lines.insert(lines.end(),
                   {network->name, std::to_string(network->mtu), network->mac, network->up ? "up" : "down"});
      lines.insert(lines.end(), network->addresses.begin(), network->addresses.end());
    }
    return lines;
  }
  JournalFolder journals() const { return JournalFolder(machine.roots().state); }
  Hands hands(const char* address = port_0) const {
    return hands_of(machine, find_function(address, machine.roots().sysfs).value());
  }
  std::string refusal(const std::function<void()>& act) const {
    try {
      act();
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }
  std::string bind_refusal(const BindOptions& options = {}) {
    return refusal([&] { bind(machine, port_0, options); });
  }

  test::FakeMachine machine;
};

TEST_F(Binding, TakesTheGroupAndGivesItBackAsItWas) {
  const auto before = state();
  const Bound bound = bind(machine, port_0, {.user = 1000});
  EXPECT_EQ(bound.group, 7u);
  EXPECT_THAT(bound.functions, ElementsAre(port_0, port_1));
  EXPECT_EQ(machine.driver_of(port_0), "vfio-pci");
  EXPECT_EQ(machine.driver_of(port_1), "vfio-pci");
  EXPECT_THAT(machine.loaded, ElementsAre("vfio-pci", "vfio_iommu_type1"));
  EXPECT_EQ(machine.owners.at(7), 1000u);
  EXPECT_EQ(hands(), Hands::bound);
  EXPECT_EQ(why_not_open(machine, port_0), std::nullopt);

  const auto given_back = give_back(machine, port_1);
  ASSERT_EQ(given_back.size(), 2u);
  EXPECT_EQ(given_back[0].driver, "ixgbe");
  EXPECT_EQ(given_back[0].network_interface, "enp3s0f0");
  EXPECT_EQ(given_back[1].network_interface, "enp3s0f1");
  EXPECT_EQ(state(), before);
  EXPECT_EQ(hands(), Hands::kernel);
  EXPECT_THAT(journals().addresses(), IsEmpty());
}

TEST_F(Binding, WaitsUntilTheInterfaceIsBack) {
  const auto before = state();
  bind(machine, port_0, {});
  machine.delay_interfaces(5);
  give_back(machine, port_0);
  EXPECT_EQ(state(), before);
}

TEST_F(Binding, AnInterfaceThatNeverComesIsAnErrorAndTheJournalStays) {
  bind(machine, port_0, {});
  machine.delay_interfaces(100 * patience_pauses);
  EXPECT_THAT(refusal([&] { give_back(machine, port_0); }), HasSubstr("makes no network interface"));
  EXPECT_EQ(hands(), Hands::interrupted);
}

TEST_F(Binding, BindingAgainChangesNothing) {
  bind(machine, port_0, {});
  const auto journal = journals().read(port_0);
  EXPECT_THAT(bind(machine, port_1, {.user = 5}).functions, IsEmpty());
  EXPECT_EQ(journals().read(port_0), journal);
  EXPECT_EQ(machine.owners.at(7), 5u);
}

TEST_F(Binding, GivingBackTwiceChangesNothing) {
  const auto before = state();
  bind(machine, port_0, {});
  give_back(machine, port_0);
  EXPECT_THAT(give_back(machine, port_0), IsEmpty());
  EXPECT_EQ(state(), before);
}

TEST_F(Binding, RefusesWhatIsNotThere) {
  EXPECT_THAT(refusal([&] { bind(machine, "0000:04:00.0", {}); }),
              HasSubstr("'0000:04:00.0': there is no PCI device at this address"));
  EXPECT_THAT(refusal([&] { give_back(machine, "0000:04:00.0"); }), HasSubstr("there is no PCI device"));
}

TEST_F(Binding, RefusesTheCardOfTheDefaultRoute) {
  const auto before = state();
  machine.default_routes = {"enp3s0f1"};  // the other port goes, too
  EXPECT_EQ(
      bind_refusal(),
      "will not take the card '0000:03:00.0': the default route leaves through its network interface enp3s0f1; take "
      "another card; if it may be lost: ixcap bind 0000:03:00.0 --force");
  EXPECT_EQ(state(), before);
  EXPECT_THAT(journals().addresses(), IsEmpty());
  EXPECT_EQ(bind_refusal({.force = true}), "");
  machine.default_routes = {};
  give_back(machine, port_0);
  EXPECT_EQ(state(), before);
}

TEST_F(Binding, RefusesTheCardUnderABridgeOrAVlan) {
  machine.put("sys/class/net/enp3s0f0/upper_br0/ifindex", "9");
  EXPECT_THAT(bind_refusal(), HasSubstr("br0 is built upon its network interface enp3s0f0"));
  machine.put("sys/class/net/br0/upper_vlan5/ifindex", "10");
  machine.default_routes = {"vlan5"};
  EXPECT_THAT(bind_refusal(), HasSubstr("the default route leaves through its network interface vlan5"));
  EXPECT_EQ(bind_refusal({.force = true}), "");
}

TEST_F(Binding, RefusesAGroupThatIsSharedWithAForeignDevice) {
  machine.add({.address = "0000:04:00.0",
               .driver = "ahci",
               .interface = "",
               .vendor = "0x8086",
               .device = "0x2922",
               .class_code = "0x010601"});
  EXPECT_THAT(bind_refusal(), AllOf(HasSubstr("its IOMMU group 7 has '0000:04:00.0', too, which the driver ahci uses"),
                                    HasSubstr("put the card into another slot")));
  EXPECT_EQ(machine.driver_of("0000:04:00.0"), "ahci");
  EXPECT_EQ(bind_refusal({.force = true}), "");
  EXPECT_EQ(machine.driver_of("0000:04:00.0"), "vfio-pci");
  give_back(machine, port_0);
  EXPECT_EQ(machine.driver_of("0000:04:00.0"), "ahci");
}

TEST_F(Binding, LeavesBridgesAndDevicesWithoutDriverInTheGroupAlone) {
  machine.add(
      {.address = "0000:00:02.0", .driver = "pcieport", .interface = "", .device = "0x0001", .class_code = "0x060400"});
  machine.add({.address = "0000:04:00.0", .driver = "", .interface = "", .device = "0x2922", .class_code = "0x010601"});
  EXPECT_THAT(bind(machine, port_0, {.force = true}).functions, ElementsAre(port_0, port_1));
  EXPECT_EQ(machine.driver_of("0000:00:02.0"), "pcieport");
  EXPECT_EQ(machine.driver_of("0000:04:00.0"), "");
}

TEST_F(Binding, RefusesACardThatIsSplit) {
  machine.put("sys/bus/pci/devices/0000:03:00.0/sriov_numvfs", "4");
  EXPECT_THAT(bind_refusal(), AllOf(HasSubstr("it is split into 4 virtual functions"), HasSubstr("echo 0 > ")));
}

TEST_F(Binding, WithoutAnIommuItSaysHowToTurnItOn) {
  machine.add({.address = "0000:05:00.0", .interface = "enp5s0", .group = -1});
  const auto why = [&] { return refusal([&] { bind(machine, "0000:05:00.0", {}); }); };
  machine.put("proc/cpuinfo", "vendor_id : GenuineIntel");
  machine.put("proc/cmdline", "BOOT_IMAGE=/vmlinuz quiet");
  EXPECT_THAT(why(), AllOf(HasSubstr("started without intel_iommu=on"), HasSubstr("&intel_iommu=on"),
                           HasSubstr("update-grub")));
  machine.put("proc/cmdline", "BOOT_IMAGE=/vmlinuz intel_iommu=on iommu=off");
  EXPECT_THAT(why(), HasSubstr("started with iommu=off"));
  machine.put("proc/cmdline", "BOOT_IMAGE=/vmlinuz intel_iommu=on,sm_on");
  EXPECT_THAT(why(), HasSubstr("see why: dmesg"));
  machine.put("sys/firmware/acpi/tables/FACP", "");
  EXPECT_THAT(why(), AllOf(HasSubstr("the firmware offers none"), HasSubstr("VT-d")));
  machine.put("proc/cpuinfo", "vendor_id : AuthenticAMD");
  EXPECT_THAT(why(), HasSubstr("AMD-Vi"));
  machine.put("sys/firmware/acpi/tables/IVRS", "");
  EXPECT_THAT(why(), HasSubstr("see why: dmesg"));
  machine.put("proc/cmdline", "amd_iommu=off");
  EXPECT_THAT(why(), HasSubstr("started with amd_iommu=off"));
  fs::remove(machine.path("sys/firmware/acpi/tables/IVRS"));
  machine.put("sys/firmware/acpi/tables/DMAR", "");  // a virtual machine's, on whatever processor
  EXPECT_THAT(why(), HasSubstr("started without intel_iommu=on"));
}

TEST_F(Binding, RefusesToGiveBackWhatAProgramUses) {
  bind(machine, port_0, {});
  machine.busy_for_pauses = 5;
  EXPECT_THAT(refusal([&] { give_back(machine, port_0); }),
              AllOf(HasSubstr("a program uses it"), HasSubstr("fuser -v ")));
  EXPECT_EQ(hands(), Hands::bound);
}

TEST_F(Binding, ALivingHolderGivesBackItselfAndNobodyElse) {
  const auto before = state();
  fs::create_directories(machine.path("proc/4711"));
  const std::string stat = "4711 (ixcap) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99 0";
  machine.put("proc/4711/stat", stat);
  const Holder holder{4711, 99};
  bind(machine, port_0, {.holder = holder});
  EXPECT_EQ(hands(), Hands::lent);
  EXPECT_THAT(refusal([&] { give_back(machine, port_0); }),
              HasSubstr("the capture of process 4711 uses it; end it, and it gives "
                        "the card back: kill 4711"));
  machine.busy_for_pauses = 5;  // its watchdog waits until it is really gone
  give_back(machine, port_0, holder);
  EXPECT_EQ(state(), before);
}

TEST_F(Binding, ADeadHolderLeavesARepair) {
  const auto before = state();
  bind(machine, port_0, {.holder = Holder{4711, 99}});
  EXPECT_EQ(hands(), Hands::interrupted);
  // Bound again, on purpose now, it still knows what to give back.
  EXPECT_THAT(bind(machine, port_0, {}).functions, ElementsAre(port_0, port_1));
  EXPECT_EQ(hands(), Hands::bound);
  give_back(machine, port_0);
  EXPECT_EQ(state(), before);
}

TEST_F(Binding, ADamagedJournalIsNotActedUpon) {
  bind(machine, port_0, {});
  machine.put("state/0000:03:00.0.journal", "garbage");
  EXPECT_EQ(hands(), Hands::damaged);
  EXPECT_THAT(refusal([&] { give_back(machine, port_0); }), HasSubstr("rm "));
  EXPECT_EQ(machine.driver_of(port_0), "vfio-pci");
  fs::remove(machine.path("state/0000:03:00.0.journal"));
  EXPECT_EQ(hands(), Hands::foreign);
  EXPECT_EQ(give_back(machine, port_0).front().driver, "ixgbe");
}

TEST_F(Binding, AnUnboundCardCannotBeOpenedAndThisIsTheCommand) {
  EXPECT_THAT(why_not_open(machine, port_0).value().what(),
              AllOf(HasSubstr("the kernel's driver ixgbe has the card"), HasSubstr("sudo ixcap bind 0000:03:00.0"),
                    HasSubstr("--bind")));
  EXPECT_THAT(why_not_open(machine, "0000:09:00.0").value().what(), HasSubstr("no PCI device"));
}

/// Whatever takes a step away: the kernel refuses it.
TEST_F(Binding, AStepThatFailsUndoesTheOthers) {
  const auto before = state();
  for (unsigned failing = 0;; ++failing) {
    unsigned step = 0;
    machine.before_change = [&](const std::string& what) {
      if (step++ == failing) throw Error("cannot", what, "the test says so", "none");
    };
    const std::string error = bind_refusal({.user = 1});
    machine.before_change = [](const std::string&) {};
    if (error.empty()) {
      EXPECT_GT(failing, 8u);
      break;
    }
    EXPECT_THAT(error, HasSubstr("the test says so"));
    EXPECT_EQ(state(), before) << "step " << failing;
    EXPECT_EQ(hands(), Hands::kernel) << "step " << failing;
  }
}

struct Death {};

class Interrupted : public Binding, public testing::WithParamInterface<bool> {
 protected:
  /// Runs `act`, which dies at change number `last`; whether it did.
  bool dies_at(unsigned last, const std::function<void()>& act) {
    unsigned step = 0;
    machine.before_change = [&](const std::string&) {
      if (step++ == last) throw Death();
    };
    bool died = false;
    try {
      act();
    } catch (const Death&) {
      died = true;
    }
    machine.before_change = [](const std::string&) {};
    return died;
  }
  /// After a power loss the kernel starts anew; a killed process leaves things as they are.
  void come_back() {
    if (GetParam()) machine.reboot();
  }
};

TEST_P(Interrupted, BindIsMendedByUnbind) {
  const auto before = state();
  unsigned last = 0;
  for (;; ++last) {
    if (!dies_at(last, [&] { bind(machine, port_0, {.user = 1}); })) break;
    come_back();
    EXPECT_THAT(hands(), testing::AnyOf(Hands::interrupted, Hands::bound)) << "step " << last;
    give_back(machine, port_0);
    EXPECT_EQ(state(), before) << "step " << last;
    EXPECT_EQ(hands(), Hands::kernel) << "step " << last;
  }
  EXPECT_GT(last, 8u);
}

TEST_P(Interrupted, UnbindIsMendedByUnbind) {
  const auto before = state();
  for (unsigned last = 0;; ++last) {
    bind(machine, port_0, {});
    const bool died = dies_at(last, [&] { give_back(machine, port_0); });
    if (!died) break;
    come_back();
    EXPECT_THAT(hands(), testing::AnyOf(Hands::interrupted, Hands::bound)) << "step " << last;
    give_back(machine, port_0);
    EXPECT_EQ(state(), before) << "step " << last;
  }
  EXPECT_EQ(state(), before);
}

TEST_P(Interrupted, BindIsMendedByBindAndUnbind) {
  const auto before = state();
  for (unsigned last = 0;; ++last) {
    if (!dies_at(last, [&] { bind(machine, port_0, {}); })) break;
    if (GetParam()) break;  // after a power loss, what is there now is what the next bind gives back
    bind(machine, port_0, {});
    give_back(machine, port_0);
    EXPECT_EQ(state(), before) << "step " << last;
  }
}

INSTANTIATE_TEST_SUITE_P(By, Interrupted, testing::Bool(),
                         [](const auto& by) { return by.param ? "PowerLoss" : "Kill"; });

}  // namespace
}  // namespace ixcap::pci
