#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/frame.hpp>

namespace ixcap::emulator {
namespace {

static_assert(TrafficSpec::largest_size == longest_frame + 4);

bool parse_integer(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_length(std::string_view text, std::uint32_t lowest, std::uint32_t highest, std::uint32_t& length) {
  std::uint64_t value = 0;
  if (!parse_integer(text, value) || value < lowest || value > highest) return false;
  length = static_cast<std::uint32_t>(value);
  return true;
}

/// Takes the letter off the front of `text`; 1 if there is none.
double take_decimal_prefix(std::string_view& text) {
  constexpr std::array<std::pair<char, double>, 3> prefixes{{{'k', 1e3}, {'m', 1e6}, {'g', 1e9}}};
  for (const auto& [letter, factor] : prefixes) {
    if (!text.starts_with(letter)) continue;
    text.remove_prefix(1);
    return factor;
  }
  return 1;
}

bool parse_rate_option(std::string_view text, TrafficSpec& spec) {
  const std::optional<Rate> rate = parse_rate(text);
  if (rate.has_value()) spec.rate = *rate;
  return rate.has_value();
}

bool parse_size(std::string_view text, TrafficSpec& spec) {
  spec.sizes = text == "imix" ? TrafficSpec::Sizes::imix : TrafficSpec::Sizes::fixed;
  return text == "imix" || parse_length(text, TrafficSpec::smallest_size, TrafficSpec::largest_size, spec.fixed_size);
}

struct Option {
  std::string_view key;
  bool of_files;
  bool of_mix;
  std::string_view accepted;  ///< completes "give "
  bool (*parse)(std::string_view value, TrafficSpec& spec);
};

constexpr std::array options{
    Option{"rate", true, true, rate_forms, parse_rate_option},
    Option{"loop", true, false, "the number of times to replay the file, 0 for without end",
           [](std::string_view value, TrafficSpec& spec) { return parse_integer(value, spec.loop); }},
    Option{"count", true, true, "the number of frames to stop after, 0 for no limit",
           [](std::string_view value, TrafficSpec& spec) { return parse_integer(value, spec.count); }},
    Option{"seed", false, true, "an integer from 0 to 18446744073709551615",
           [](std::string_view value, TrafficSpec& spec) { return parse_integer(value, spec.seed); }},
    Option{"size", false, true, "imix, or bytes with FCS from 64 to 15872", parse_size},
    Option{"pad", true, true, "the bytes without FCS to pad shorter frames to, from 0 to 15868",
           [](std::string_view value, TrafficSpec& spec) { return parse_length(value, 0, longest_frame, spec.pad); }},
    Option{"fault", true, true, "faults as docs/emulator.md lists them (crc-errors=0.01,link-flap=1s), or none",
           [](std::string_view value, TrafficSpec& spec) {
             spec.faults = parse_faults(value);  // refuses with words of its own
             return true;
           }},
};

std::string keys_of(bool Option::*source) {
  std::string keys;
  for (const Option& option : options) {
    if (option.*source) keys += (keys.empty() ? "" : ", ") + std::string(option.key);
  }
  return keys;
}

/// Levenshtein distance: letters to insert, drop or replace to get from one word to the other.
std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t column = 0; column <= to.size(); ++column) row[column] = column;
  for (std::size_t line = 1; line <= from.size(); ++line) {
    std::size_t diagonal = row[0];
    row[0] = line;
    for (std::size_t column = 1; column <= to.size(); ++column) {
      const std::size_t replaced = diagonal + (from[line - 1] == to[column - 1] ? 0 : 1);
      diagonal = row[column];
      row[column] = std::min({row[column] + 1, row[column - 1] + 1, replaced});
    }
  }
  return row[to.size()];
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  TrafficSpec parse() {
    if (text_.empty()) return spec_;
    const std::size_t question = text_.rfind('?');
    spec_.source = text_.substr(0, question);
    if (spec_.source.empty()) {
      fail("nothing stands before the '?'", "name a capture file, or mix");
    }
    if (question == std::string_view::npos || question + 1 == text_.size()) return spec_;
    std::string_view rest = text_.substr(question + 1);
    for (;;) {
      const std::size_t ampersand = rest.find('&');
      take_option(rest.substr(0, ampersand));
      if (ampersand == std::string_view::npos) return spec_;
      rest.remove_prefix(ampersand + 1);
    }
  }

