#pragma once

/// The ring: records (record.hpp) from one producer to up to 64 readers, in this process or in others, through shared
/// memory and without locks.
///
/// The ring itself is a memfd that only the producer's process can write to. Its records are mapped twice in a row, so
/// that a record which crosses the end of the ring continues in the second mapping and every record is one piece of
/// memory:
///
///     file offset  0            4 KiB
///                  +------------+-------------------------+
///                  | RingHeader |  records (size bytes)   |
///                  +------------+-------------------------+- - - - - - - - - - - - +
///                                                          the records, mapped again
///
/// Each reader shares a ReaderPage, a memfd of its own, with the producer, and with nobody else. So what a reader
/// writes reaches no other reader, and what it writes into its page the producer checks: an impossible cursor is
/// counted (cursor_faults) and disregarded. Neither file can be resized, which would end the other process; the ring
/// cannot be written to through any descriptor or new mapping (F_SEAL_FUTURE_WRITE).
///
/// Positions are 64-bit byte counts that only grow (at 100 Gbit/s they would wrap after 46 years); position p lies at
/// records + p mod size.
///
/// **Readers** join and leave at any time. A reader gets what is published from its admission on; the producer admits
/// it at one of its next calls. Who has joined before the producer's first record gets all. It has one of two policies:
///
/// - *lossless*: the producer overwrites nothing that the reader has not released. Without room the producer is told
///   so, and decides to wait or to count. The reader reads in place.
/// - *lossy*: the producer does not even look at it. The reader copies each record before it believes it. When it was
///   overrun it goes on at the oldest record, and next() returns a loss record with `record_lost_here`, which says how
///   many frames *that match its mask* are missing at that place. The count is exact.
///
/// A reader's *mask* chooses filters: it gets frames whose match set has a bit of it, and every loss record. A mask of
/// all bits lets every frame through.
///
/// **Sleeping.** A reader polls next(), or it sleeps in wait(), or it puts fd() into an event loop between arm() and
/// disarm(). The producer makes a system call only for a reader that sleeps, one for each sleep.
///
/// **Threads.** One thread uses the producer, one each reader; none ever waits for another. breakloop(), and joining
/// and leaving, are for any. The RingMemory outlives both. **Errors.** Creation and joining throw ixcap::Error;
/// everything else is noexcept. Neither side trusts what the other wrote: impossible positions and records are counted
/// or end the reading (RingState::broken), and no address is computed from them before they are checked. What this does
/// not cover is a producer that changes a record after publishing it: a reader in fear of that copies the header and
/// checks the copy's captured_length again.
///
/// capture/ring_sync.hpp has the memory orders, capture/share.hpp brings a ring to other processes.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>

#include <ixcap/capture/record.hpp>
#include <ixcap/capture/ring_sync.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::capture {

inline constexpr std::uint64_t ring_magic = 0x6675627061637869;  ///< the bytes "ixcapbuf"
inline constexpr std::uint32_t ring_version = 2;
inline constexpr std::size_t ring_page_bytes = 4096;
inline constexpr unsigned ring_readers = 64;
inline constexpr unsigned ring_marks = 64;

/// The ring's first 128 bytes. Written by the producer only; what is not named here is zero.
struct RingHeader {
  std::uint64_t magic;           ///< ring_magic
  std::uint32_t version;         ///< ring_version
  std::uint32_t header_bytes;    ///< 128
  std::uint64_t size_bytes;      ///< of the records, a power of two
  std::uint64_t records_start;   ///< file offset of the records
  std::uint64_t batch_limit;     ///< the producer never writes further than this many bytes past `published`
  std::uint64_t longest_record;  ///< in bytes; no record is longer

  /// The ring gets no more frames with a time up to this one: what a reader of several rings orders them by
  /// (merged_rings.hpp). 0: nobody tells.
  std::atomic<std::uint64_t> quiet_until_ns;
  std::uint64_t reserved;

