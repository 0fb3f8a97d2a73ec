/// `ixcap control`: changes the filters of a running capture that is shared, and asks it how it does.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ixcap/capture/control.hpp>
#include <ixcap/driver/error.hpp>

#include "tools/command.hpp"
#include "tools/json.hpp"

namespace ixcap::tools {
namespace {

using Words = std::span<const std::string>;

struct ControlOptions {
  std::string name;
  bool json = false;
  std::vector<std::string> words;
};

[[noreturn]] void refuse(const std::string& subject, const char* reason) {
  throw Error("cannot control a capture", subject, reason, "see 'ixcap control --help'");
}

std::optional<unsigned> number(const std::string& word) {
  unsigned value = 0;
  const char* const end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, value);
  return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
}

std::string expression_of(Words words) {
  if (words.empty()) refuse("", "an expression is missing");
  return fmt::format("{}", fmt::join(words, " "));
}

std::string shown(const std::string& expression) {
  return expression.empty() ? "every packet" : expression;
}

void list(capture::Control& control, bool json) {
  const auto filters = control.filters();
  if (json) {
    std::vector<std::string> entries;
    for (const auto& [bit, expression] : filters)
      entries.push_back(fmt::format(R"({{"filter":{},"expression":{}}})", bit, json_string(expression)));
    fmt::print("[{}]\n", fmt::join(entries, ","));
    return;
  }
  for (const auto& [bit, expression] : filters) fmt::print("{:>2}  {}\n", bit, shown(expression));
}

/// The filter that `words` mean: its number, or its expression word for word.
unsigned find(capture::Control& control, Words words) {
  const std::string expression = expression_of(words);
  if (words.size() == 1 && number(words.front())) return *number(words.front());
  for (const auto& entry : control.filters()) {
    if (entry.expression == expression) return entry.bit;
  }
  throw Error("cannot find the filter", expression, "no filter has just these words",
              "give its number, as 'ixcap control NAME filter list' shows it");
}

void change_filters(capture::Control& control, const ControlOptions& options) {
  const Words words = Words(options.words).subspan(1);
  if (words.empty()) refuse("filter", "what to do with it is missing: add, remove, replace or list");
  const std::string& verb = words.front();
  const Words rest = words.subspan(1);
  if (verb == "add") {
    const std::string expression = expression_of(rest);
    fmt::print("filter {}: {}\n", control.add_filter(expression), expression);
  } else if (verb == "replace") {
    const std::optional<unsigned> bit = rest.empty() ? std::nullopt : number(rest.front());
    if (!bit) refuse("replace", "first comes the number of the filter, then its new expression");
    const std::string expression = expression_of(rest.subspan(1));
    control.replace_filter(*bit, expression);
    fmt::print("filter {}: {}\n", *bit, expression);
  } else if (verb == "remove") {
    control.remove_filter(find(control, rest));
  } else if (verb == "list" && rest.empty()) {
    list(control, options.json);
  } else {
    refuse("filter " + verb, "there is no such command");
  }
}

void run(const ControlOptions& options) {
  const std::string& what = options.words.front();
  if (what != "filter" && (what != "statistics" || options.words.size() != 1)) refuse(what, "there is no such command");
  capture::Control control(options.name);
  if (what == "filter")
    change_filters(control, options);
  else
    fmt::print("{}", control.statistics());
}

constexpr const char* commands = R"(
Commands:
  filter add EXPRESSION            capture what EXPRESSION matches, too; prints the filter's number
  filter replace NUMBER EXPRESSION
  filter remove NUMBER|EXPRESSION
  filter list
  statistics                       the drop ledger as it is now

Examples:
  ixcap capture -i emulator:mix?rate=1G --share lab tcp port 80 &
  ixcap control lab filter add udp port 53
  ixcap control lab filter list
)";

}  // namespace

void add_control_command(CLI::App& application, int&) {
  CLI::App* command = application.add_subcommand("control", "Change the filters of a capture that is shared");
  auto options = std::make_shared<ControlOptions>();
  command->add_option("NAME", options->name, "What ixcap capture --share was given")->required();
  command->add_option("COMMAND", options->words, "What to do, as below")->required();
  command->add_flag("--json", options->json, "filter list prints JSON");
  command->footer(commands);
  command->callback([options] { run(*options); });
}

}  // namespace ixcap::tools
