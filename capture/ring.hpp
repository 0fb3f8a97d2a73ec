#pragma once

/// The ring: records (record.hpp) from one producer to its readers through shared memory, without locks.
///
/// The memory is a memfd. Its last part, the records, is mapped twice in a row, so that a record which crosses the end
/// of the ring continues in the second mapping and every record is one piece of memory:
///
///     file offset  0            4 KiB                   260 KiB                 260 KiB + size
///                  +------------+----------+-----+----------+-----------------------+
///                  | RingHeader | reader 0 | ... | reader 63|  records (size bytes)  |
///                  +------------+----------+-----+----------+-----------------------+- - - - - - - - - - - - +
///                    written by   each page written by its    written by the producer   the records, mapped
///                    the producer own reader                                            a second time
///
/// Positions are 64-bit byte counts that only grow (at 100 Gbit/s they would wrap after 46 years); position p lies at
/// records + p mod size. A reader's cursor says that everything before it may be overwritten.
///
/// Today there is one reader, number 0, and its policy is *lossless*: from the ring's creation on the producer
/// overwrites nothing that this reader has not released. When there is no room it is told so, and decides to wait or to
/// count.
///
/// Threads: one thread uses the producer, one uses the reader; neither ever waits for the other. Both borrow the
/// RingMemory, which must outlive them. Errors: creation throws ixcap::Error; everything else is noexcept. Neither side
/// trusts what the other wrote: impossible positions and records are counted or end the reading (RingState::broken),
/// and no address is computed from them before they are checked. What this does not cover is a producer that changes a
/// record after publishing it: a reader in fear of that copies the header and checks the copy's captured_length again.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <ixcap/capture/record.hpp>
#include <ixcap/driver/frame.hpp>

namespace ixcap::capture {

inline constexpr std::uint64_t ring_magic = 0x6675627061637869;  ///< the bytes "ixcapbuf"
inline constexpr std::uint32_t ring_version = 1;
inline constexpr std::size_t ring_page_bytes = 4096;
inline constexpr std::uint32_t ring_reader_pages = 64;

/// The first page. Written by the producer's side only; what is not named here is zero.
struct RingHeader {
  std::uint64_t magic;          ///< ring_magic
  std::uint32_t version;        ///< ring_version
  std::uint32_t reader_pages;   ///< ring_reader_pages
  std::uint64_t size_bytes;     ///< of the records, a power of two
  std::uint64_t records_start;  ///< file offset of the records
  std::uint64_t batch_limit;    ///< the producer never writes further than this many bytes past `published`

  /// Records before this position may be read. On a cache line of its own: the one line that every reader polls.
  alignas(64) std::atomic<std::uint64_t> published;
  std::atomic<std::uint32_t> closed;  ///< 1: `published` will not move again
};
static_assert(offsetof(RingHeader, magic) == 0);
static_assert(offsetof(RingHeader, version) == 8);
static_assert(offsetof(RingHeader, reader_pages) == 12);
static_assert(offsetof(RingHeader, size_bytes) == 16);
static_assert(offsetof(RingHeader, records_start) == 24);
static_assert(offsetof(RingHeader, batch_limit) == 32);
static_assert(offsetof(RingHeader, published) == 64);
static_assert(offsetof(RingHeader, closed) == 72);
static_assert(sizeof(RingHeader) <= ring_page_bytes);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free,
              "a lock would not be shared between processes");

/// One reader's page. Written by that reader only; what is not named here is zero.
struct ReaderPage {
  std::atomic<std::uint64_t> cursor;  ///< everything before this position is released
};
static_assert(offsetof(ReaderPage, cursor) == 0);

struct RingOptions {
  /// Bytes for records: a power of two of at least RingMemory::smallest_size_bytes.
  std::size_t size_bytes = std::size_t{64} << 20;
  /// Take and map all of the memory at creation, so that want of memory is an Error and not a kill in mid-capture, and
  /// so that no first lap is slowed down by page faults.
  bool populate = false;
};

/// Owns the memfd and its mappings. Creation may take milliseconds; nothing is allocated afterwards.
class RingMemory {
 public:
  /// Four of the longest frames' records fit; a producer's batch is a quarter of the ring.
  static constexpr std::size_t smallest_size_bytes = std::size_t{64} << 10;

  explicit RingMemory(const RingOptions& options = {});
  ~RingMemory();
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;

