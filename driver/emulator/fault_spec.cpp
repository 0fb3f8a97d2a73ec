#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>
#include <utility>

#include <ixcap/driver/emulator/fault_spec.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::emulator {
namespace {

template <typename Value>
struct Key {
  std::string_view name;
  Value FaultSpec::*member;
};

constexpr std::size_t kinds_of_damage = 9;  // the first of the shares

constexpr std::array<Key<double>, 13> shares{{{"crc-errors", &FaultSpec::crc_errors},
                                              {"length-errors", &FaultSpec::length_errors},
                                              {"symbol-errors", &FaultSpec::symbol_errors},
                                              {"error-bytes", &FaultSpec::error_bytes},
                                              {"runts", &FaultSpec::runts},
                                              {"fragments", &FaultSpec::fragments},
                                              {"oversize", &FaultSpec::oversize},
                                              {"jabber", &FaultSpec::jabber},
                                              {"dma-faults", &FaultSpec::dma_faults},
                                              {"late-write-back", &FaultSpec::late_write_back},
                                              {"reordered-write-back", &FaultSpec::reordered_write_back},
                                              {"starvation", &FaultSpec::starvation},
                                              {"lost-interrupts", &FaultSpec::lost_interrupts}}};
constexpr std::array<Key<std::uint64_t>, 4> numbers{{{"remove-after", &FaultSpec::remove_after},
                                                     {"receive-hang", &FaultSpec::receive_hang},
                                                     {"ecc-error", &FaultSpec::ecc_error},
                                                     {"seed", &FaultSpec::seed}}};
constexpr std::array<Key<std::uint64_t>, 1> times{{{"link-flap", &FaultSpec::link_flap_ns}}};
constexpr std::array<Key<bool>, 4> switches{{{"stuck-reset", &FaultSpec::stuck_reset},
                                             {"stuck-enable", &FaultSpec::stuck_enable},
                                             {"transmit-hang", &FaultSpec::transmit_hang},
                                             {"remove", &FaultSpec::remove}}};

struct Unit {
  std::string_view name;
  std::uint64_t nanoseconds;
};
// The longest first: that is how a time is printed.
constexpr std::array<Unit, 4> units{{{"s", 1'000'000'000}, {"ms", 1'000'000}, {"us", 1000}, {"ns", 1}}};
constexpr std::uint64_t longest_time_ns = 3'600'000'000'000;

bool parse_share(std::string_view text, double& share) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, share);
  return error == std::errc() && stop == end && share >= 0 && share <= 1;  // a NaN is neither
}

bool parse_number(std::string_view text, std::uint64_t& number) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end;
}

bool parse_time(std::string_view text, std::uint64_t& time_ns) {
  const char* const end = text.data() + text.size();
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return false;
  const std::string_view name(stop, static_cast<std::size_t>(end - stop));
  if (number == 0 && name.empty()) {
    time_ns = 0;
    return true;
  }
  const auto unit = std::ranges::find(units, name, &Unit::name);
  if (unit == units.end() || number > longest_time_ns / unit->nanoseconds) return false;
  time_ns = number * unit->nanoseconds;
  return true;
}

bool parse_switch(std::string_view text, bool& value) {
  value = text == "on";
  return value || text == "off";
}

class Parser {
 public:
  Parser(std::string_view text, const FaultSpec& base) : text_(text), spec_(base) {}

  FaultSpec result() {
    if (text_ == "none") return {};
    std::string_view rest = text_;
    for (;;) {
      const std::size_t comma = rest.find(',');
      take(rest.substr(0, comma));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
    constexpr double room_for_rounding = 1e-9;
    if (spec_.damaged_frames() > 1 + room_for_rounding) {
      fail("more frames than all would be bad", "give shares of frames that add up to 1 at most");
    }
    return spec_;
  }

 private:
  void take(std::string_view assignment) {
    const std::size_t equals = assignment.find('=');
    const std::string_view key = assignment.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? "on" : assignment.substr(equals + 1);
    constexpr const char* share = "a share from 0 to 1 (0.01)";
    if (key == "bad-frames") return take_bad_frames(value);
    if (take(shares, key, value, parse_share, share)) return;
    if (take(numbers, key, value, parse_number, "a number from 0 to 18446744073709551615")) return;
    if (take(times, key, value, parse_time, "a time up to an hour (500ms, 20us, 2s), or 0 for never")) return;
    if (take(switches, key, value, parse_switch, "on or off")) return;
    fail(key.empty() ? std::string("a fault is empty") : fmt::format("there is no fault '{}'", key),
         "give some of " + known() + "; or none");
  }

  template <typename Keys, typename Value>
  bool take(const Keys& keys, std::string_view key, std::string_view value, bool (*parse)(std::string_view, Value&),
            std::string_view accepted) {
    const auto found = std::ranges::find(keys, key, [](const auto& entry) { return entry.name; });
    if (found == keys.end()) return false;
    if (!parse(value, spec_.*found->member)) refuse(key, value, accepted);
    return true;
  }

  /// The eight ways for a frame to be bad, in equal parts.
  void take_bad_frames(std::string_view value) {
    double share = 0;
    if (!parse_share(value, share)) refuse("bad-frames", value, "a share from 0 to 1 (0.01)");
    constexpr std::size_t ways = kinds_of_damage - 1;
    for (std::size_t i = 0; i < ways; ++i) spec_.*shares[i].member = share / ways;
  }

  static std::string known() {
    std::string names = "bad-frames";
    const auto add = [&names](const auto& keys) {
      for (const auto& key : keys) names += fmt::format(", {}", key.name);
    };
    add(shares);
    add(times);
    add(numbers);
    add(switches);
    return names;
  }

  [[noreturn]] void refuse(std::string_view key, std::string_view value, std::string_view accepted) const {
    fail(fmt::format("fault '{}' does not take '{}'", key, value), fmt::format("give {}", accepted));
  }
  [[noreturn]] void fail(std::string reason, std::string mend) const {
    throw Error("cannot use faults", std::string(text_), std::move(reason), std::move(mend));
  }

  std::string_view text_;
  FaultSpec spec_;
};

std::string time_text(std::uint64_t time_ns) {
  const auto unit = std::ranges::find_if(units, [time_ns](const Unit& one) { return time_ns % one.nanoseconds == 0; });
  return fmt::format("{}{}", time_ns / unit->nanoseconds, unit->name);
}

}  // namespace

bool FaultSpec::any() const noexcept {
  FaultSpec without;
  without.seed = seed;
  return *this != without;
}

double FaultSpec::damaged_frames() const noexcept {
  double sum = 0;
  for (std::size_t i = 0; i < kinds_of_damage; ++i) sum += this->*shares[i].member;
  return sum;
}

std::string FaultSpec::to_string() const {
  std::string text;
  const auto add = [&text](std::string_view name, const std::string& value) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, value);
  };
  for (const auto& key : shares) {
    if (this->*key.member > 0) add(key.name, fmt::format("{}", this->*key.member));
  }
  for (const auto& key : times) {
    if (this->*key.member != 0) add(key.name, time_text(this->*key.member));
  }
  for (const auto& key : switches) {
    if (this->*key.member) add(key.name, "on");
  }
  for (const auto& key : numbers) {
    if (this->*key.member != FaultSpec{}.*key.member) add(key.name, fmt::format("{}", this->*key.member));
  }
  return text.empty() ? "none" : text;
}

FaultSpec parse_faults(std::string_view text, const FaultSpec& base) {
  return Parser(text, base).result();
}

}  // namespace ixcap::emulator
