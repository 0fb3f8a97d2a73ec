/// `ixcap filter`: shows the programs that expressions are compiled to, and tries them on a capture file.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/vlan_aware.hpp>

#include "tools/command.hpp"
#include "tools/filter_engine.hpp"
#include "tools/filter_reports.hpp"

namespace ixcap::tools {
namespace {

struct FilterOptions {
  int listing = 0;  // how many -d were given
  std::uint32_t snaplen = 262144;
  bool unoptimized = false;
  bool vlan_aware = false;
  bool explain = false;
  bool native_code = false;
  bool cost = false;
  std::optional<std::string> file;
  std::string engine;
  std::vector<std::string> expressions;
  std::vector<std::string> words;
};

/// The expressions given one by one, then the one that the words make up; without any, the one for every frame.
std::vector<std::string> expressions(const FilterOptions& options) {
  std::vector<std::string> all = options.expressions;
  if (!options.words.empty() || all.empty()) all.push_back(fmt::format("{}", fmt::join(options.words, " ")));
  if (all.size() > filter::most_filters) {
    throw Error("cannot compile filter expressions", "",
                fmt::format("there are {}, more than {}", all.size(), filter::most_filters),
                "join some of them with 'or', or give the command fewer at a time");
  }
  return all;
}

Filters compile(const FilterOptions& options) {
  Filters filters{.expressions = expressions(options), .programs = {}, .vlan_aware = options.vlan_aware};
  const auto compiler = options.vlan_aware ? filter::compile_vlan_aware : filter::compile;
  for (const std::string& expression : filters.expressions) {
    filters.programs.push_back(compiler(expression, options.snaplen, !options.unoptimized));
  }
  return filters;
}

int run(const FilterOptions& options) {
  const bool runs_one_engine = options.explain || options.native_code || (options.file && !options.cost);
  if (options.cost && !options.engine.empty()) throw CLI::ExcludesError("--cost", "--engine");
  if (!options.engine.empty() && !runs_one_engine) throw CLI::RequiresError("--engine", "-r, --explain or --jit");
  const Filters filters = compile(options);
  if (options.cost) {
    print_costs(filters, options.file.value());
  } else if (options.file) {
    print_counts(filters, options.engine, *options.file);
  } else if (options.explain) {
    print_explanation(filters, options.engine);
  } else if (options.native_code) {
    print_native_code(filters, options.engine);
  } else {
    print_listings(filters, options.listing >= 3   ? filter::Listing::decimal
                            : options.listing == 2 ? filter::Listing::c
                                                   : filter::Listing::assembly);
  }
  return 0;
}

}  // namespace

void add_filter_command(CLI::App& application, int& status) {
  CLI::App* command = application.add_subcommand(
      "filter", "Show the programs that filter expressions are compiled to, or try them on a capture file");
  auto options = std::make_shared<FilterOptions>();
  CLI::Option* listing =
      command->add_flag("-d", options->listing, "As assembly (the default); -dd as a C array, -ddd as decimal numbers");
  CLI::Option* file = command->add_option(
      "-r", options->file, "Count the frames of this capture file that match each expression; - is standard input");
  file->type_name("FILE");
  CLI::Option* cost = command->add_flag("--cost", options->cost, "Measure what a frame of -r FILE costs each engine");
  CLI::Option* explain =
      command->add_flag("--explain", options->explain, "Explain how the expressions are going to be run");
  CLI::Option* native_code = command->add_flag("--jit", options->native_code, "Disassemble the native code");
  command
      ->add_option("--engine", options->engine,
                   fmt::format("Filter with this one instead of the best: {}", engine_names()))
      ->type_name("ENGINE");
  command->add_flag("--vlan-aware", options->vlan_aware, "Look behind VLAN tags, at most two");
  command->add_option("-s,--snapshot-length", options->snaplen, "Bytes that a match keeps; 0 means the default")
      ->capture_default_str();
  command->add_flag("-O,--no-optimize", options->unoptimized, "Do not optimise the programs");
  command
      ->add_option("-e,--expression", options->expressions, "One expression more, for itself; may be given many times")
      ->type_name("EXPRESSION")
      ->allow_extra_args(false);
  command->add_option("EXPRESSION", options->words, "pcap-filter(7) expression; none matches every frame")
      ->type_name("");
  cost->needs(file);
  listing->excludes(file)->excludes(explain)->excludes(native_code);
  explain->excludes(file)->excludes(native_code);
  native_code->excludes(file);
  command->callback([options, &status] {
    if (options->snaplen == 0) options->snaplen = FilterOptions{}.snaplen;
    status = run(*options);
  });
}

}  // namespace ixcap::tools
