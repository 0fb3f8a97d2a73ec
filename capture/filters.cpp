#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include <ixcap/capture/filters.hpp>
#include <ixcap/capture/frame_clock.hpp>
#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/vlan_aware.hpp>

namespace ixcap::capture {
namespace {

filter::Program program_of(std::string_view expression, bool vlan_aware) {
  if (expression.empty()) return filter::Program::returning(1);
  return vlan_aware ? filter::compile_vlan_aware(expression) : filter::compile(expression);
}

std::string named(std::string_view expression) {
  return std::string(expression.empty() ? "every packet" : expression);
}

}  // namespace

std::string FilterChange::to_string() const {
  const std::string who = by.empty() ? "" : " by " + by;
  switch (kind) {
    case Kind::added:
      return fmt::format("filter {} is added{}: {}", bit, who, named(expression));
    case Kind::replaced:
      return fmt::format("filter {} is replaced{}: {}, which was {}", bit, who, named(expression), named(before));
    case Kind::removed:
      break;
  }
  return fmt::format("filter {} is removed{}, which was {}", bit, who, named(expression));
}

Filters::Filters(std::string_view expression, bool vlan_aware)
    : vlan_aware_(vlan_aware), entries_{{0, std::string(expression)}}, live_({compiled(expression)}) {}

filter::Filter Filters::compiled(std::string_view expression) const {
  return {program_of(expression, vlan_aware_)};
}

unsigned Filters::add(std::string_view expression, std::string by) {
  return added(compiled(expression), std::string(expression), std::move(by));
}

unsigned Filters::add(filter::Filter filter, std::string words) {
  return added(std::move(filter), std::move(words), {});
}

unsigned Filters::added(filter::Filter filter, std::string words, std::string by) {
  const std::scoped_lock lock(mutex_);
  const unsigned bit = live_.add(std::move(filter));
  const auto behind = std::ranges::find_if(entries_, [bit](const Entry& entry) { return entry.bit > bit; });
  entries_.insert(behind, {bit, words});
  tell({.kind = FilterChange::Kind::added, .bit = bit, .expression = std::move(words), .by = std::move(by)});
  return bit;
}

void Filters::replace(unsigned bit, std::string_view expression, std::string by) {
  replaced(bit, compiled(expression), std::string(expression), std::move(by));
}

void Filters::replace(unsigned bit, filter::Filter filter, std::string words) {
  replaced(bit, std::move(filter), std::move(words), {});
}

void Filters::replaced(unsigned bit, filter::Filter filter, std::string words, std::string by) {
  const std::scoped_lock lock(mutex_);
  live_.replace(bit, std::move(filter));
  std::string before = std::exchange(find(bit)->expression, words);
  tell({.kind = FilterChange::Kind::replaced,
        .bit = bit,
        .expression = std::move(words),
        .before = std::move(before),
        .by = std::move(by)});
}

void Filters::remove(unsigned bit, std::string by) {
  const std::scoped_lock lock(mutex_);
  live_.remove(bit);
  std::string words = std::move(find(bit)->expression);
  std::erase_if(entries_, [bit](const Entry& entry) { return entry.bit == bit; });
  tell({.kind = FilterChange::Kind::removed, .bit = bit, .expression = std::move(words), .by = std::move(by)});
}

std::vector<Filters::Entry> Filters::list() const {
  const std::scoped_lock lock(mutex_);
  return entries_;
}

std::vector<FilterChange> Filters::changes_since(std::uint64_t seen) const {
  const std::scoped_lock lock(mutex_);
  const auto first = std::ranges::find_if(history_, [seen](const auto& change) { return change.number > seen; });
  return {first, history_.end()};
}

/// The entry of a bit that live_ knows.
Filters::Entry* Filters::find(unsigned bit) noexcept {
  return &*std::ranges::find(entries_, bit, &Entry::bit);
}

void Filters::tell(FilterChange change) {
  change.number = changes_.load(std::memory_order_relaxed) + 1;  // relaxed: only written here, under the mutex
  change.time_ns = FrameClock::now_ns();
  if (history_.size() == changes_kept) history_.pop_front();
  history_.push_back(std::move(change));
  // release: pairs with changes(), though whoever looks closer takes the mutex.
  changes_.store(history_.back().number, std::memory_order_release);
}

}  // namespace ixcap::capture
