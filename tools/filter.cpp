/// `ixcap filter`: shows the program that an expression is compiled to.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/listing.hpp>

#include "tools/command.hpp"

namespace ixcap::tools {
namespace {

struct FilterOptions {
  int listing = 0;  // how many -d were given
  std::uint32_t snaplen = 262144;
  bool unoptimized = false;
  std::vector<std::string> words;
};

int run(const FilterOptions& options) {
  const std::string expression = fmt::format("{}", fmt::join(options.words, " "));
  const filter::Program program = filter::compile(expression, options.snaplen, !options.unoptimized);
  const filter::Listing listing = options.listing >= 3   ? filter::Listing::decimal
                                  : options.listing == 2 ? filter::Listing::c
                                                         : filter::Listing::assembly;
  fmt::print("{}", filter::list(program, listing));
  return 0;
}

}  // namespace

void add_filter_command(CLI::App& application, int& status) {
  CLI::App* command = application.add_subcommand("filter", "Show the program that a filter expression is compiled to");
  auto options = std::make_shared<FilterOptions>();
  command->add_flag("-d", options->listing, "As assembly (the default); -dd as a C array, -ddd as decimal numbers");
  command->add_option("-s,--snapshot-length", options->snaplen, "Bytes that a match keeps")->capture_default_str();
  command->add_flag("-O,--no-optimize", options->unoptimized, "Do not optimise the program");
  command->add_option("EXPRESSION", options->words, "pcap-filter(7) expression; none matches every frame");
  command->callback([options, &status] { status = run(*options); });
}

}  // namespace ixcap::tools
