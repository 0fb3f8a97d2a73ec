#pragma once

/// A machine in a temporary folder: sysfs and procfs as files, and a kernel that does to them what Linux does when a
/// card changes drivers. The code under test is the real one.

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/kernel.hpp>

#include "tests/files.hpp"

namespace ixcap::test {

namespace fs = std::filesystem;

struct FakeCard {
  std::string address = "0000:03:00.0";
  std::string driver = "ixgbe";        ///< that knows it and has it
  std::string interface = "enp3s0f0";  ///< empty: its driver makes none
  int group = 7;                       ///< -1: no IOMMU
  std::string vendor = "0x8086";
  std::string device = "0x10fb";
  std::string class_code = "0x020000";
};

class FakeMachine : public pci::Kernel {
 public:
  FakeMachine() : FakeMachine(std::make_unique<TemporaryFolder>()) {}

  // The tree ----------------------------------------------------------------------------------------------------------

  void put(const std::string& path, const std::string& text) {
    const fs::path file = folder_->file(path);
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text << '\n';
  }
  std::string get(const std::string& path) const {
    std::ifstream file(folder_->file(path));
    std::string line;
    std::getline(file, line);
    return line;
  }
  fs::path path(const std::string& below) const { return folder_->file(below); }

  void add(const FakeCard& card) {
    cards_[card.address] = card;
    const std::string folder = device(card.address);
    put(folder + "/vendor", card.vendor);
    put(folder + "/device", card.device);
    put(folder + "/class", card.class_code);
    put(folder + "/driver_override", "(null)");
    if (card.group >= 0) {
      const std::string group = "sys/kernel/iommu_groups/" + std::to_string(card.group);
      fs::create_directories(path(group + "/devices"));
      fs::create_directory_symlink(path(group), path(folder + "/iommu_group"));
      fs::create_directory_symlink(path(folder), path(group + "/devices/" + card.address));
    }
    if (card.driver.empty()) return;
    add_driver(card.driver);
    attach(card.address, card.driver);
    if (!card.interface.empty()) {
      rename_interface(interface_of(card.address), card.interface);
      put("sys/class/net/" + card.interface + "/flags", "0x1003");
    }
  }
  void add_driver(const std::string& driver) { fs::create_directories(path("sys/bus/pci/drivers/" + driver)); }
  std::string driver_of(const std::string& address) const {
    std::error_code absent;
    return fs::read_symlink(path(device(address) + "/driver"), absent).filename().string();
  }
  std::string interface_of(const std::string& address) const {
    std::error_code absent;
    const fs::directory_iterator entries(path(device(address) + "/net"), absent);
    return absent || entries == fs::directory_iterator() ? "" : entries->path().filename().string();
  }
  /// As after power-on: the kernel's drivers have the cards, and its interfaces their first names.
  void reboot() {
    put("proc/sys/kernel/random/boot_id", "boot-" + std::to_string(++boots_));
    for (const auto& [address, card] : cards_) {
      detach(address);
      put(device(address) + "/driver_override", "(null)");
      if (!card.driver.empty()) attach(address, card.driver);
    }
    fs::remove_all(path("sys/bus/pci/drivers/vfio-pci"));
  }

  // What the machine does ---------------------------------------------------------------------------------------------

  /// Before each change; may throw.
  std::function<void(const std::string& what)> before_change = [](const std::string&) {};
  std::set<std::string> modules{"vfio-pci", "vfio_iommu_type1", "ixgbe"};  ///< that can be loaded
  std::set<std::string> default_routes;                                    ///< interfaces with one
  std::map<std::string, std::vector<std::string>> interface_addresses;
  unsigned busy_for_pauses = 0;  ///< how long a program still has the group open
  std::map<unsigned, uid_t> owners;
  std::vector<std::string> loaded;

