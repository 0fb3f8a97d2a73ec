#include "tests/bench/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <optional>

namespace ixcap::bench {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

double ns_of(const Row& row, const std::string& contender) {
  const auto found = row.ns.find(contender);
  return found == row.ns.end() ? unknown : found->second;
}

/// Over the real filters; not a number if there is none or one has no figure.
double geometric_mean(std::span<const Row> rows, const std::function<double(const Row&)>& value) {
  double sum = 0;
  int count = 0;
  for (const Row& row : rows) {
    if (!row.is_real()) continue;
    sum += std::log(value(row));
    ++count;
  }
  return count == 0 ? unknown : std::exp(sum / count);
}

std::string cell(double value) {
  return std::isnan(value) ? fmt::format("{:>12}", "-") : fmt::format("{:12.2f}", value);
}

/// The rows of a table, and below them the geometric mean.
void append_lines(std::string& text, const Result& result, std::span<const std::string> columns, bool with_matches,
                  const std::function<double(const Row&, const std::string&)>& value) {
  for (const Row& row : result.rows) {
    text += fmt::format("{:<12}", row.filter);
    for (const std::string& column : columns) text += cell(value(row, column));
    if (with_matches) text += fmt::format("{:12}", row.matches);
    text += '\n';
  }
  text += fmt::format("{:<12}", "geo. mean");
  for (const std::string& column : columns) {
    text += cell(geometric_mean(result.rows, [&](const Row& row) { return value(row, column); }));
  }
  text += '\n';
}

std::string heading(const std::string& title, std::span<const std::string> columns) {
  std::string text = fmt::format("{:<12}", title);
  for (const std::string& column : columns) text += fmt::format("{:>12}", column);
  return text;
}

/// One aim: that the geometric mean of engine / base is at most `most`, on the set of that name or, without one, on
/// every set.
struct Aim {
  std::string engine;
  std::string base;
  std::optional<std::string> set;
  double most;
};

std::string judge(std::span<const Result> results, const Aim& aim) {
  std::string text;
  for (const Result& result : results) {
    if (aim.set && result.set != *aim.set) continue;
    const double ratio =
        geometric_mean(result.rows, [&](const Row& row) { return ns_of(row, aim.engine) / ns_of(row, aim.base); });
    const char* const verdict = std::isnan(ratio) ? "not measured" : ratio <= aim.most ? "reached" : "MISSED";
    text += fmt::format("{:<14}{} at most {:.3f} x {} on {}: {:.3f}\n", verdict, aim.engine, aim.most, aim.base,
                        result.set, ratio);
  }
  if (text.empty()) {
    text = fmt::format("{:<14}{} at most {:.3f} x {} on {}\n", "not measured", aim.engine, aim.most, aim.base,
                       aim.set.value_or("every set"));
  }
  return text;
}

/// That the engine takes no longer than DPDK for any filter, null included.
std::string judge_single_filters(std::span<const Result> results, const std::string& engine) {
  std::string slower;
  bool measured = false;
  for (const Result& result : results) {
    for (const Row& row : result.rows) {
      const double ratio = ns_of(row, engine) / ns_of(row, "dpdk");
      measured = measured || !std::isnan(ratio);
      if (ratio > 1) slower += fmt::format(" {} on {} ({:.2f} x),", row.filter, result.set, ratio);
    }
  }
  if (!slower.empty()) slower.back() = '.';
  return fmt::format("{:<14}{} slower than dpdk for no filter on any set{}{}\n",
                     !measured        ? "not measured"
                     : slower.empty() ? "reached"
                                      : "MISSED",
                     engine, slower.empty() ? "" : "; it is for", slower);
}

}  // namespace

std::string table_of(const Result& result, std::span<const std::string> columns) {
  std::string text = heading("ns a frame", columns) + fmt::format("{:>12}\n", "matches");
  append_lines(text, result, columns, true, ns_of);
  for (const std::string base : {"dpdk", "libpcap"}) {
    if (std::ranges::find(columns, base) == columns.end()) continue;
    std::vector<std::string> others;
    std::ranges::copy_if(columns, std::back_inserter(others),
                         [&](const std::string& column) { return column != base; });
    text += '\n' + heading("/ " + base, others) + '\n';
    append_lines(text, result, others, false,
                 [&](const Row& row, const std::string& column) { return ns_of(row, column) / ns_of(row, base); });
  }
  return text;
}

std::string verdict_of(std::span<const Result> results, const std::string& batch, const std::string& scalar) {
  std::string text;
  if (batch.empty()) {
    text += "not measured  the aims of a batch engine: there is none, or it was left out\n";
  } else {
    text += judge(results, {batch, "dpdk", "l2", 1.0 / 8});
    text += judge(results, {batch, "libpcap", "l2", 1.0 / 10});
    text += judge(results, {batch, "floor", "memory", 1.4});
    text += judge_single_filters(results, batch);
  }
  if (scalar.empty()) {
    text += "not measured  the aims of the scalar engine: there is none, or it was left out\n";
  } else {
    text += judge(results, {scalar, "dpdk", std::nullopt, 1.0 / 2});
    text += judge_single_filters(results, scalar);
  }
  return text;
}

}  // namespace ixcap::bench