  /// What changes, on a cache line of its own: the one line that every reader polls.
  alignas(64) RingPositions<StdAtomics> positions;
};
static_assert(offsetof(RingHeader, magic) == 0);
static_assert(offsetof(RingHeader, version) == 8);
static_assert(offsetof(RingHeader, header_bytes) == 12);
static_assert(offsetof(RingHeader, size_bytes) == 16);
static_assert(offsetof(RingHeader, records_start) == 24);
static_assert(offsetof(RingHeader, batch_limit) == 32);
static_assert(offsetof(RingHeader, longest_record) == 40);
static_assert(offsetof(RingHeader, quiet_until_ns) == 48);
static_assert(offsetof(RingHeader, positions) == 64);
static_assert(offsetof(RingPositions<StdAtomics>, published) == 0);
static_assert(offsetof(RingPositions<StdAtomics>, oldest) == 8);
static_assert(sizeof(RingHeader) == 128, "shared between processes");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free,
              "a lock would not be shared between processes");

/// One reader's page. `cursor` is the reader's to write, `start` and `marks` are the producer's, `waiting` is both's.
using ReaderPage = RingPage<StdAtomics, ring_marks>;
static_assert(offsetof(ReaderPage, cursor) == 0);
static_assert(offsetof(ReaderPage, waiting) == 64);
static_assert(offsetof(ReaderPage, start) == 128);
static_assert(offsetof(ReaderPage, marks) == 192);
static_assert(sizeof(RingMark<StdAtomics>) == 32);
static_assert(offsetof(RingMark<StdAtomics>, position) == 0);
static_assert(offsetof(RingMark<StdAtomics>, frames) == 8);
static_assert(offsetof(RingMark<StdAtomics>, losses) == 16);
static_assert(sizeof(ReaderPage) <= ring_page_bytes);

struct RingOptions {
  /// Bytes for records: a power of two of at least RingMemory::smallest_size_bytes.
  std::size_t size_bytes = std::size_t{64} << 20;
  /// Take and map all of the memory at creation, so that want of memory is an Error and not a kill in mid-capture, and
  /// so that no first lap is slowed down by page faults.
  bool populate = false;
};

struct ReaderOptions {
  ReaderPolicy policy = ReaderPolicy::lossless;
  std::uint64_t mask = ~std::uint64_t{0};  ///< frames whose match set has none of these bits are passed over
};

/// Whether a mask lets through a frame with that match set.
constexpr bool mask_lets_through(std::uint64_t mask, std::uint64_t match_set) noexcept {
  return (match_set & mask) != 0 || mask == ~std::uint64_t{0};
}

/// A ring in this process's memory: header and records, the latter twice in a row. Owns the mapping, not the file.
class RingMapping {
 public:
  /// Maps a ring of `size_bytes`. Throws Error.
  RingMapping(int file_descriptor, std::size_t size_bytes, bool writable, bool populate);
  ~RingMapping();
  RingMapping(RingMapping&& other) noexcept;
  RingMapping& operator=(RingMapping&&) = delete;

  /// Maps what another process has sent, to be read. Throws Error if it is no ring, a version that this cannot read, or
  /// not sealed against becoming shorter.
  static RingMapping attach(int file_descriptor);

  std::size_t size_bytes() const noexcept { return size_bytes_; }
  RingHeader& header() const noexcept { return *reinterpret_cast<RingHeader*>(base_); }
  /// 2 * size_bytes() bytes, of which the second half is the first one again.
  std::uint8_t* records() const noexcept { return base_ + ring_page_bytes; }

 private:
  std::size_t size_bytes_;
  std::uint8_t* base_ = nullptr;
};

/// ReaderPages, one a ring, in this process's memory. Owns the mapping, not the file.
class ReaderPages {
 public:
  ReaderPages() = default;
  /// The file has `count` pages. Throws Error if it is shorter, or may become so.
  ReaderPages(int file_descriptor, unsigned count);
  ~ReaderPages();
  ReaderPages(ReaderPages&& other) noexcept : base_(std::exchange(other.base_, nullptr)), count_(other.count_) {}
  ReaderPages& operator=(ReaderPages&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(count_, other.count_);
    return *this;
  }