 private:
  void take_option(std::string_view assignment) {
    const std::size_t equals = assignment.find('=');
    const std::string_view key = assignment.substr(0, equals);
    const auto option = std::ranges::find(options, key, &Option::key);
    if (option == options.end()) fail_unknown(key);
    bool Option::*const source = spec_.is_mix() ? &Option::of_mix : &Option::of_files;
    if (!((*option).*source)) {
      fail(fmt::format("option '{}' does not apply to {}", key, spec_.is_mix() ? "mix" : "a capture file"),
           fmt::format("leave it out; {} takes {}", spec_.is_mix() ? "mix" : "a capture file", keys_of(source)));
    }
    if (std::ranges::find(taken_, key) != taken_.end()) {
      fail(fmt::format("option '{}' is given twice", key), "give it once");
    }
    taken_.push_back(key);
    if (equals == std::string_view::npos) {
      fail(fmt::format("option '{}' has no value", key), fmt::format("give {}= {}", key, option->accepted));
    }
    const std::string_view value = assignment.substr(equals + 1);
    if (!option->parse(value, spec_)) {
      fail(fmt::format("option '{}' does not take '{}'", key, value), fmt::format("give {}", option->accepted));
    }
  }

  [[noreturn]] void fail_unknown(std::string_view key) const {
    const std::string taken = keys_of(spec_.is_mix() ? &Option::of_mix : &Option::of_files);
    const std::string known = fmt::format("{} takes {}", spec_.is_mix() ? "mix" : "a capture file", taken);
    if (key.empty()) fail("an option is empty", "write options as ?key=value&key=value; " + known);
    const std::string reason = fmt::format("there is no option '{}'", key);
    constexpr std::size_t longest_key_with_a_typo = 8;
    if (key.size() <= longest_key_with_a_typo) {
      const auto nearest =
          std::ranges::min_element(options, {}, [key](const Option& option) { return edit_distance(key, option.key); });
      if (edit_distance(key, nearest->key) <= 2) fail(reason, fmt::format("did you mean {}? {}", nearest->key, known));
    }
    fail(reason, known + "; end a path that holds a '?' with one more '?'");
  }

  [[noreturn]] void fail(std::string reason, std::string mend) const {
    throw Error("cannot use traffic", std::string(text_), std::move(reason), std::move(mend));
  }

  std::string_view text_;
  TrafficSpec spec_;
  std::vector<std::string_view> taken_;
};

}  // namespace

std::optional<Rate> parse_rate(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower == "max") return Rate{};
  if (lower.empty() || std::isdigit(static_cast<unsigned char>(lower.front())) == 0) return {};  // "inf", "-1G"
  double number = 0;
  const char* const text_end = lower.data() + lower.size();
  const auto [end, error] = std::from_chars(lower.data(), text_end, number, std::chars_format::fixed);
  if (error != std::errc()) return {};
  std::string_view suffix(end, static_cast<std::size_t>(text_end - end));
  const double factor = take_decimal_prefix(suffix);
  const double value = number * factor;
  if (suffix == "pps") {
    if (value < 1e-3 || value > 1e9) return {};
    return Rate{.unit = Rate::Unit::frames_per_second, .value = value};
  }
  // A bare number is refused: who writes rate=10 means 10G, not a frame a minute.
  if (!suffix.empty() || factor <= 1 || value < 1e3 || value > 1e12) return {};
  return Rate{.unit = Rate::Unit::bits_per_second, .value = value};
}

std::uint64_t Rate::spacing_ps(std::uint32_t wire_length) const noexcept {
  constexpr long double picoseconds = 1e12L;
  constexpr std::uint64_t fcs_preamble_and_gap = 4 + 8 + 12;
  long double spacing = 0;
  if (unit == Unit::bits_per_second) {
    // In long double every product of a length and 8e12 up to 2 MB is exact, and so is every whole quotient.
    spacing = static_cast<long double>((wire_length + fcs_preamble_and_gap) * 8) * picoseconds / value;
  } else if (unit == Unit::frames_per_second) {
    spacing = picoseconds / value;
  }
  constexpr std::uint64_t longest_spacing = std::numeric_limits<std::int64_t>::max();
  return spacing < longest_spacing ? static_cast<std::uint64_t>(std::llround(spacing)) : longest_spacing;
}

TrafficSpec parse_traffic(std::string_view text) {
  return Parser(text).parse();
}

}  // namespace ixcap::emulator
