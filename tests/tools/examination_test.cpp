// Each thing that can stand between a card and a capture is made on purpose, on a machine of files; the doctor finds
// that one, and its mend is the command that would help.

#include "tools/examination.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>

#include <ixcap/driver/pci/binding.hpp>

#include "tests/driver/pci/fake_machine.hpp"
#include "tools/sfp.hpp"

namespace ixcap::tools {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr const char* address = "0000:03:00.0";
constexpr const char* device = "sys/bus/pci/devices/0000:03:00.0/";
constexpr const char* pool = "sys/kernel/mm/hugepages/hugepages-2048kB/";

class ExaminationTest : public testing::Test {
 protected:
  void SetUp() override {
    machine.add({});
    machine.put(std::string(pool) + "free_hugepages", "8");
    machine.put(std::string(pool) + "nr_hugepages", "8");
    machine.put("dev/vfio/vfio", "");
    machine.put("dev/vfio/7", "");
  }
  std::vector<Finding> examine() const {
    return tools::examine(machine, pci::find_function(address, machine.roots().sysfs).value(), caller);
  }
  Finding find(const std::string& check) const {
    for (const Finding& finding : examine()) {
      if (finding.check == check) return finding;
    }
    return {};
  }
  static constexpr std::uint64_t mib = std::uint64_t{1} << 20;
  Caller root{.user = 0, .name = "root", .memory = {.unlimited = true}, .cpus = {0, 1}};
  Caller alice{
      .user = 1000, .name = "alice", .memory = {.limit_bytes = 8 * mib, .most_bytes = 8 * mib}, .cpus = {0, 1}};
  Caller caller = root;
  test::FakeMachine machine;
};

TEST_F(ExaminationTest, ChecksInTheOrderOfTheirMending) {
  std::vector<std::string> checks;
  for (const Finding& finding : examine()) checks.push_back(finding.check);
  EXPECT_THAT(checks, ElementsAre("card", "journal", "driver", "iommu", "interrupts", "group", "vfio-pci",
                                  "permissions", "memlock", "huge pages", "numa", "pcie", "module", "link"));
}

TEST_F(ExaminationTest, TheKernelsDriverIsInTheWayAndBindMendsIt) {
  machine.interface_addresses["enp3s0f0"] = {"192.0.2.2/24"};
  const Finding driver = find("driver");
  EXPECT_EQ(driver.verdict, Verdict::fault);
  EXPECT_EQ(driver.finding, "ixgbe, as enp3s0f0 with 192.0.2.2/24");
  EXPECT_EQ(driver.mend, "ixcap bind 0000:03:00.0");
  EXPECT_FALSE(nothing_in_the_way(examine()));
  caller = alice;
  EXPECT_EQ(find("driver").mend, "sudo ixcap bind 0000:03:00.0 --user alice");
  pci::bind(machine, address, {});
  EXPECT_EQ(find("driver").verdict, Verdict::ok);
  caller = root;
  EXPECT_TRUE(nothing_in_the_way(examine()));
}

TEST_F(ExaminationTest, TheDefaultRouteIsSaid) {
  machine.default_routes = {"enp3s0f0"};
  EXPECT_THAT(find("driver").finding, HasSubstr("the default route leaves through its network interface enp3s0f0"));
  EXPECT_EQ(find("driver").mend, "take another card; if it may be lost: ixcap bind 0000:03:00.0 --force");
  caller = alice;
  EXPECT_THAT(find("driver").mend, HasSubstr(": sudo ixcap bind "));
}

TEST_F(ExaminationTest, AJournalWithoutItsBindingIsAFault) {
  pci::bind(machine, address, {});
  machine.reboot();
  EXPECT_EQ(find("journal").verdict, Verdict::fault);
  EXPECT_EQ(find("journal").mend, "ixcap unbind 0000:03:00.0");
  pci::give_back(machine, address);
  EXPECT_EQ(find("journal").verdict, Verdict::ok);
  machine.put("state/0000:03:00.0.journal", "garbage");
  caller = alice;
  EXPECT_THAT(find("journal").mend, AllOf(StartsWith("sudo rm "), HasSubstr(" && sudo ixcap unbind 0000:03:00.0")));
}

TEST_F(ExaminationTest, ALentCardHasItsCaptureNamed) {
  machine.put("proc/4711/stat", "4711 (ixcap) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99 0");
  pci::bind(machine, address, {.user = {}, .force = false, .holder = pci::Holder{4711, 99}});
  EXPECT_EQ(find("driver").verdict, Verdict::fault);
  EXPECT_EQ(find("driver").mend, "kill 4711");
}

TEST_F(ExaminationTest, NoIommu) {
  fs::remove(machine.path(std::string(device) + "iommu_group"));
  EXPECT_EQ(find("iommu").verdict, Verdict::fault);
  machine.put("proc/cpuinfo", "vendor_id : GenuineIntel");
  const std::string edit = "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on /' /etc/default/grub";
  EXPECT_EQ(find("iommu").mend, edit + " && update-grub && reboot");
  caller = alice;
  EXPECT_EQ(find("iommu").mend, "sudo " + edit + " && sudo update-grub && sudo reboot");
  EXPECT_EQ(find("group").verdict, Verdict::unknown);
}

TEST_F(ExaminationTest, InterruptsThatAreNotConfined) {
  EXPECT_EQ(find("interrupts").verdict, Verdict::unknown);
  machine.put("proc/interrupts", "   4:  31  0  IR-IO-APIC    4-edge   ttyS0\n");
  EXPECT_EQ(find("interrupts").verdict, Verdict::ok);
  machine.put("proc/interrupts", "   4:  31  0  IO-APIC    4-edge   ttyS0\n");
  EXPECT_EQ(find("interrupts").verdict, Verdict::fault);
  constexpr const char* parameter = "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
  EXPECT_THAT(find("interrupts").mend,
              HasSubstr(std::string("trusted: modprobe vfio_iommu_type1 && echo 1 > /") + parameter));
  caller = alice;
  EXPECT_THAT(find("interrupts").mend,
              HasSubstr(std::string("trusted: sudo modprobe vfio_iommu_type1 && echo 1 | sudo tee /") + parameter));
  machine.put(parameter, "N\n");
  EXPECT_EQ(find("interrupts").verdict, Verdict::fault);
  machine.put(parameter, "Y\n");
  EXPECT_EQ(find("interrupts").verdict, Verdict::ok);
}

TEST_F(ExaminationTest, AForeignMemberOfTheGroup) {
  EXPECT_EQ(find("group").verdict, Verdict::ok);
  machine.add({.address = "0000:03:00.1", .interface = "enp3s0f1"});
  EXPECT_EQ(find("group").finding, "7, with 0000:03:00.1, taken together");
  machine.add({.address = "0000:04:00.0",
               .driver = "ahci",
               .interface = "",
               .group = 7,
               .vendor = "0x8086",
               .device = "0x2922",
               .class_code = "0x010601"});
  EXPECT_EQ(find("group").verdict, Verdict::fault);
  EXPECT_THAT(find("group").finding, HasSubstr("'0000:04:00.0'"));
  EXPECT_EQ(find("group").mend, "put the card into another slot; if it may be lost: ixcap bind 0000:03:00.0 --force");
  caller = alice;
  EXPECT_THAT(find("group").mend, HasSubstr(": sudo ixcap bind "));
}

TEST_F(ExaminationTest, NoVfioModule) {
  EXPECT_EQ(find("vfio-pci").verdict, Verdict::fault);
  EXPECT_THAT(find("vfio-pci").mend, HasSubstr("apt-get install"));
  fs::create_directories(machine.path("sys/module/vfio_pci"));
  EXPECT_EQ(find("vfio-pci").verdict, Verdict::ok);
}

TEST_F(ExaminationTest, PermissionsAreThoseOfTheGroupsFile) {
  EXPECT_EQ(find("permissions").verdict, Verdict::unknown);
  pci::bind(machine, address, {});
  EXPECT_EQ(find("permissions").verdict, Verdict::ok);
  fs::remove(machine.path("dev/vfio/7"));
  EXPECT_EQ(find("permissions").verdict, Verdict::fault);
}

TEST_F(ExaminationTest, MemlockCountsForThoseWhoHaveALimit) {
  EXPECT_EQ(find("memlock").finding, "no limit for root");
  caller = alice;
  EXPECT_EQ(find("memlock").verdict, Verdict::ok);
  caller.memory.limit_bytes = 5 * mib;
  EXPECT_EQ(find("memlock").verdict, Verdict::fault);  // three huge pages
  EXPECT_EQ(find("memlock").mend, "ulimit -S -l $(ulimit -H -l)");
  caller.memory.most_bytes = 5 * mib;
  EXPECT_EQ(find("memlock").mend, "sudo prlimit --pid $$ --memlock=unlimited");
  machine.put(std::string(pool) + "free_hugepages", "0");
  EXPECT_EQ(find("memlock").verdict, Verdict::ok);  // ordinary pages are no more than needed
  caller.memory.locked_bytes = mib;
  EXPECT_EQ(find("memlock").verdict, Verdict::fault);
}

TEST_F(ExaminationTest, HugePagesAreANoteAndTheCommandAddsToThem) {
  machine.put(std::string(pool) + "free_hugepages", "1");
  EXPECT_EQ(find("huge pages").verdict, Verdict::note);
  EXPECT_THAT(find("huge pages").mend, AllOf(StartsWith("echo 10 > "), HasSubstr("nr_hugepages")));
  caller = alice;
  EXPECT_THAT(find("huge pages").mend, StartsWith("echo 10 | sudo tee "));
  fs::remove(machine.path(std::string(pool) + "nr_hugepages"));
  EXPECT_THAT(find("huge pages").mend, IsEmpty());
}

TEST_F(ExaminationTest, HugePagesAreThoseOfTheCardsNode) {
  machine.put(std::string(device) + "numa_node", "1");
  machine.put("sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "0");
  machine.put("sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "0");
  EXPECT_THAT(find("huge pages").mend, AllOf(StartsWith("echo 3 > "), HasSubstr("/node1/")));
}

TEST_F(ExaminationTest, ANodeWithoutThisShellsCpus) {
  machine.put(std::string(device) + "numa_node", "1");
  machine.put("sys/devices/system/node/node1/cpulist", "8-15");
  EXPECT_EQ(find("numa").verdict, Verdict::note);
  EXPECT_EQ(find("numa").mend, "taskset -pc 8-15 $$");
  caller.cpus = {3, 9};
  EXPECT_EQ(find("numa").verdict, Verdict::ok);
}

TEST_F(ExaminationTest, ASlotThatIsTooNarrow) {
  EXPECT_EQ(find("pcie").verdict, Verdict::unknown);
  const auto put = [this](const char* which, const char* speed, const char* width) {
    machine.put(std::string(device) + which + "_link_speed", speed);
    machine.put(std::string(device) + which + "_link_width", width);
  };
  put("max", "5.0 GT/s PCIe", "8");
  put("current", "5.0 GT/s PCIe", "8");
  EXPECT_EQ(find("pcie").finding, "x8 at 5.0 GT/s");
  put("current", "5.0 GT/s PCIe", "4");
  EXPECT_EQ(find("pcie").finding,
            "x4 at 5.0 GT/s, where the card can do x8 at 5.0 GT/s; no command mends that, a slot wired for it does");
  put("current", "2.5 GT/s PCIe", "4");
  EXPECT_THAT(find("pcie").finding, HasSubstr("too slow for 10 Gb/s"));
  EXPECT_THAT(find("pcie").mend, HasSubstr("lspci -vv -s 0000:03:00.0"));
}

TEST_F(ExaminationTest, TheLinkIsTheKernelDriversToTell) {
  machine.put("sys/class/net/enp3s0f0/carrier", "0");
  EXPECT_EQ(find("link").verdict, Verdict::fault);
  machine.put("sys/class/net/enp3s0f0/carrier", "1");
  machine.put("sys/class/net/enp3s0f0/speed", "10000");
  EXPECT_EQ(find("link").finding, "up, 10000 Mb/s");
  machine.put("sys/class/net/enp3s0f0/flags", "0x1002");
  EXPECT_EQ(find("link").verdict, Verdict::unknown);
  EXPECT_EQ(find("link").mend, "ip link set enp3s0f0 up");
  pci::bind(machine, address, {});
  EXPECT_EQ(find("link").verdict, Verdict::unknown);
  EXPECT_EQ(find("module").verdict, Verdict::unknown);
}

TEST(CpuList, IsReadAsTheKernelWritesIt) {
  EXPECT_THAT(parse_cpu_list("0-3,8"), ElementsAre(0, 1, 2, 3, 8));
  EXPECT_THAT(parse_cpu_list("5"), ElementsAre(5));
  for (const char* list : {"", "x", "3-1", "1-", "-1", "1,,2", "0-99999999", "1 2"})
    EXPECT_THAT(parse_cpu_list(list), IsEmpty()) << list;
}

TEST(Sfp, IsNamedByItsEeprom) {
  std::string eeprom(256, '\0');
  eeprom[0] = 0x03;
  eeprom.replace(20, 16, "FINISAR CORP.   ");
  eeprom.replace(40, 16, "FTLX8571D3BCV   ");
  EXPECT_EQ(describe_module(eeprom), "SFP+ FINISAR CORP. FTLX8571D3BCV");
  eeprom[25] = '\x07';
  EXPECT_EQ(describe_module(eeprom), "SFP+ FINIS?R CORP. FTLX8571D3BCV");
  EXPECT_EQ(describe_module(std::string_view(eeprom).substr(0, 30)), "SFP+");
  EXPECT_NE(plugged_module("no-such-one").error_number, 0);
}

}  // namespace
}  // namespace ixcap::tools
