#pragma once

/// How the producer of a ring and its readers agree: positions, readers who come and go, and who sleeps. Bytes and
/// records are ring.hpp's business.
///
/// Everything here is a template over the atomics that it uses. Captures run it with StdAtomics. The test
/// RingModel runs the same code under a model checker, weakens every RingOrder below in turn, and expects that to be
/// noticed; so there is no order here that is stronger than it has to be, and none that is not named.
///
///     producer                                              reader
///     write records; published = end     (publish)    ───►  load published              (see_published); read records
///     load cursor; overwrite             (see_cursor) ◄───  cursor = end of what it read   (release_cursor)   lossless
///     oldest = mark; overwrite           (overwrite)  ───►  copy; is `oldest` behind it?   (check)            lossy
///     published = end; who waits?        (wake)       ◄──►  waiting = 1; anything new?     (sleep)
///     start = where it begins            (admit)      ───►  load start                     (see_start)
///
/// A *mark* is the start of a record, about every segment's length, with what each lossy reader had missed up to there
/// if it had read nothing: so a reader that was overrun knows a place where a record starts and how many it has lost.
///
/// Readers come and go under the registry's mutex, which the producer, once it has begun, only ever tries to take, and
/// only when there has been a change.

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace ixcap::capture {

/// The memory orders that the ring depends on, by the place where they are used.
enum class RingOrder : std::uint8_t {
  publish,         ///< release
  see_published,   ///< acquire
  release_cursor,  ///< release
  see_cursor,      ///< acquire
  admit,           ///< release
  see_start,       ///< acquire
  overwrite,       ///< release fence
  check,           ///< acquire fence
  see_oldest,      ///< acquire
  wake,            ///< sequentially consistent fence
  sleep,           ///< sequentially consistent fence
};
inline constexpr unsigned ring_orders = 11;

/// The atomics of shared memory.
struct StdAtomics {
  template <typename T>
  using Atomic = std::atomic<T>;
  using Mutex = std::mutex;
  using Order = std::memory_order;

  static constexpr Order relaxed() noexcept { return std::memory_order_relaxed; }
  static constexpr Order acquire(RingOrder) noexcept { return std::memory_order_acquire; }
  static constexpr Order release(RingOrder) noexcept { return std::memory_order_release; }
  static constexpr Order seq_cst(RingOrder) noexcept { return std::memory_order_seq_cst; }
  static void fence(Order order) noexcept {
#ifdef __SANITIZE_THREAD__
    if (order == std::memory_order_seq_cst) _mm_mfence();  // ThreadSanitizer knows no fences; the processor still does
    std::atomic_signal_fence(order);
#else
    std::atomic_thread_fence(order);
#endif
  }
};

enum class ReaderPolicy : std::uint32_t {
  lossless = 0,  ///< the producer waits for this reader
  lossy = 1,     ///< the producer does not look at it; it may be overrun, and learns how many frames it has lost
};

enum class RingState : std::uint8_t {
  open,    ///< more records may come
  ended,   ///< the producer has closed the ring, and every record has been read
  broken,  ///< a record or a position is impossible; nothing more can be read
};

/// Bit 0 of `published`: the ring is closed. Positions are multiples of 16.
inline constexpr std::uint64_t ring_closed = 1;
/// Bit 0 of a page's `start`: the reader has been admitted.
inline constexpr std::uint64_t ring_admitted = 1;

/// Written by the producer only.
template <typename A>
struct RingPositions {
  typename A::template Atomic<std::uint64_t> published;  ///< records before it may be read; bit 0: ring_closed
  typename A::template Atomic<std::uint64_t> oldest;     ///< records before it may be gone
};

template <typename A>
struct RingMark {
  typename A::template Atomic<std::uint64_t> position;  ///< a record starts here, or will
  typename A::template Atomic<std::uint64_t> frames;    ///< frames before it that match this reader's mask
  typename A::template Atomic<std::uint64_t> losses;    ///< what the loss records before it add up to
  std::uint64_t reserved;
};

/// What one reader and the producer share and nobody else sees.
template <typename A, unsigned mark_count>
struct RingPage {
  static constexpr unsigned marks_kept = mark_count;

  alignas(64) typename A::template Atomic<std::uint64_t> cursor;   ///< lossless: everything before it is released
  alignas(64) typename A::template Atomic<std::uint32_t> waiting;  ///< the reader sleeps, or is about to
  alignas(64) typename A::template Atomic<std::uint64_t> start;    ///< where it begins to read; bit 0: ring_admitted
  alignas(64) RingMark<A> marks[mark_count];                       ///< lossy: the last marks, in no order
};

/// In bytes. Any `mark_count` marks in a row cover more than `size`.
struct RingGeometry {
  std::uint64_t size;         ///< of the records, a power of two
  std::uint64_t batch_limit;  ///< the producer writes at most this far past `published`; the longest record
  std::uint64_t segment;      ///< distance of marks
};

/// The readers that there are; private to the producer's process.
template <typename A, typename Page, unsigned reader_limit>
struct RingRegistry {
  enum class Stage : std::uint8_t { empty, joining, active, leaving };
  struct Entry {
    Stage stage = Stage::empty;
    ReaderPolicy policy = ReaderPolicy::lossless;
    std::uint64_t mask = 0;
    Page* page = nullptr;
  };

  typename A::Mutex mutex;                      ///< guards the entries
  typename A::template Atomic<bool> changed{};  ///< a hint; what has changed is found under the mutex
  Entry entries[reader_limit];

  /// Under the mutex. `index` is an empty entry; the page is zero, and stays until the entry is empty again.
  void join(unsigned index, ReaderPolicy policy, std::uint64_t mask, Page* page) noexcept {
    entries[index] = {Stage::joining, policy, mask, page};
    changed.store(true, A::relaxed());
  }

  /// Under the mutex. From the producer's next look on nobody waits for this reader; the entry is empty then.
  void leave(unsigned index) noexcept {
    Stage& stage = entries[index].stage;
    stage = stage == Stage::joining ? Stage::empty : Stage::leaving;
    changed.store(true, A::relaxed());
  }
};

/// Frames, and what loss records add up to.
struct RingCount {
  std::uint64_t frames = 0;
  std::uint64_t losses = 0;
};

/// The producer's side. `Host` has two functions:
///     RingCount count(from, to, mask)   of the records between two positions
///     void wake(index)                  entry `index` sleeps: wake it
template <typename A, typename Page, unsigned reader_limit>
class RingProducerSync {
 public:
  using Registry = RingRegistry<A, Page, reader_limit>;

  RingProducerSync(RingPositions<A>& positions, Registry& registry, const RingGeometry& geometry) noexcept
      : positions_(positions), registry_(registry), geometry_(geometry) {}

  /// Position of a record of `length` bytes; the caller has checked fits() or been told of room by make_room().
  std::uint64_t take(std::uint64_t length) noexcept {
    const std::uint64_t position = reserved_;
    reserved_ += length;
    return position;
  }
  bool fits(std::uint64_t length) const noexcept { return reserved_ + length <= limit_; }

  template <typename Host>
  void publish(Host& host) noexcept {
    // relaxed: a change that is not seen now is seen at the next call.
    if (registry_.changed.load(A::relaxed())) [[unlikely]]
      attend();
    if (published_ == reserved_) return;
    for (unsigned i = 0; i < count_; ++i) {
      if (readers_[i].policy == ReaderPolicy::lossy) count(readers_[i], host);
    }
    published_ = reserved_;
    // release: whoever sees this position sees the records before it.
    positions_.published.store(published_, A::release(RingOrder::publish));
    wake(host);
  }

  template <typename Host>
  void close(Host& host) noexcept {
    publish(host);
    // release: as above; the position may come from a call in which no reader was there to be woken.
    positions_.published.store(published_ | ring_closed, A::release(RingOrder::publish));
    wake(host);
  }

  /// Publishes, and looks for room for a record of `length` bytes; whether there is.
  template <typename Host>
  bool make_room(std::uint64_t length, Host& host) noexcept {
    publish(host);
    limit_ = published_;
    const std::uint64_t needed = published_ + length;
    const std::uint64_t lowest = lowest_cursor();
    if (length > geometry_.batch_limit || needed - lowest > geometry_.size) return false;
    if (needed > last_mark() + geometry_.segment) put_mark();
    if (needed - oldest_ > geometry_.size) retire_marks(needed);
    limit_ = std::min({lowest + geometry_.size, oldest_ + geometry_.size, published_ + geometry_.batch_limit,
                       std::max(needed, last_mark() + geometry_.segment)});
    return true;
  }

  std::uint64_t published() const noexcept { return published_; }
  std::uint64_t cursor_faults() const noexcept { return cursor_faults_; }
  unsigned readers() const noexcept { return count_; }

 private:
  struct Reader {
    Page* page;
    std::uint64_t mask;
    std::uint64_t cursor;  // when last looked at; published_ - cursor <= size
    RingCount passed;      // by what is published, since it was admitted
    unsigned index;
    ReaderPolicy policy;
  };
  static constexpr unsigned mark_count = Page::marks_kept;

  /// Lets in who has come, and forgets who has gone. Does nothing while somebody else holds the mutex, but before the
  /// first record it waits: who has joined by then gets everything.
  void attend() noexcept {
    if (reserved_ == 0)
      registry_.mutex.lock();
    else if (!registry_.mutex.try_lock())
      return;
    registry_.changed.store(false, A::relaxed());
    unsigned kept = 0;
    for (unsigned i = 0; i < count_; ++i) {
      auto& stage = registry_.entries[readers_[i].index].stage;
      if (stage == Registry::Stage::leaving)
        stage = Registry::Stage::empty;
      else
        readers_[kept++] = readers_[i];
    }
    count_ = kept;
    for (unsigned index = 0; index < reader_limit; ++index) {
      auto& entry = registry_.entries[index];
      if (entry.stage != Registry::Stage::joining) continue;
      entry.stage = Registry::Stage::active;
      readers_[count_++] = {entry.page, entry.mask, published_, {}, index, entry.policy};
      entry.page->cursor.store(published_, A::relaxed());
      // release: whoever sees where it starts sees what is published up to there.
      entry.page->start.store(published_ | ring_admitted, A::release(RingOrder::admit));
    }
    registry_.mutex.unlock();
  }

  template <typename Host>
  void count(Reader& reader, Host& host) noexcept {
    const RingCount more = host.count(published_, reserved_, reader.mask);
    reader.passed.frames += more.frames;
    reader.passed.losses += more.losses;
  }

  template <typename Host>
  void wake(Host& host) noexcept {
    if (count_ == 0) return;
    // Sequentially consistent, like the reader's: either we see that it waits, or it sees what we have published.
    A::fence(A::seq_cst(RingOrder::wake));
    for (unsigned i = 0; i < count_; ++i) {
      auto& waiting = readers_[i].page->waiting;
      if (waiting.load(A::relaxed()) == 0) [[likely]]
        continue;
      waiting.store(0, A::relaxed());  // once a sleep; the wake-up that follows makes good for one it overwrites
      host.wake(readers_[i].index);
    }
  }

  /// How far every lossless reader has come.
  std::uint64_t lowest_cursor() noexcept {
    std::uint64_t lowest = published_;
    for (unsigned i = 0; i < count_; ++i) {
      Reader& reader = readers_[i];
      if (reader.policy != ReaderPolicy::lossless) continue;
      // acquire: the reader's reads of what it released come before our writes to it.
      const std::uint64_t cursor = reader.page->cursor.load(A::acquire(RingOrder::see_cursor));
      // One comparison for both ends: reader.cursor <= cursor <= published_.
      if (cursor - reader.cursor <= published_ - reader.cursor)
        reader.cursor = cursor;
      else
        ++cursor_faults_;
      lowest = std::min(lowest, reader.cursor);
    }
    return lowest;
  }

  std::uint64_t last_mark() const noexcept { return marks_[(mark_end_ - 1) % mark_count]; }

  void put_mark() noexcept {
    if (last_mark() == published_) return;
    const unsigned slot = mark_end_++ % mark_count;
    marks_[slot] = published_;
    for (unsigned i = 0; i < count_; ++i) {
      if (readers_[i].policy != ReaderPolicy::lossy) continue;
      auto& mark = readers_[i].page->marks[slot];
      mark.position.store(published_, A::relaxed());
      mark.frames.store(readers_[i].passed.frames, A::relaxed());
      mark.losses.store(readers_[i].passed.losses, A::relaxed());
    }
  }

  /// Gives up what is oldest, a mark at a time, until `needed` is within the ring.
  void retire_marks(std::uint64_t needed) noexcept {
    while (needed - oldest_ > geometry_.size) oldest_ = marks_[mark_begin_++ % mark_count];
    // relaxed: the fence of the wake() since the mark was put has made the mark visible to who sees this.
    positions_.oldest.store(oldest_, A::relaxed());
    // release: whoever sees what we write over those records sees that they are gone.
    A::fence(A::release(RingOrder::overwrite));
  }

  RingPositions<A>& positions_;
  Registry& registry_;
  const RingGeometry geometry_;

  std::uint64_t reserved_ = 0;   // end of the last record reserved
  std::uint64_t published_ = 0;  // what positions_.published says
  std::uint64_t limit_ = 0;      // reserved_ may go this far without another look at anything
  std::uint64_t oldest_ = 0;     // what positions_.oldest says
  std::uint64_t cursor_faults_ = 0;
  unsigned count_ = 0;
  Reader readers_[reader_limit];

  std::uint64_t marks_[mark_count] = {};  // those from mark_begin_ to mark_end_ are ahead of oldest_; 0 is one, too
  unsigned mark_begin_ = 1;
  unsigned mark_end_ = 1;
};

/// A reader's side.
template <typename A, typename Page>
class RingReaderSync {
 public:
  RingReaderSync(const RingPositions<A>& positions, Page& page, std::uint64_t size, ReaderPolicy policy) noexcept
      : positions_(positions), page_(page), size_(size), lossy_(policy == ReaderPolicy::lossy) {}

  /// Whether there is a record at position(). If not, state() tells why.
  bool look() noexcept {
    if (position_ != published_) return true;
    if (state_ != RingState::open || (!admitted_ && !look_for_start())) return false;
    // acquire: the records before this position were written before it.
    const std::uint64_t published = positions_.published.load(A::acquire(RingOrder::see_published));
    const std::uint64_t end = published & ~ring_closed;
    const std::uint64_t ahead = end - position_;
    // A lossy reader may be any distance behind, but not ahead.
    if (end % 16 != 0 || (lossy_ ? ahead >> 63 != 0 : ahead > size_)) {
      fail();
      return false;
    }
    published_ = end;
    if (ahead != 0) return true;
    if ((published & ring_closed) != 0) state_ = RingState::ended;
    return false;
  }

  std::uint64_t position() const noexcept { return position_; }
  std::uint64_t published() const noexcept { return published_; }
  RingState state() const noexcept { return state_; }

  /// What is at position() cannot be.
  void fail() noexcept {
    state_ = RingState::broken;
    published_ = position_;
  }

  /// Goes on behind a record, which counted for so much.
  void pass(std::uint64_t length, const RingCount& record) noexcept {
    position_ += length;
    passed_.frames += record.frames;
    passed_.losses += record.losses;
  }

  /// Everything before position() may be overwritten.
  void release() noexcept {
    // release: our reads of those records come before the producer's next writes to them.
    if (admitted_) page_.cursor.store(position_, A::release(RingOrder::release_cursor));
  }

  /// Of a lossy reader: whether what has been copied from position() is what was published there.
  bool intact() const noexcept { return intact(position_); }

  /// After !intact(): goes on at the oldest record there is. Answers what was lost up to there; state() may be broken,
  /// or position() the same as before, when the producer was faster once more.
  RingCount skip_lost() noexcept {
    // acquire: what was published by then, and the mark's counts.
    const std::uint64_t oldest = positions_.oldest.load(A::acquire(RingOrder::see_oldest));
    if (oldest % 16 != 0) {
      fail();
      return {};
    }
    for (const RingMark<A>& mark : page_.marks) {
      if (mark.position.load(A::relaxed()) != oldest) continue;
      const RingCount at = {mark.frames.load(A::relaxed()), mark.losses.load(A::relaxed())};
      if (!intact(oldest)) return {};  // the mark, too, may have been overwritten
      if (oldest <= position_ || at.frames < passed_.frames || at.losses < passed_.losses) break;
      const RingCount lost = {at.frames - passed_.frames, at.losses - passed_.losses};
      passed_ = at;
      position_ = oldest;
      published_ = oldest;
      look();
      return lost;
    }
    if (intact(oldest)) fail();
    return {};
  }

  /// Before sleeping: whether there is nothing to do but sleep. The producer then wakes this reader once.
  bool arm() noexcept {
    page_.waiting.store(1, A::relaxed());
    // Sequentially consistent, like the producer's: either it sees that we wait, or we see what it has published.
    A::fence(A::seq_cst(RingOrder::sleep));
    if (!look() && state_ == RingState::open) return true;
    disarm();
    return false;
  }
  void disarm() noexcept { page_.waiting.store(0, A::relaxed()); }

 private:
  bool look_for_start() noexcept {
    // Before `start`: if the ring was closed by then, nobody is admitted any more.
    const bool closed = (positions_.published.load(A::acquire(RingOrder::see_published)) & ring_closed) != 0;
    // acquire: what is published up to there.
    const std::uint64_t start = page_.start.load(A::acquire(RingOrder::see_start));
    admitted_ = (start & ring_admitted) != 0;
    if (admitted_) {
      position_ = published_ = start & ~ring_admitted;
      if (position_ % 16 != 0) fail();
    } else if (closed) {
      state_ = RingState::ended;
    }
    return admitted_ && state_ == RingState::open;
  }

  bool intact(std::uint64_t position) const noexcept {
    // acquire: if what we read before has been overwritten, the position below tells.
    A::fence(A::acquire(RingOrder::check));
    return positions_.oldest.load(A::relaxed()) <= position;
  }

  const RingPositions<A>& positions_;
  Page& page_;
  const std::uint64_t size_;
  const bool lossy_;

  bool admitted_ = false;
  RingState state_ = RingState::open;
  std::uint64_t position_ = 0;   // of the next record
  std::uint64_t published_ = 0;  // what positions_.published said when last looked at
  RingCount passed_;             // up to position_, read or lost
};

}  // namespace ixcap::capture
