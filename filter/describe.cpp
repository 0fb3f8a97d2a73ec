#include <fmt/format.h>

#include <algorithm>

#include <ixcap/filter/describe.hpp>

namespace ixcap::filter {
namespace {

std::string describe(const Graph& graph, ValueId id);

std::string place(const Graph& graph, ValueId base, std::uint32_t offset, unsigned width) {
  if (base == no_value) return fmt::format("[{}:{}]", offset, width);
  return fmt::format("[{}+{}:{}]", describe(graph, base), offset, width);
}

std::string_view sign(ValueKind kind) {
  switch (kind) {
    case ValueKind::add:
      return "+";
    case ValueKind::subtract:
      return "-";
    case ValueKind::multiply:
      return "*";
    case ValueKind::divide:
      return "/";
    case ValueKind::modulo:
      return "%";
    case ValueKind::bit_and:
      return "&";
    case ValueKind::bit_or:
      return "|";
    case ValueKind::bit_xor:
      return "^";
    case ValueKind::shift_left:
      return "<<";
    default:
      return ">>";
  }
}

std::string describe(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (value.kind == ValueKind::constant) return fmt::format("{:#x}", value.k);
  if (value.kind == ValueKind::wire_length) return "wire length";
  if (value.kind == ValueKind::load) return place(graph, value.left, value.k, value.size);
  if (const auto header = graph.header_length_at(id)) return fmt::format("4*([{}]&0xf)", *header);
  return fmt::format("({} {} {})", describe(graph, value.left), sign(value.kind), describe(graph, value.right));
}

/// From memory's order to the network's.
std::uint64_t network_order(std::uint64_t number, unsigned width) {
  return __builtin_bswap64(number) >> (64 - 8 * width);
}

std::string describe(const Graph& graph, const Field& field) {
  std::string text = place(graph, field.base, field.offset, field.width);
  const std::uint64_t mask = network_order(field.mask, field.width);
  if (mask != ~std::uint64_t{0} >> (64 - 8 * field.width)) text += fmt::format(" & {:#x}", mask);
  return text;
}

}  // namespace

std::string describe(const Graph& graph, const Test& test) {
  switch (test.kind) {
    case TestKind::field_equals:
      return fmt::format("{} = {:#x}", describe(graph, test.field), network_order(test.constant, test.field.width));
    case TestKind::field_in:
      return fmt::format("{} in {{{} constants}}", describe(graph, test.field), graph.constants(test.set).size());
    case TestKind::length_covers:
      if (test.left == no_value) return fmt::format("length >= {}", test.constant);
      return fmt::format("length >= {} + {}", describe(graph, test.left), test.constant);
    case TestKind::any_bit:
      return fmt::format("{} & {} != 0", describe(graph, test.left), describe(graph, test.right));
    default:
      return fmt::format("{} {} {}", describe(graph, test.left),
                         test.kind == TestKind::equal     ? "="
                         : test.kind == TestKind::greater ? ">"
                                                          : ">=",
                         describe(graph, test.right));
  }
}

std::string describe_with_origins(const Graph& graph, TestId test) {
  std::string text = describe(graph, graph.test(test));
  const auto origins = graph.origins(test);
  constexpr std::size_t most_shown = 8;
  if (!origins.empty()) text += " <-";
  for (const Origin& origin : origins.first(std::min(origins.size(), most_shown))) {
    text += graph.roots().size() > 1 ? fmt::format(" ({}:{:03})", origin.program, origin.instruction)
                                     : fmt::format(" ({:03})", origin.instruction);
  }
  if (origins.size() > most_shown) text += " ...";
  return text;
}

}  // namespace ixcap::filter
