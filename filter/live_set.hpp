#pragma once

/// A set of filters that changes while traffic flows through it.
///
///     filter::LiveSet filters;
///     const unsigned web = filters.add({filter::compile("tcp port 80")});
///     auto reader = filters.reader();              // one a thread
///     reader.match(frames, match_sets);            // the set of that moment answers for the whole batch
///     filters.remove(web);                         // from another thread; returns when no reader runs the program
///
/// A change compiles a new Set beside the one that runs and swaps a pointer. A batch is answered by one Set, the old or
/// the new. The old one is freed when no reader is inside it: each reader says in a cache line of its own which Set it
/// is in (a hazard pointer), which costs it one exchange on that line and one store a batch. Readers never wait for a
/// change; a change waits for the batch that each reader is at, by Idle.
///
/// A filter keeps its bit until it is removed; the lowest free bit is given to the next one. So a frame that was
/// matched before a remove() may still come out of a capture ring afterwards, and then with a bit that may by now be
/// another filter's.
///
/// A LiveSet matches what its filters match: without any, as at first and after the last is removed, *nothing*. It
/// never falls back to everything, as a Set without filters does; ask for that with Program::returning(1).
///
/// Threads: add, replace, remove and bits: any, one change at a time under a mutex. reader(): any; the Reader: one
/// thread at a time. The LiveSet outlives its Readers.
/// Errors: Error from add, replace, remove and reader(); the filters are then as they were.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/set.hpp>

namespace ixcap::filter {

class LiveSet {
  struct Cell;

 public:
  /// Readers at the same time.
  static constexpr std::size_t most_readers = 32;

  /// Filter i is filters[i], at most most_filters. `make_engine` makes the engine of this Set and of every one to come.
  explicit LiveSet(std::vector<Filter> filters = {}, EngineMaker make_engine = make_best_engine);
  ~LiveSet();
  LiveSet(const LiveSet&) = delete;
  LiveSet& operator=(const LiveSet&) = delete;

  /// The bit that now answers for it. Throws Error if there are most_filters, or if it cannot be compiled.
  unsigned add(Filter filter);

  /// The filter of that bit is another from now on: frames match the old one or the new one, never both or neither.
  /// Throws Error if the bit has none.
  void replace(unsigned bit, Filter filter);

  /// Nothing matches that bit any more. Throws Error if the bit has none.
  void remove(unsigned bit);

  /// The bits that are in use.
  std::uint64_t bits() const;

  /// Told of the filters that frames may be matched by: at once; before a change, of those from before and from after
  /// it together; and of the ones from after it when no reader uses the others any more. Called one at a time, by
  /// whoever makes the change; must not throw, nor change the set. Replaces the watcher before; empty: nobody.
  using Filters = std::vector<std::shared_ptr<const Filter>>;
  using Watcher = std::function<void(const Filters&)>;
  void watch(Watcher watcher);

  class Reader {
   public:
    Reader(Reader&& other) noexcept : set_(other.set_), cell_(std::exchange(other.cell_, nullptr)) {}
    Reader& operator=(Reader&&) = delete;
    ~Reader();

    /// As Set::match, by the Set of this moment.
    void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) noexcept;

   private:
    friend class LiveSet;
    Reader(const LiveSet& set, Cell& cell) noexcept : set_(&set), cell_(&cell) {}

    const LiveSet* set_;
    Cell* cell_;  // null: moved from
  };

  /// Throws Error if there are most_readers.
  Reader reader();

 private:
  struct alignas(64) Cell {
    std::atomic<const Set*> inside = nullptr;  // the Set its reader may be in
    std::atomic<bool> taken = false;
  };
  using Seats = std::array<std::shared_ptr<const Filter>, most_filters>;  // null: the bit is free

  static Seats seated(std::vector<Filter> filters);
  static Filters taken(const Seats& seats);
  std::unique_ptr<const Set> compiled(const Seats& seats) const;
  void change(unsigned bit, std::shared_ptr<const Filter> filter);
  void publish(std::unique_ptr<const Set> next) noexcept;
  void check_in_use(unsigned bit) const;

  const EngineMaker make_engine_;
  mutable std::mutex changing_;
  Seats seats_;                                  // under changing_
  Watcher watcher_;                              // under changing_
  alignas(64) std::atomic<const Set*> current_;  // never null; owned
  std::array<Cell, most_readers> cells_;
};

}  // namespace ixcap::filter
