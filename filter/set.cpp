#include <fmt/format.h>
#include <pcap/bpf.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include <ixcap/filter/engines.hpp>
#include <ixcap/filter/set.hpp>

namespace ixcap::filter {
namespace {

bool is_single_return(const Program& program) noexcept {
  const auto instructions = program.instructions();
  return instructions.size() == 1 && instructions.front().code == (BPF_RET | BPF_K);
}

/// Bit f is set if match_sets[f] has one of `bits`.
std::uint64_t frames_with(std::uint64_t bits, std::span<const std::uint64_t> match_sets) noexcept {
  std::uint64_t frames = 0;
  for (std::size_t f = 0; f < match_sets.size(); ++f) {
    frames |= std::uint64_t{(match_sets[f] & bits) != 0} << f;
  }
  return frames;
}

}  // namespace

std::unique_ptr<const Engine> make_best_engine(std::span<const Program> programs) {
  return make_engine(best_engine(), programs);
}

Set::Set(std::span<const Program> programs) : size_(programs.size()) {
  set_engine(programs, make_best_engine);
}

Set::Set(std::span<const Filter> filters, const EngineMaker& make_engine) : size_(filters.size()) {
  std::vector<Program> programs;
  std::ranges::transform(filters, std::back_inserter(programs), &Filter::program);
  set_engine(programs, make_engine);
  for (std::size_t i = 0; i < filters.size(); ++i) {
    if (!filters[i].flows) continue;
    if (filters[i].join.key == KeyFrom::host && filters[i].flows->kind() != FlowKind::addresses) {
      throw Error("cannot make filter set", filters[i].flows->name(),
                  "KeyFrom::host finds no ports, and it holds flows", "take KeyFrom::packet");
    }
    const std::uint64_t bit = std::uint64_t{1} << i;
    joins_.push_back({bit, filters[i].flows, filters[i].join});
    (filters[i].join.key == KeyFrom::host ? joined_by_host_ : joined_by_packet_) |= bit;
  }
}

void Set::set_engine(std::span<const Program> programs, const EngineMaker& make_engine) {
  if (programs.size() > most_filters) {
    throw Error("cannot make filter set", "", fmt::format("{} filters, more than {}", programs.size(), most_filters),
                "join some of them with 'or', or start a second capture");
  }
  if (programs.empty()) return;
  if (!std::ranges::all_of(programs, is_single_return)) {
    engine_ = make_engine(programs);
    return;
  }
  constant_ = 0;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    if (programs[i].instructions().front().k != 0) constant_ |= std::uint64_t{1} << i;
  }
}

void Set::match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept {
  assert(frames.size() <= batch_size && frames.size() <= match_sets.size());
  if (engine_) {
    engine_->match(frames, match_sets);
  } else {
    std::ranges::fill(match_sets.first(frames.size()), constant_);
  }
  if (joined_by_packet_ != 0) join_flows(frames, match_sets, KeyFrom::packet, joined_by_packet_);
  if (joined_by_host_ != 0) join_flows(frames, match_sets, KeyFrom::host, joined_by_host_);
}

/// Asks the flow sets whose keys are read that way, and takes the bits they deny out of `match_sets`.
void Set::join_flows(std::span<const Frame> frames, std::span<std::uint64_t> match_sets, KeyFrom key,
                     std::uint64_t bits) const noexcept {
  const auto answers = match_sets.first(frames.size());
  const std::uint64_t asked = frames_with(bits, answers);
  if (asked == 0) return;
  std::array<FrameKey, batch_size> keys;
  for (std::uint64_t left = asked; left != 0; left &= left - 1) {
    const auto f = static_cast<std::size_t>(std::countr_zero(left));
    keys[f] = key == KeyFrom::host ? host_key(frames[f]) : frame_key(frames[f]);
  }
  for (const Join& join : joins_) {
    if (join.how.key != key) continue;
    const std::uint64_t let_through = frames_with(join.bit, answers);
    const std::uint64_t in_set = join.flows->match(keys, let_through, join.how.side);
    for (std::uint64_t out = let_through & (join.how.inside ? ~in_set : in_set); out != 0; out &= out - 1) {
      answers[static_cast<std::size_t>(std::countr_zero(out))] &= ~join.bit;
    }
  }
}

}  // namespace ixcap::filter
