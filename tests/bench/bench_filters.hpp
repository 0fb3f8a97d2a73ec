#pragma once

/// The ten filters that filter_bench measures.

#include <cstdint>
#include <string>
#include <vector>

#include <ixcap/filter/program.hpp>

namespace ixcap::bench {

struct BenchFilter {
  std::string name;        ///< short, for tables
  std::string expression;  ///< pcap-filter(7)
  filter::Program program;
};

/// The first, `null`, is the empty expression, which matches every frame; the other nine are real filters. The hosts
/// that they name occur in the frame sets made from the same seed.
std::vector<BenchFilter> make_bench_filters(std::uint64_t seed);

}  // namespace ixcap::bench
