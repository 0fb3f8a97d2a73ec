/// `ixcap devices`: what can be captured from here.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <ixcap/driver/ixgbe/models.hpp>
#include <ixcap/driver/pci/discovery.hpp>

#include "tools/command.hpp"

namespace ixcap::tools {
namespace {

struct Row {
  std::string interface;
  std::string description;
  std::string kernel_driver;
  std::string network_interface;
  bool can_capture;
};

std::string model_name(std::uint16_t device) {
  const auto found = std::find_if(ixgbe::models.begin(), ixgbe::models.end(),
                                  [device](const ixgbe::Model& model) { return model.device == device; });
  return std::string(found->name);
}

std::vector<Row> rows() {
  std::vector<std::uint16_t> ids;
  for (const ixgbe::Model& model : ixgbe::models) ids.push_back(model.device);
  std::vector<Row> result{{"emulator", "software 82599 with the built-in traffic mix", "", "", true},
                          {"emulator:FILE", "software 82599 replaying a pcap or pcapng file", "", "", true},
                          {"vfio-user:SOCKET", "software 82599 that 'ixcap emulate' serves", "", "", true}};
  for (const pci::Function& card : pci::find_functions(ixgbe::intel_vendor_id, ids)) {
    result.push_back({card.address, model_name(card.device), card.kernel_driver, card.network_interface, false});
  }
  return result;
}

void print_table(const std::vector<Row>& table) {
  for (const Row& row : table) {
    fmt::print("{:<16}  {}", row.interface, row.description);
    if (!row.kernel_driver.empty()) fmt::print(", driven by {}", row.kernel_driver);
    if (!row.network_interface.empty()) fmt::print(" as {}", row.network_interface);
    if (!row.can_capture) fmt::print(" (this version of ixcap drives the software NIC only)");
    fmt::print("\n");
  }
}

/// None of the strings needs escaping: they are names from sysfs and from this file.
void print_json(const std::vector<Row>& table) {
  fmt::print("[");
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Row& row = table[i];
    fmt::print(
        R"({}{{"interface":"{}","description":"{}","kernel_driver":"{}","network_interface":"{}","can_capture":{}}})",
        i == 0 ? "\n  " : ",\n  ", row.interface, row.description, row.kernel_driver, row.network_interface,
        row.can_capture);
  }
  fmt::print("\n]\n");
}

}  // namespace

void add_devices_command(CLI::App& application, int& status) {
  CLI::App* command = application.add_subcommand("devices", "List what can be captured from");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "As JSON");
  command->callback([json, &status] {
    *json ? print_json(rows()) : print_table(rows());
    status = 0;
  });
}

}  // namespace ixcap::tools
