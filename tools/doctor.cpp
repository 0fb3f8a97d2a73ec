/// `ixcap doctor`: what stands between a card and a capture, and the command that mends it.

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <ixcap/driver/error.hpp>

#include "tools/card.hpp"
#include "tools/command.hpp"
#include "tools/examination.hpp"
#include "tools/json.hpp"

namespace ixcap::tools {
namespace {

struct Patient {
  pci::Function card;
  std::vector<Finding> findings;
};

const char* word_for(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::note:
      return "note";
    case Verdict::fault:
      return "fault";
    case Verdict::unknown:
      return "unknown";
  }
  return "unknown";
}

void print_for_people(const Patient& patient) {
  fmt::print("{}\n", patient.card.address);
  for (const Finding& finding : patient.findings) {
    const bool fault = finding.verdict == Verdict::fault;
    fmt::print("  {:<8}{:<13}{}\n", fault ? "FAULT" : word_for(finding.verdict), finding.check, finding.finding);
    if (!finding.mend.empty()) fmt::print("  {:<21}> {}\n", "", finding.mend);
  }
  if (nothing_in_the_way(patient.findings)) {
    fmt::print("Nothing stands in the way: ixcap capture -i {} -w out.pcapng\n", patient.card.address);
  } else {
    fmt::print("A FAULT stands in the way of a capture; after > is what mends it.\n");
  }
}

void print_json(const std::vector<Patient>& patients) {
  fmt::print("[");
  const char* before_card = "\n";
  for (const Patient& patient : patients) {
    fmt::print(R"({}  {{"address":{},"ready":{},"checks":[)", before_card, json_string(patient.card.address),
               nothing_in_the_way(patient.findings));
    before_card = ",\n";
    const char* before_check = "\n";
    for (const Finding& finding : patient.findings) {
      fmt::print(R"({}    {{"check":{},"verdict":"{}","finding":{},"mend":{}}})", before_check,
                 json_string(finding.check), word_for(finding.verdict), json_string(finding.finding),
                 json_string_or_null(finding.mend));
      before_check = ",\n";
    }
    fmt::print("\n  ]}}");
  }
  fmt::print("\n]\n");
}

/// Answers the exit status: 0 when nothing stands in any card's way.
int examine_cards(const std::string& given, bool json) {
  const pci::Kernel kernel;
  const std::string& sysfs = kernel.roots().sysfs;
  const auto cards = given.empty() ? find_cards(sysfs) : std::vector{require_card(given, sysfs)};
  const Caller caller = this_caller();
  std::vector<Patient> patients;
  bool ready = !cards.empty();
  for (const pci::Function& card : cards) {
    patients.push_back({card, examine(kernel, card, caller)});
    ready &= nothing_in_the_way(patients.back().findings);
  }
  if (json) print_json(patients);
  if (cards.empty()) {
    throw Error("cannot examine a card", "", "there is no 82599 in this machine",
                "lspci -nn | grep -i ethernet tells what there is; 'ixcap capture -i emulator' needs no card");
  }
  if (!json) {
    for (const Patient& patient : patients) print_for_people(patient);
  }
  return ready ? 0 : 1;
}

}  // namespace

void add_doctor_command(CLI::App& application, int& status) {
  struct Options {
    std::string address;
    bool json = false;
  };
  CLI::App* command =
      application.add_subcommand("doctor", "Tell what stands between a card and a capture, and what mends it");
  auto options = std::make_shared<Options>();
  command->add_option("ADDRESS", options->address, "The card, like 0000:03:00.0 or 03:00.0; without it, every 82599");
  command->add_flag("--json", options->json, "As JSON");
  command->callback([options, &status] { status = examine_cards(options->address, options->json); });
}

}  // namespace ixcap::tools
