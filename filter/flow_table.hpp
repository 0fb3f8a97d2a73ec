#pragma once

/// The hash table under a FlowSet: keys of a fixed number of 64-bit words, one writer, any number of readers.
///
///     buckets_   one cache line each:  version 8 | passed 4 | – 4 | 24 tags of 16 bits
///     keys_      24 keys a bucket, in the order of the tags
///
/// A key's hash gives its home bucket and its tag; tag 0 marks a free slot. A key that finds its home full goes to the
/// next bucket with room, and every bucket it went past counts it in `passed`; a lookup goes on to the next bucket only
/// where that is not 0. There are 24 slots for every 16 keys, so one bucket in forty is passed by a key when the table
/// is full, and a lookup of a key that is not there is over after one cache line: 24 tags of 16 bits let through one
/// wrong key in 4,000. A key that is there costs that line and its own (an IPv6 flow's may
/// straddle two).
///
/// Keys never move, so one that is there throughout is found throughout: its tag does not change, nor does `passed` of
/// the buckets before it fall to 0.
///
/// A slot that is freed and taken again changes under a reader that has just seen its old tag. Such a reader may
/// compare words of two keys. So the writer raises the bucket's version before it writes a key, and a reader believes
/// in an equal key only if the version is what it was before it read the tags; else it looks again. That is no seqlock:
/// while a writer is half way through, the slot has tag 0 and the version stands still, so readers never wait for a
/// writer, however long it is off the processor. A reader looks again once for each key that was written into that very
/// bucket in the meantime.
///
/// The hash is keyed with random numbers of this table's own. Key words are added to them and multiplied in pairs, and
/// the products are added (NH, the hash in UMAC): two keys chosen without knowing the numbers give the same sum with
/// probability 2^-64 at most; one more multiplication by secret numbers spreads the sum over buckets and tags. This
/// keeps whoever sends the traffic from choosing keys that fall into one bucket. It is no cryptographic function: one
/// who can measure single lookups precisely, for long, may learn enough to do so.
///
/// Threads: find and contains: any number at once; insert, erase and clear: one at a time.
/// Errors: Error from the constructor; otherwise none.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include <ixcap/driver/frame.hpp>

namespace ixcap::filter {

enum class Inserted : std::uint8_t {
  added,
  present,  ///< it was there before
  full,     ///< the set holds as many entries as it has room for, nothing was changed
};

/// Zeroed memory in pages, which the system provides as they are first written. Huge ones where the system has them.
class PageMemory {
 public:
  /// Throws Error.
  explicit PageMemory(std::size_t size_bytes);
  ~PageMemory();
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;

  void* data() const noexcept { return data_; }
  std::size_t size_bytes() const noexcept { return size_bytes_; }

 private:
  std::size_t size_bytes_;
  void* data_;
};

template <std::size_t words>
class FlowTable {
 public:
  using Key = std::array<std::uint64_t, words>;

  static constexpr std::size_t pairs = (words + 1) / 2;
  using Secret = std::array<std::uint64_t, 2 * pairs + 2>;

  static constexpr std::size_t slots = 24;      ///< in a bucket
  static constexpr std::size_t mean_keys = 16;  ///< in a bucket, of a full table

  /// Room for `capacity` keys, at least 1.
  explicit FlowTable(std::size_t capacity);

  /// With numbers that are known, for tests: under zeros alone, all keys of small words have one hash.
  FlowTable(std::size_t capacity, const Secret& secret);

  /// The caller sees to it that there are never more than `capacity` keys.
  Inserted insert(const Key& key) noexcept;

  /// False if it was not there.
  bool erase(const Key& key) noexcept;

  /// In time proportional to the capacity, not to the number of keys.
  void clear() noexcept;

  /// Calls use(key) for each key: for the writer, while it changes nothing.
  template <typename Use>
  void for_each(Use use) const {
    for (std::size_t bucket = 0; bucket < bucket_count_; ++bucket) {
      for (std::uint32_t left = ~slots_with(buckets_[bucket], 0) & all_slots; left != 0; left &= left - 1) {
        Key key;
        std::copy_n(key_at(bucket, static_cast<std::size_t>(std::countr_zero(left))), words, key.begin());
        use(key);
      }
    }
  }

  bool contains(const Key& key) const noexcept { return find(std::span(&key, 1)) != 0; }

  /// Bit i is set if keys[i] is in the table. `keys`: at most batch_size. All memory is asked for in advance, so the
  /// cache misses of a batch overlap.
  std::uint64_t find(std::span<const Key> keys) const noexcept;

  std::size_t memory_bytes() const noexcept { return bucket_memory_.size_bytes() + key_memory_.size_bytes(); }

 private:
  static constexpr std::size_t tags_a_word = 4;
  static constexpr std::uint32_t all_slots = (1u << slots) - 1;
  static constexpr std::size_t tag_words = slots / tags_a_word;

  struct alignas(64) Bucket {
    std::atomic<std::uint64_t> version = 0;  // keys ever written into it
    std::atomic<std::uint32_t> passed = 0;   // keys that went past it for want of room
    std::array<std::atomic<std::uint64_t>, tag_words> tags = {};
  };
  static_assert(sizeof(Bucket) == 64);

  struct Place {
    std::size_t bucket;
    std::uint16_t tag;
  };
  struct Found {
    std::size_t home;  // passed over from here
    std::size_t bucket;
    std::size_t slot;
    bool present;
  };

  Place place_of(const Key& key) const noexcept;
  std::uint32_t slots_with(const Bucket& bucket, std::uint16_t tag) const noexcept;
  bool equal(std::size_t bucket, std::size_t slot, const Key& key) const noexcept;
  bool holds(std::size_t bucket, std::uint32_t candidates, const Key& key) const noexcept;
  bool search(const Place& place, const Key& key) const noexcept;
  Found find_to_change(const Key& key, const Place& place) const noexcept;
  void set_tag(Bucket& bucket, std::size_t slot, std::uint16_t tag) noexcept;
  void change_passed(std::size_t from, std::size_t to, std::uint32_t by) noexcept;
  std::size_t after(std::size_t bucket) const noexcept { return bucket + 1 == bucket_count_ ? 0 : bucket + 1; }
  std::uint64_t* key_at(std::size_t bucket, std::size_t slot) const noexcept {
    return keys_ + (bucket * slots + slot) * words;
  }

  std::size_t bucket_count_;
  PageMemory bucket_memory_;
  PageMemory key_memory_;
  Bucket* buckets_;
  std::uint64_t* keys_;  // each word is only touched through atomic_ref
  Secret secret_;
};

extern template class FlowTable<1>;
extern template class FlowTable<2>;
extern template class FlowTable<5>;

}  // namespace ixcap::filter
