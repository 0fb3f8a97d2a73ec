#pragma once

/// A range over the packets of a reader, for `for`:
///
///     for (const capture::Record& packet : session.reader().packets()) { ... packet.data(), packet.captured_length ...
///     }
///
/// The loop sleeps while there is nothing, and ends when the capture has ended, or at breakloop(). A packet is valid in
/// the body of the loop; it is given back, together with others, at some later turn, and at the latest when the loop is
/// left. Loss records are not packets: lost() adds them up.
///
/// `Reader`: SessionReader, Attachment, RingReader or MergedRings. Ownership: borrows the reader, which is read by
/// nobody else meanwhile. Threads: the reader's. Errors: ixcap::Error if a record is damaged (RingState::broken).

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include <ixcap/capture/record.hpp>
#include <ixcap/capture/ring.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/frame.hpp>

namespace ixcap::capture {

/// A record's frame, in place, for what takes frames: filters, filter::frame_key().
inline Frame frame_of(const Record& record) noexcept {
  return {record.data(), record.captured_length, record.wire_length};
}

template <typename Reader>
class Packets {
 public:
  class Iterator {
   public:
    using value_type = Record;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    Iterator() = default;
    explicit Iterator(Packets& packets) : packets_(&packets), record_(packets.advance()) {}
    const Record& operator*() const noexcept { return *record_; }
    const Record* operator->() const noexcept { return record_; }
    Iterator& operator++() {
      record_ = packets_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return record_ == nullptr; }

   private:
    Packets* packets_ = nullptr;
    const Record* record_ = nullptr;
  };

  explicit Packets(Reader& reader) noexcept : reader_(reader) {}
  ~Packets() { reader_.release(); }
  Packets(const Packets&) = delete;
  Packets& operator=(const Packets&) = delete;

  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }

  /// Frames said to be missing so far.
  std::uint64_t lost() const noexcept { return lost_; }

 private:
  static constexpr unsigned batch = 64;  // records given back at once

  const Record* advance() {
    while (true) {
      if (taken_ == batch) give_back();
      if (const Record* record = reader_.next(); record != nullptr) {
        ++taken_;
        if (!record->is_loss()) return record;
        lost_ += record->lost_frames;
        continue;
      }
      give_back();
      if (reader_.state() == RingState::broken)
        throw Error("cannot read the ring", "", "a record in it is damaged", "report this");
      if (reader_.state() != RingState::open || !reader_.wait(std::chrono::milliseconds(-1))) return nullptr;
    }
  }
  void give_back() noexcept {
    reader_.release();
    taken_ = 0;
  }

  Reader& reader_;
  unsigned taken_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace ixcap::capture
