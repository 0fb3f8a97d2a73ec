/// `ixcap devices`: what can be captured from here.

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <ixcap/driver/pci/binding.hpp>

#include "tools/card.hpp"
#include "tools/command.hpp"
#include "tools/json.hpp"

namespace ixcap::tools {
namespace {

using pci::Hands;

struct Row {
  std::string interface;
  std::string description;
  pci::Function card = {};  ///< without an address: the software NIC
  Hands hands = Hands::bound;

  bool can_capture() const noexcept { return hands == Hands::bound || hands == Hands::foreign; }
};

/// For programs.
const char* state_word(Hands hands) noexcept {
  switch (hands) {
    case Hands::kernel:
      return "kernel";
    case Hands::nobody:
      return "no driver";
    case Hands::bound:
    case Hands::foreign:
      return "ready";
    case Hands::lent:
      return "capturing";
    case Hands::interrupted:
    case Hands::damaged:
      return "not given back";
  }
  return "unknown";
}

/// For people: what may be done next.
std::string state_sentence(const Row& row) {
  const std::string& address = row.card.address;
  switch (row.hands) {
    case Hands::kernel:
    case Hands::nobody:
      return fmt::format("to capture: {}ixcap bind {}", sudo(), address);
    case Hands::bound:
    case Hands::foreign:
      return fmt::format("ready to capture; to give it back: {}ixcap unbind {}", sudo(), address);
    case Hands::lent:
      return "in use by a capture, which gives it back";
    case Hands::interrupted:
    case Hands::damaged:
      return fmt::format("not given back; see 'ixcap doctor {}'", address);
  }
  return "";
}

std::vector<Row> rows() {
  std::vector<Row> result{{"emulator", "software 82599 with the built-in traffic mix"},
                          {"emulator:FILE", "software 82599 replaying a pcap or pcapng file"},
                          {"vfio-user:SOCKET", "software 82599 that 'ixcap emulate' serves"}};
  const pci::Kernel kernel;
  for (const pci::Function& card : find_cards(kernel.roots().sysfs)) {
    result.push_back({card.address, model_of(card), card, pci::hands_of(kernel, card)});
  }
  return result;
}

void print_table(const std::vector<Row>& table) {
  for (const Row& row : table) {
    fmt::print("{:<16}  {}", row.interface, row.description);
    const pci::Function& card = row.card;
    if (!card.kernel_driver.empty()) fmt::print(", driven by {}", card.kernel_driver);
    if (!card.network_interface.empty()) fmt::print(" as {}", card.network_interface);
    if (card.iommu_group) fmt::print(", IOMMU group {}", *card.iommu_group);
    if (!card.address.empty()) fmt::print("; {}", state_sentence(row));
    fmt::print("\n");
  }
}

void print_json(const std::vector<Row>& table) {
  fmt::print("[");
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Row& row = table[i];
    fmt::print(R"({}{{"interface":{},"description":{},"kernel_driver":{},"network_interface":{},)",
               i == 0 ? "\n  " : ",\n  ", json_string(row.interface), json_string(row.description),
               json_string(row.card.kernel_driver), json_string(row.card.network_interface));
    const auto& group = row.card.iommu_group;
    fmt::print(R"("iommu_group":{},"state":"{}","can_capture":{}}})", group ? std::to_string(*group) : "null",
               state_word(row.hands), row.can_capture());
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