  ReaderPage& operator[](unsigned index) const noexcept {
    return *reinterpret_cast<ReaderPage*>(base_ + index * ring_page_bytes);
  }

  /// A new file for `count` pages, zero and sealed. Throws Error.
  static pci::FileDescriptor make_file(unsigned count);

 private:
  std::uint8_t* base_ = nullptr;
  unsigned count_ = 0;
};

class RingMemory;

/// A reader's place at a ring, from the producer's process. Leaves it when it goes; the page and the descriptor stay
/// until the producer has noticed.
class RingSeat {
 public:
  RingSeat() = default;
  RingSeat(RingMemory& memory, unsigned index) noexcept : memory_(&memory), index_(index) {}
  ~RingSeat();
  RingSeat(RingSeat&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)), index_(other.index_) {}
  RingSeat& operator=(RingSeat&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(index_, other.index_);
    return *this;
  }

  /// The page, as the producer has it mapped. A reader of the same process uses this and no mapping of its own, by
  /// which ThreadSanitizer would not see that the two are the same memory. Valid until the seat is left.
  ReaderPage& page() const noexcept;

 private:
  RingMemory* memory_ = nullptr;
  unsigned index_ = 0;
};

/// Owns the ring: its memfd, its mapping, and the list of its readers. Creation may take milliseconds.
class RingMemory {
 public:
  /// Four of the longest frames' records fit; a producer's batch is a quarter of the ring.
  static constexpr std::size_t smallest_size_bytes = std::size_t{64} << 10;

  explicit RingMemory(const RingOptions& options = {});
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;
  ~RingMemory();

  std::size_t size_bytes() const noexcept { return mapping_.size_bytes(); }
  RingHeader& header() const noexcept { return mapping_.header(); }
  std::uint8_t* records() const noexcept { return mapping_.records(); }
  /// The memfd, to be sent to readers.
  int file_descriptor() const noexcept { return file_.number(); }

  /// Lets a reader in. `pages` holds its page at `page_index`; the producer wakes it by writing eight bytes to `wake`,
  /// an eventfd or a connected socket, which is duplicated. Throws Error if there are ring_readers, or no descriptor.
  RingSeat join(const ReaderOptions& options, ReaderPages pages, unsigned page_index, int wake);

  /// Readers that have joined and not left. Any thread.
  unsigned readers() const;

 private:
  friend class RingProducer;
  friend class RingSeat;
  using Registry = RingRegistry<StdAtomics, ReaderPage, ring_readers>;
  struct Resources {
    ReaderPages pages;
    pci::FileDescriptor wake;
    bool is_socket = false;
  };

  void leave(unsigned index) noexcept;

  pci::FileDescriptor file_;
  RingMapping mapping_;
  mutable Registry registry_;
  std::unique_ptr<Resources[]> resources_;  // of the registry's entries; an empty entry's are left over
};

/// The only writer of a ring, from its creation on. reserve() and fill as many records as a batch has, then publish()
/// once. publish() is also when readers come and go: call it now and then if there is nothing to publish.
class RingProducer {
 public:
  explicit RingProducer(RingMemory& memory) noexcept;
  RingProducer(const RingProducer&) = delete;
  RingProducer& operator=(const RingProducer&) = delete;

  /// Room for a record, or nullptr while there is none. `length` and `captured_length` are filled in; the caller fills
  /// in every other field and the data before its next call. Readers see nothing of it until publish(), which this
  /// calls by itself for the records before, when the batch limit is reached or the ring is full.
  ///
  /// `captured_length` <= longest_captured_length(); what is longer never finds room.
  Record* reserve(std::uint32_t captured_length) noexcept {
    const std::uint64_t length = record_length(captured_length);
    if (!sync_.fits(length) && (length > longest_record_ || !sync_.make_room(length, *this))) [[unlikely]]
      return nullptr;
    auto* record = reinterpret_cast<Record*>(records_ + (sync_.take(length) & (size_bytes_ - 1)));
    record->length = static_cast<std::uint32_t>(length);
    record->captured_length = captured_length;
    return record;
  }

