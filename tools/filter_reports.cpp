/// The reports of `ixcap filter` that run nothing, and the one that counts.

#include "tools/filter_reports.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <limits>
#include <span>

#include <ixcap/filter/explain.hpp>

#include "tools/disassembly.hpp"
#include "tools/filter_engine.hpp"
#include "tools/frame_file.hpp"

namespace ixcap::tools {
namespace {

struct Tally {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;  // on the wire

  void add(const Frame& frame) noexcept {
    ++frames;
    bytes += frame.wire_length;
  }
};

struct Counts {
  Tally all;
  std::vector<Tally> matched;  // by expression
};

/// `expression` on one line.
std::string shown(const std::string& expression) {
  std::string line = expression.empty() ? "(every frame)" : expression;
  for (char& c : line) {
    if ((c >= 0 && c < ' ') || c == 0x7f) c = ' ';
  }
  return line;
}

void count_batch(const filter::Engine& engine, const std::vector<Frame>& frames, Counts& counts) {
  std::array<std::uint64_t, batch_size> match_sets{};
  engine.match(frames, match_sets);
  for (std::size_t f = 0; f < frames.size(); ++f) {
    counts.all.add(frames[f]);
    for (std::size_t i = 0; i < counts.matched.size(); ++i) {
      if ((match_sets[f] >> i & 1) != 0) counts.matched[i].add(frames[f]);
    }
  }
}

Counts count(const filter::Engine& engine, std::size_t filters, const std::string& path) {
  FrameFile file(path);
  FrameStore store;
  Counts counts;
  counts.matched.resize(filters);
  for (bool more = true; more;) {
    store.clear();
    more = file.read(store, batch_size, std::numeric_limits<std::size_t>::max());
    count_batch(engine, store.frames(), counts);
  }
  return counts;
}

}  // namespace

void print_listings(const Filters& filters, filter::Listing form) {
  const bool titled = filters.programs.size() > 1 && form != filter::Listing::decimal;
  for (std::size_t i = 0; i < filters.programs.size(); ++i) {
    if (titled) fmt::print("{} {}\n", form == filter::Listing::c ? "//" : "#", shown(filters.expressions[i]));
    fmt::print("{}", filter::list(filters.programs[i], form));
  }
}

void print_explanation(const Filters& filters, std::string_view engine_name) {
  const NamedEngine engine = make_engine(engine_name, filters.programs);
  for (std::size_t i = 0; i < filters.programs.size(); ++i) {
    fmt::print("expression {}: {}\n", i, shown(filters.expressions[i]));
    fmt::print("{} instructions\n{}\n", filters.programs[i].instructions().size(),
               filter::list(filters.programs[i], filter::Listing::assembly));
  }
  fmt::print("VLAN tags: {}\n", filters.vlan_aware ? "looked through, at most two (--vlan-aware)"
                                                   : "a tagged frame is one of type 0x8100, 0x88a8 or 0x9100; "
                                                     "--vlan-aware looks behind the tags");
  const std::size_t bytes = engine.engine->native_code().bytes.size();
  fmt::print("engine: {}, {}\n", engine.name,
             bytes == 0 ? "without native code" : fmt::format("{} bytes of native code (--jit shows it)", bytes));
  fmt::print("\n{}", filter::explain(filters.programs));
}

void print_native_code(const Filters& filters, std::string_view engine_name) {
  const NamedEngine engine = make_engine(engine_name, filters.programs);
  const filter::NativeCode code = engine.engine->native_code();
  if (code.bytes.empty()) {
    throw Error("cannot show native code of filter engine", engine.name, "it has none: it interprets the programs",
                "choose another with --engine, if this CPU runs another");
  }
  fmt::print("{}", disassemble(code));
}

void print_counts(const Filters& filters, std::string_view engine_name, const std::string& path) {
  const NamedEngine engine = make_engine(engine_name, filters.programs);
  const Counts counts = count(*engine.engine, filters.programs.size(), path);
  for (std::size_t i = 0; i < counts.matched.size(); ++i) {
    const Tally& matched = counts.matched[i];
    fmt::print("{} of {} frames, {} of {} bytes: {}\n", matched.frames, counts.all.frames, matched.bytes,
               counts.all.bytes, shown(filters.expressions[i]));
  }
  fmt::print(stderr, "ixcap: filter engine {}\n", engine.name);
}

}  // namespace ixcap::tools
