#include <fmt/format.h>

#include <string>
#include <string_view>

#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

// PREFIX value(0) or value(1) or ... or value(count - 1), with the first value somewhere in the middle.
template <typename Value>
std::string any_of(std::string_view prefix, int count, Value value) {
  std::string expression;
  for (int i = 0; i < count; ++i) {
    if (i != 0) expression += " or ";
    expression += fmt::format("{} {}", prefix, value((i + count / 2) % count));
  }
  return expression;
}

}  // namespace

std::vector<std::string> sample_lists() {
  const auto host = [](int i) { return fmt::format("10.{}.{}.{}", i % 3, i / 7, i * 5 % 251 + 1); };
  const auto scattered_host = [](int i) { return fmt::format("{}.{}.0.1", i * 37 % 223 + 1, i * 91 % 256); };
  const auto port = [](int i) { return i * 127 + 80; };
  const auto net = [](int i) { return fmt::format("10.{}.0.0/16", i * 2); };
  const auto mixed_net = [](int i) { return fmt::format("{}.0.0.0/{}", 8 * (i + 1), 5 + i % 4); };
  const auto host6 = [](int i) { return fmt::format("2001:db8::{:x}", i * 3 + 1); };
  const auto net6 = [](int i) { return fmt::format("2001:db{:x}::/{}", i + 8, 32 + i); };
  const auto mac = [](int i) { return fmt::format("02:00:00:00:{:02x}:{:02x}", i / 2, i % 2 + 1); };
  const auto number = [](int i) { return i * 5; };
  return {
      any_of("host", 10, host),
      any_of("host", 100, host),
      any_of("host", 30, scattered_host),
      any_of("src host", 40, host),
      any_of("dst", 25, scattered_host) + " or dst 10.0.0.2",
      "not (" + any_of("src", 20, host) + ")",
      "tcp and (" + any_of("ip host", 16, host) + ")",
      any_of("port", 12, port),
      any_of("tcp dst port", 64, port),
      any_of("udp port", 20, number),
      "tcp and not (" + any_of("port", 15, port) + ")",
      any_of("net", 40, net),
      any_of("src net", 12, mixed_net),
      any_of("ip6 host", 10, host6),
      any_of("dst host", 24, host6),
      any_of("net", 12, net6),
      any_of("ether host", 16, mac),
      any_of("ether src", 40, mac),
      any_of("ip proto", 30, number),
      any_of("ether proto", 20, [](int i) { return 0x0800 + i * 3; }),
      any_of("vlan", 6, number),
      any_of("portrange", 8, [](int i) { return fmt::format("{}-{}", i * 1000 + 20, i * 1000 + 90); }),
      any_of("tcp[13] =", 20, number),
      any_of("len =", 24, [](int i) { return i * 2 + 54; }),
      any_of("udp[8:4] =", 10, number),
      "(" + any_of("src", 12, host) + ") and (" + any_of("dst", 12, [](int i) { return fmt::format("10.0.0.{}", i); }) +
          ") and (" + any_of("port", 6, port) + ")",
  };
}

}  // namespace ixcap::filter