  /// Reserves a record and copies `frame` into it. False: there was no room, and nothing happened. `flags` without
  /// record_is_loss.
  bool append(const Frame& frame, std::uint64_t timestamp_ns, std::uint64_t match_set, std::uint16_t queue,
              std::uint16_t flags) noexcept {
    Record* record = reserve(frame.captured_length);
    if (record == nullptr) return false;
    record->wire_length = frame.wire_length;
    record->queue = queue;
    record->flags = flags;
    record->timestamp_ns = timestamp_ns;
    record->match_set = match_set;
    if (frame.captured_length != 0)  // an empty frame may come with a null pointer, which memcpy does not take
      std::memcpy(record->data(), frame.data, frame.captured_length);
    return true;
  }

  /// The same with the card's own stamp of the frame behind it.
  bool append_stamped(const Frame& frame, std::uint64_t timestamp_ns, std::uint64_t match_set, std::uint16_t queue,
                      std::uint16_t flags, std::uint64_t card_stamp_ns) noexcept;

  /// Reserves a loss record. False: there was no room, and nothing happened.
  bool append_loss(std::uint64_t lost_frames, std::uint64_t timestamp_ns, std::uint16_t queue) noexcept;

  /// Hands every record reserved so far to the readers, and wakes those that sleep. Cheap when there is none.
  void publish() noexcept { sync_.publish(*this); }

  /// Publishes what is left and tells the readers that nothing follows. No reserve() after it.
  void close() noexcept { sync_.close(*this); }

  /// What is published from now on has later times than this. Loaded with acquire order it makes sure that what was
  /// published before is seen in the ring.
  void set_quiet_until_ns(std::uint64_t time_ns) noexcept {
    memory_.header().quiet_until_ns.store(time_ns, std::memory_order_release);
  }

  std::uint32_t longest_captured_length() const noexcept {
    return static_cast<std::uint32_t>(longest_record_ - sizeof(Record));
  }

  /// How many times a reader's cursor was impossible: behind where it was, or ahead of what is published. Such a cursor
  /// is disregarded; the reader keeps the place where it was last seen.
  std::uint64_t cursor_faults() const noexcept { return sync_.cursor_faults(); }

 private:
  using Sync = RingProducerSync<StdAtomics, ReaderPage, ring_readers>;
  friend Sync;

  RingCount count(std::uint64_t from, std::uint64_t to, std::uint64_t mask) const noexcept;
  void wake(unsigned index) const noexcept;

  RingMemory& memory_;
  Sync sync_;
  std::uint8_t* const records_;
  const std::uint64_t size_bytes_;
  const std::uint64_t longest_record_;
};

/// What a reader reads: a ring, and the page that it shares with the producer. Borrowed.
struct RingView {
  const RingHeader* header;
  const std::uint8_t* records;
  std::uint64_t size_bytes;
  ReaderPage* page;
};

/// Reads a ring, oldest record first. next() through a batch, then release() once.
class RingReader {
 public:
  /// Joins a ring of this process. Throws Error.
  explicit RingReader(RingMemory& memory, const ReaderOptions& options = {});
  /// Reads a ring whose producer has admitted, or will admit, this reader with these options. `wake`: what the
  /// producer writes to; borrowed. Throws Error if there is no descriptor left.
  RingReader(const RingView& view, const ReaderOptions& options, int wake);
  RingReader(const RingReader&) = delete;
  RingReader& operator=(const RingReader&) = delete;
  ~RingReader();

  /// The next published record that the mask lets through, or nullptr when there is none now; state() tells why. The
  /// record stays valid until release(). A lossy reader's batch ends, with nullptr, where its buffer does.
  const Record* next() noexcept { return buffer_ == nullptr ? next_in_place() : next_copy(); }

