#pragma once

/// The figures of filter_bench as text, and what they say about the aims.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace ixcap::bench {

/// One filter on one set.
struct Row {
  std::string filter;
  std::uint64_t matches;             ///< frames
  std::map<std::string, double> ns;  ///< nanoseconds a frame by contender; `floor` and `loop` are among them

  bool is_real() const { return filter != "null"; }
};

/// All filters on one set.
struct Result {
  std::string set;
  std::vector<Row> rows;
};

/// Nanoseconds a frame, then how many times as long as DPDK and libpcap, each with the geometric mean over the real
/// filters. `columns`: the contenders in the order in which they appear.
std::string table_of(const Result& result, std::span<const std::string> columns);

/// One line an aim: reached, missed, or what it lacks to tell. `batch` and `scalar`: the names of the engines that the
/// aims are about, empty if there is none.
std::string verdict_of(std::span<const Result> results, const std::string& batch, const std::string& scalar);

}  // namespace ixcap::bench
