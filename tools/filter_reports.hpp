#pragma once

/// What `ixcap filter` says about its expressions, one function a report. Data goes to standard output, talk to
/// standard error.
///
/// Errors: all throw ixcap::Error.

#include <string>
#include <string_view>
#include <vector>

#include <ixcap/filter/listing.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::tools {

/// Expressions and their programs: program i is expression i's. At least one, at most filter::most_filters.
struct Filters {
  std::vector<std::string> expressions;
  std::vector<filter::Program> programs;
  bool vlan_aware = false;
};

/// The programs, as tcpdump prints them. Of several, each follows its expression, but for the decimal form, which says
/// itself where a program ends.
void print_listings(const Filters& filters, filter::Listing form);

/// The programs, what is done about VLAN tags, the engine that runs them, and what it makes of them.
void print_explanation(const Filters& filters, std::string_view engine_name);

/// The native code of an engine.
void print_native_code(const Filters& filters, std::string_view engine_name);

/// How many frames of a capture file match each expression, and their bytes on the wire.
void print_counts(const Filters& filters, std::string_view engine_name, const std::string& path);

/// What a frame of a capture file costs each engine, for all expressions together.
void print_costs(const Filters& filters, const std::string& path);

}  // namespace ixcap::tools