  /// Gives back every record that next() returned. A lossless reader's may then be overwritten.
  void release() noexcept {
    sync_.release();
    buffered_ = 0;
  }

  /// Kept up to date by next() returning nullptr, and by wait().
  RingState state() const noexcept { return sync_.state(); }

  /// Frames lost because this reader was overrun: those that its mask lets through. The sum of the loss records with
  /// record_lost_here so far; 0 for a lossless reader.
  std::uint64_t lost() const noexcept { return lost_; }

  /// Whether it is lossy: its batches end where its buffer does.
  bool copies() const noexcept { return buffer_ != nullptr; }

  /// Sleeps until there may be something to read, breakloop(), or the time is over, which it answers with false. After
  /// release(), so that nothing is held up meanwhile. A negative time has no end.
  bool wait(std::chrono::milliseconds longest) noexcept;

  /// Wakes wait() at once, now or the next time; it answers false. Any thread, and any signal handler.
  void breakloop() noexcept;

  /// For event loops: becomes readable when there is something to read and arm() was called and answered true. When
  /// waiting is over, disarm(), and read(2) what is in it.
  int fd() const noexcept { return wake_; }
  /// Whether there is nothing to read, and fd() will tell when there is.
  bool arm() noexcept { return sync_.arm(); }
  void disarm() noexcept { sync_.disarm(); }

 private:
  using Sync = RingReaderSync<StdAtomics, ReaderPage>;

  const Record* next_in_place() noexcept {
    while (sync_.look()) {
      const auto* record = reinterpret_cast<const Record*>(records_ + (sync_.position() & (size_bytes_ - 1)));
      const std::uint64_t length = record->length;
      if (!possible(*record)) [[unlikely]] {
        sync_.fail();
        return nullptr;
      }
      sync_.pass(length, {});
      if (wanted(*record)) return record;
    }
    return nullptr;
  }
  const Record* next_copy() noexcept;
  const Record* report_lost() noexcept;
  Record* buffered_record(std::uint64_t length) noexcept;

  bool possible(const Record& record) const noexcept {
    // published() - position() <= size_bytes_, so what passes lies within the two mappings.
    const std::uint64_t length = record.length;
    return length >= sizeof(Record) && length % record_alignment == 0 &&
           length <= sync_.published() - sync_.position() && record.captured_length <= length - sizeof(Record);
  }
  bool wanted(const Record& record) const noexcept {
    return mask_lets_through(mask_, record.match_set) || record.is_loss();
  }

  struct Joined;
  RingReader(RingMemory& memory, const ReaderOptions& options, Joined joined);

  pci::FileDescriptor own_wake_;
  std::optional<RingSeat> seat_;
  Sync sync_;
  const std::uint8_t* const records_;
  const std::uint64_t size_bytes_;
  const std::uint64_t longest_record_;
  const std::uint64_t mask_;
  const int wake_;
  pci::FileDescriptor break_;

  // Of a lossy reader: copies of the records since release().
  struct AlignedDelete {
    void operator()(std::uint8_t* bytes) const noexcept { ::operator delete (bytes, std::align_val_t{64}); }
  };
  static constexpr std::size_t buffer_bytes = std::size_t{256} << 10;
  std::unique_ptr<std::uint8_t[], AlignedDelete> buffer_;
  std::size_t buffered_ = 0;
  std::uint64_t last_time_ns_ = 0;
  std::uint64_t lost_ = 0;
  RingCount to_report_;
};

enum class RingWake : std::uint8_t {
  ready,        ///< there may be something to read
  timed_out,    ///< the time is over
  interrupted,  ///< somebody has written to `interrupt`
  hung_up,      ///< the producer's process has closed its end of `wake`
};

/// What RingReader::wait() does, for several readers that one descriptor wakes; `interrupt` is an eventfd.
RingWake wait_for_records(std::span<RingReader* const> readers, int wake, int interrupt,
                          std::chrono::milliseconds longest) noexcept;

}  // namespace ixcap::capture