  void write(const std::string& attribute, std::string_view text) override {
    const std::string value(text.substr(0, text.find('\n')));
    before_change(attribute + " " + value);
    const fs::path file = attribute;
    const std::string name = file.filename().string();
    if (name == "driver_override") {
      put("sys/" + attribute, value.empty() ? "(null)" : value);
    } else if (name == "unbind") {
      detach(file.parent_path().parent_path().filename().string());
    } else if (name == "drivers_probe") {
      probe(value);
    } else {
      throw Error("cannot write", attribute, "the fake kernel has no such file", "teach it");
    }
  }
  void load_module(const std::string& name) override {
    before_change("modprobe " + name);
    if (!modules.contains(name)) throw Error("cannot load kernel module", name, "there is none", "install it");
    loaded.push_back(name);
    if (name == "vfio-pci" || name == "ixgbe") add_driver(name);
  }
  std::vector<std::string> addresses(const std::string& interface, bool) const override {
    const auto found = interface_addresses.find(interface);
    return found == interface_addresses.end() ? std::vector<std::string>{} : found->second;
  }
  bool default_route(const std::string& interface) const override { return default_routes.contains(interface); }
  void restore(const std::string& interface, const pci::NetworkState& wanted) override {
    before_change("restore " + wanted.name);
    if (interface != wanted.name) rename_interface(interface, wanted.name);
    const std::string folder = "sys/class/net/" + wanted.name;
    put(folder + "/mtu", std::to_string(wanted.mtu));
    put(folder + "/flags", wanted.up ? "0x1003" : "0x1002");
    put(folder + "/address", wanted.mac);
    interface_addresses[wanted.name] = wanted.addresses;
  }
  bool group_in_use(unsigned) const override { return busy_for_pauses > 0; }
  void hand_over(unsigned group, uid_t user) override {
    before_change("hand over");
    owners[group] = user;
  }
  void pause() override {
    if (busy_for_pauses > 0) --busy_for_pauses;
    if (busy_for_pauses == 0 && interface_delay_ > 0 && --interface_delay_ == 0) {
      for (const std::string& address : late_) make_interface(address);
      late_.clear();
    }
  }
  /// The driver makes its interface only so many pauses after it has taken the card.
  void delay_interfaces(unsigned pauses) { interface_delay_ = pauses; }

 private:
  explicit FakeMachine(std::unique_ptr<TemporaryFolder> folder)
      : Kernel({.sysfs = folder->file("sys"),
                .procfs = folder->file("proc"),
                .dev = folder->file("dev"),
                .modules = folder->file("modules"),
                .state = folder->file("state")}),
        folder_(std::move(folder)) {
    put("proc/sys/kernel/random/boot_id", "boot-0");
    fs::create_directories(path("sys/class/net"));
    fs::create_directories(path("sys/bus/pci/drivers"));
  }
  static std::string device(const std::string& address) { return "sys/bus/pci/devices/" + address; }

  void probe(const std::string& address) {
    if (!driver_of(address).empty()) return;
    const std::string only = get(device(address) + "/driver_override");
    const std::string driver = only == "(null)" ? cards_.at(address).driver : only;
    if (!driver.empty() && fs::exists(path("sys/bus/pci/drivers/" + driver))) attach(address, driver);
  }
  void attach(const std::string& address, const std::string& driver) {
    fs::create_directory_symlink("../../drivers/" + driver, path(device(address) + "/driver"));
    if (driver == "vfio-pci" || cards_.at(address).interface.empty()) return;
    interface_delay_ > 0 ? late_.push_back(address) : make_interface(address);
  }
  void make_interface(const std::string& address) {
    const std::string name = "eth" + std::to_string(next_interface_++);
    fs::create_directories(path(device(address) + "/net/" + name));
    put("sys/class/net/" + name + "/mtu", "1500");
    put("sys/class/net/" + name + "/flags", "0x1002");
    put("sys/class/net/" + name + "/address", "a0:36:9f:00:00:0" + address.substr(address.size() - 1));
    fs::create_directory_symlink(path(device(address)), path("sys/class/net/" + name + "/device"));
  }
  void rename_interface(const std::string& from, const std::string& to) {
    fs::rename(path("sys/class/net/" + from), path("sys/class/net/" + to));
    const fs::path card = fs::read_symlink(path("sys/class/net/" + to + "/device"));
    fs::rename(card / "net" / from, card / "net" / to);
  }
  void detach(const std::string& address) {
    const std::string interface = interface_of(address);
    if (!interface.empty()) fs::remove_all(path("sys/class/net/" + interface));
    interface_addresses.erase(interface);
    fs::remove_all(path(device(address) + "/net"));
    fs::remove(path(device(address) + "/driver"));
  }

  std::unique_ptr<TemporaryFolder> folder_;
  std::map<std::string, FakeCard> cards_;
  std::vector<std::string> late_;
  unsigned interface_delay_ = 0;
  unsigned next_interface_ = 0;
  unsigned boots_ = 0;
};

}  // namespace ixcap::test
