#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include <ixcap/driver/idle.hpp>
#include <ixcap/filter/live_set.hpp>

namespace ixcap::filter {

LiveSet::LiveSet(std::vector<Filter> filters, EngineMaker make_engine)
    : make_engine_(std::move(make_engine)), seats_(seated(std::move(filters))), current_(compiled(seats_).release()) {}

LiveSet::Seats LiveSet::seated(std::vector<Filter> filters) {
  Seats seats;
  if (filters.size() > most_filters) {
    throw Error("cannot make filter set", "", fmt::format("{} filters, more than {}", filters.size(), most_filters),
                "join some of them with 'or', or start a second capture");
  }
  for (std::size_t i = 0; i < filters.size(); ++i) seats[i] = std::make_shared<const Filter>(std::move(filters[i]));
  return seats;
}

LiveSet::~LiveSet() {
  delete current_.load(std::memory_order_relaxed);  // relaxed: no other thread is left
}

unsigned LiveSet::add(Filter filter) {
  const std::scoped_lock lock(changing_);
  const auto free = std::ranges::find_if(seats_, [](const auto& taken) { return taken == nullptr; });
  if (free == seats_.end()) {
    throw Error("cannot add a filter", "", fmt::format("there are {} already", most_filters),
                "remove one, or join two with 'or'");
  }
  const auto bit = static_cast<unsigned>(free - seats_.begin());
  change(bit, std::make_shared<const Filter>(std::move(filter)));
  return bit;
}

void LiveSet::replace(unsigned bit, Filter filter) {
  const std::scoped_lock lock(changing_);
  check_in_use(bit);
  change(bit, std::make_shared<const Filter>(std::move(filter)));
}

void LiveSet::remove(unsigned bit) {
  const std::scoped_lock lock(changing_);
  check_in_use(bit);
  change(bit, nullptr);
}

std::uint64_t LiveSet::bits() const {
  const std::scoped_lock lock(changing_);
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < seats_.size(); ++i) bits |= std::uint64_t{seats_[i] != nullptr} << i;
  return bits;
}

void LiveSet::check_in_use(unsigned bit) const {
  if (bit < most_filters && seats_[bit]) return;
  throw Error("cannot change a filter", fmt::format("bit {}", bit), "no filter has it",
              "give a bit that add() returned and that was not removed since");
}

void LiveSet::change(unsigned bit, std::shared_ptr<const Filter> filter) {
  Seats next = seats_;
  next[bit] = std::move(filter);
  std::unique_ptr<const Set> set = compiled(next);
  Filters after = taken(next);
  if (watcher_) {
    Filters both = after;
    if (seats_[bit]) both.push_back(seats_[bit]);
    watcher_(both);
  }
  publish(std::move(set));
  static_assert(std::is_nothrow_move_assignable_v<Seats>);  // readers see the change already
  seats_ = std::move(next);
  if (watcher_) watcher_(after);
}

LiveSet::Filters LiveSet::taken(const Seats& seats) {
  Filters filters(seats.begin(), seats.end());
  std::erase(filters, nullptr);
  return filters;
}

void LiveSet::watch(Watcher watcher) {
  const std::scoped_lock lock(changing_);
  watcher_ = std::move(watcher);
  if (watcher_) watcher_(taken(seats_));
}

/// Up to the highest bit in use, and at least one: a Set without filters would match everything.
std::unique_ptr<const Set> LiveSet::compiled(const Seats& seats) const {
  std::vector<Filter> programs;
  std::size_t count = seats.size();
  while (count > 1 && !seats[count - 1]) --count;
  for (const auto& filter : std::span(seats).first(count)) {
    programs.push_back(filter ? *filter : Filter{Program::returning(0)});
  }
  return std::make_unique<const Set>(programs, make_engine_);
}

/// Returns when no reader can be inside the Set before.
///
/// seq_cst, here and in match(): a reader stores its cell, then loads `current_`; this stores `current_`, then loads
/// the cells. In the one order of these four, either the reader's store comes before this load, which then sees the
/// reader, or this exchange comes before the reader's load, which then sees the new Set and leaves the old one alone.
void LiveSet::publish(std::unique_ptr<const Set> next) noexcept {
  const std::unique_ptr<const Set> before(current_.exchange(next.release(), std::memory_order_seq_cst));
  for (const Cell& cell : cells_) {
    // Being seq_cst it is an acquire, too: what the reader did inside comes before the Set is freed.
    Idle idle;
    while (cell.inside.load(std::memory_order_seq_cst) == before.get()) idle.wait();
  }
}

LiveSet::Reader LiveSet::reader() {
  for (Cell& cell : cells_) {
    bool taken = false;
    // acquire: the reader that had the cell before has left it.
    if (cell.taken.compare_exchange_strong(taken, true, std::memory_order_acquire, std::memory_order_relaxed)) {
      return {*this, cell};
    }
  }
  throw Error("cannot give another filter reader", "", fmt::format("there are {} already", most_readers),
              "take one a thread, and drop those of threads that have ended");
}

LiveSet::Reader::~Reader() {
  if (cell_ != nullptr) cell_->taken.store(false, std::memory_order_release);  // release: pairs with reader()'s acquire
}

void LiveSet::Reader::match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) noexcept {
  const Set* set = set_->current_.load(std::memory_order_relaxed);  // relaxed: a guess, confirmed below
  while (true) {
    cell_->inside.store(set, std::memory_order_seq_cst);  // seq_cst: as publish() argues
    // Again only after a change in between. Being seq_cst it is an acquire: the Set is seen complete.
    const Set* const now = set_->current_.load(std::memory_order_seq_cst);
    if (now == set) break;
    set = now;
  }
  set->match(frames, match_sets);
  cell_->inside.store(nullptr, std::memory_order_release);  // release: the reading comes before the freeing
}

}  // namespace ixcap::filter