  std::size_t size_bytes() const noexcept { return size_bytes_; }
  RingHeader& header() const noexcept { return *reinterpret_cast<RingHeader*>(base_); }
  /// `index` < ring_reader_pages.
  ReaderPage& reader_page(std::size_t index) const noexcept {
    return *reinterpret_cast<ReaderPage*>(base_ + (1 + index) * ring_page_bytes);
  }
  /// 2 * size_bytes() bytes, of which the second half is the first one again.
  std::uint8_t* records() const noexcept { return base_ + (1 + ring_reader_pages) * ring_page_bytes; }

 private:
  void map(int file_descriptor, bool populate);

  std::size_t size_bytes_;
  std::uint8_t* base_ = nullptr;
};

/// The only writer of a ring, from its creation on. reserve() and fill as many records as a batch has, then publish()
/// once.
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
    if (reserved_ + length > limit_ && !make_room(length)) [[unlikely]]
      return nullptr;
    auto* record = reinterpret_cast<Record*>(records_ + (reserved_ & (size_bytes_ - 1)));
    record->length = static_cast<std::uint32_t>(length);
    record->captured_length = captured_length;
    reserved_ += length;
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

  /// Reserves a loss record. False: there was no room, and nothing happened.
  bool append_loss(std::uint64_t lost_frames, std::uint64_t timestamp_ns, std::uint16_t queue) noexcept;

  /// Hands every record reserved so far to the readers. Cheap when there is none.
  void publish() noexcept {
    if (published_ == reserved_) return;
    published_ = reserved_;
    // release: whoever sees this position sees the records before it.
    header_.published.store(published_, std::memory_order_release);
  }

  /// Publishes what is left and tells the readers that nothing follows. No reserve() after it.
  void close() noexcept;

  std::uint32_t longest_captured_length() const noexcept;

  /// How many times a reader's cursor was impossible: behind where it was, or ahead of what is published. Such a cursor
  /// is disregarded; the reader keeps the place where it was last seen.
  std::uint64_t cursor_faults() const noexcept { return cursor_faults_; }

 private:
  bool make_room(std::uint64_t length) noexcept;

  RingHeader& header_;
  const ReaderPage& reader_;
  std::uint8_t* const records_;
  const std::uint64_t size_bytes_;
  const std::uint64_t batch_limit_;

  std::uint64_t reserved_ = 0;   // end of the last record reserved
  std::uint64_t published_ = 0;  // what header_.published says
  std::uint64_t limit_ = 0;      // reserved_ may go this far without another look at the reader's cursor
  std::uint64_t cursor_ = 0;     // the reader's cursor when last looked at; published_ - cursor_ <= size_bytes_
  std::uint64_t cursor_faults_ = 0;
};

enum class RingState {
  open,    ///< more records may come
  ended,   ///< the producer has closed the ring, and every record has been read
  broken,  ///< a record or the published position is impossible; nothing more can be read
};

/// Reads the ring in place, oldest record first. next() through a batch, then release() once.
class RingReader {
 public:
  explicit RingReader(RingMemory& memory) noexcept;
  RingReader(const RingReader&) = delete;
  RingReader& operator=(const RingReader&) = delete;

  /// The next published record, or nullptr when there is none now; state() tells why. The record stays valid until
  /// release().
  const Record* next() noexcept {
    if (position_ == published_ && !look_for_more()) return nullptr;
    const auto* record = reinterpret_cast<const Record*>(records_ + (position_ & (size_bytes_ - 1)));
    const std::uint64_t length = record->length;
    // published_ - position_ <= size_bytes_, so what passes lies within the two mappings.
    if (length < sizeof(Record) || length % record_alignment != 0 || length > published_ - position_ ||
        record->captured_length > length - sizeof(Record)) [[unlikely]] {
      state_ = RingState::broken;
      published_ = position_;
      return nullptr;
    }
    position_ += length;
    return record;
  }

  /// Gives back every record that next() returned; the producer may overwrite them.
  void release() noexcept {
    // release: our reads of those records come before the producer's next writes to them.
    page_.cursor.store(position_, std::memory_order_release);
  }

  /// Kept up to date by next() returning nullptr.
  RingState state() const noexcept { return state_; }

 private:
  bool look_for_more() noexcept;

  const RingHeader& header_;
  ReaderPage& page_;
  const std::uint8_t* const records_;
  const std::uint64_t size_bytes_;

  std::uint64_t position_;   // of the record that next() looks at
  std::uint64_t published_;  // what header_.published said when last looked at
  RingState state_ = RingState::open;
};

}  // namespace ixcap::capture
