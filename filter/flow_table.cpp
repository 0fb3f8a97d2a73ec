#include <emmintrin.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <memory>
#include <random>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/flow_table.hpp>

namespace ixcap::filter {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t small_page = 4096;

__extension__ using Wide = unsigned __int128;  // pedantic C++ has no 128-bit product

Wide product(std::uint64_t a, std::uint64_t b) noexcept {
  return static_cast<Wide>(a) * b;
}

std::size_t rounded_up(std::size_t size, std::size_t unit) noexcept {
  return (size + unit - 1) / unit * unit;
}

template <typename Numbers>
Numbers random_numbers() {
  std::random_device source;
  Numbers numbers;
  std::ranges::generate(numbers, [&] { return static_cast<std::uint64_t>(source()) << 32 | source(); });
  return numbers;
}

}  // namespace

PageMemory::PageMemory(std::size_t size_bytes)
    : size_bytes_(rounded_up(size_bytes, size_bytes >= huge_page ? huge_page : small_page)), data_(nullptr) {
  // Huge pages have to begin at a multiple of their size; what lies around is given back.
  const std::size_t slack = size_bytes_ >= huge_page ? huge_page : 0;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* const mapped = mmap(nullptr, size_bytes_ + slack, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapped == MAP_FAILED) {
    throw Error::from_errno("cannot get memory for a flow set", fmt::format("{} MiB", size_bytes_ >> 20), errno,
                            "ask for a smaller capacity");
  }
  auto* start = static_cast<std::uint8_t*>(mapped);
  if (slack != 0) {
    const std::size_t before = (huge_page - reinterpret_cast<std::uintptr_t>(start) % huge_page) % huge_page;
    if (before != 0) munmap(start, before);
    if (before != slack) munmap(start + before + size_bytes_, slack - before);
    start += before;
    madvise(start, size_bytes_, MADV_HUGEPAGE);  // a system without them does with small ones
  }
  data_ = start;
}

PageMemory::~PageMemory() {
  munmap(data_, size_bytes_);
}

template <std::size_t words>
FlowTable<words>::FlowTable(std::size_t capacity) : FlowTable(capacity, random_numbers<Secret>()) {}

template <std::size_t words>
FlowTable<words>::FlowTable(std::size_t capacity, const Secret& secret)
    : bucket_count_((std::max<std::size_t>(capacity, 1) + mean_keys - 1) / mean_keys),
      bucket_memory_(bucket_count_ * sizeof(Bucket)),
      key_memory_(bucket_count_ * slots * sizeof(Key)),
      buckets_(static_cast<Bucket*>(bucket_memory_.data())),
      keys_(static_cast<std::uint64_t*>(key_memory_.data())),
      secret_(secret) {
  // This writes every line of them, so no reader ever is the first to touch a page. Keys are read only after they were
  // written.
  std::uninitialized_default_construct_n(buckets_, bucket_count_);
}

template <std::size_t words>
typename FlowTable<words>::Place FlowTable<words>::place_of(const Key& key) const noexcept {
  Wide sum = 0;
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    const std::size_t second = 2 * pair + 1;
    sum += product(key[2 * pair] + secret_[2 * pair], (second < words ? key[second] : 0) + secret_[second]);
  }
  const Wide spread = product(static_cast<std::uint64_t>(sum) ^ secret_[2 * pairs],
                              static_cast<std::uint64_t>(sum >> 64) ^ secret_[2 * pairs + 1]);
  const std::uint64_t hash = static_cast<std::uint64_t>(spread) ^ static_cast<std::uint64_t>(spread >> 64);
  const auto tag = static_cast<std::uint16_t>(hash >> 48);
  return {static_cast<std::size_t>((hash & 0xffffffff) * bucket_count_ >> 32), tag != 0 ? tag : std::uint16_t{1}};
}

/// Bit i is set if slot i has that tag.
template <std::size_t words>
std::uint32_t FlowTable<words>::slots_with(const Bucket& bucket, std::uint16_t tag) const noexcept {
  const __m128i wanted = _mm_set1_epi16(static_cast<std::int16_t>(tag));
  const auto equal_tags = [&](std::size_t word) {
    // acquire: whoever sees a tag sees the key that was written before it.
    const auto low = static_cast<std::int64_t>(bucket.tags[word].load(std::memory_order_acquire));
    const auto high = static_cast<std::int64_t>(bucket.tags[word + 1].load(std::memory_order_acquire));
    return _mm_cmpeq_epi16(_mm_set_epi64x(high, low), wanted);
  };
  const __m128i first = equal_tags(0);
  const __m128i second = equal_tags(2);
  const __m128i third = equal_tags(4);
  const auto mask = [](__m128i bytes) { return static_cast<std::uint32_t>(_mm_movemask_epi8(bytes)); };
  return mask(_mm_packs_epi16(first, second)) | mask(_mm_packs_epi16(third, _mm_setzero_si128())) << 16;
}

template <std::size_t words>
bool FlowTable<words>::equal(std::size_t bucket, std::size_t slot, const Key& key) const noexcept {
  std::uint64_t* const stored = key_at(bucket, slot);
  std::uint64_t difference = 0;
  for (std::size_t word = 0; word < words; ++word) {
    // acquire: whoever sees a word of a later key sees the version that was raised before it.
    difference |= std::atomic_ref(stored[word]).load(std::memory_order_acquire) ^ key[word];
  }
  return difference == 0;
}

template <std::size_t words>
bool FlowTable<words>::holds(std::size_t bucket, std::uint32_t candidates, const Key& key) const noexcept {
  for (; candidates != 0; candidates &= candidates - 1) {
    if (equal(bucket, static_cast<std::size_t>(std::countr_zero(candidates)), key)) return true;
  }
  return false;
}

template <std::size_t words>
bool FlowTable<words>::search(const Place& place, const Key& key) const noexcept {
  std::size_t at = place.bucket;
  for (std::size_t looked_at = 0; looked_at < bucket_count_;) {
    const Bucket& bucket = buckets_[at];
    // acquire: a slot taken under this version shows tag 0 until its new key is complete.
    const std::uint64_t version = bucket.version.load(std::memory_order_acquire);
    if (holds(at, slots_with(bucket, place.tag), key)) {
      // relaxed: the loads of the key, which are acquire, come before it.
      if (bucket.version.load(std::memory_order_relaxed) == version) return true;
      continue;
    }
    // relaxed: it is above 0 as long as a key that went past is there.
    if (bucket.passed.load(std::memory_order_relaxed) == 0) return false;
    at = after(at);
    ++looked_at;
  }
  return false;
}

template <std::size_t words>
std::uint64_t FlowTable<words>::find(std::span<const Key> keys) const noexcept {
  assert(keys.size() <= batch_size);
  std::array<Place, batch_size> places;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    places[i] = place_of(keys[i]);
    _mm_prefetch(&buckets_[places[i].bucket], _MM_HINT_T0);
  }
  std::uint64_t undecided = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto [bucket, tag] = places[i];
    const std::uint32_t candidates = slots_with(buckets_[bucket], tag);
    const bool passed = buckets_[bucket].passed.load(std::memory_order_relaxed) != 0;  // relaxed: as in search()
    if (candidates == 0 && !passed) continue;
    undecided |= std::uint64_t{1} << i;
    if (candidates != 0) {
      const std::uint64_t* const key = key_at(bucket, static_cast<std::size_t>(std::countr_zero(candidates)));
      _mm_prefetch(key, _MM_HINT_T0);
      if constexpr (words > 2) _mm_prefetch(key + words - 1, _MM_HINT_T0);
    }
    if (passed) _mm_prefetch(&buckets_[after(bucket)], _MM_HINT_T0);
  }
  std::uint64_t found = 0;
  for (; undecided != 0; undecided &= undecided - 1) {
    const auto i = static_cast<std::size_t>(std::countr_zero(undecided));
    if (search(places[i], keys[i])) found |= std::uint64_t{1} << i;
  }
  return found;
}

/// For the writer: where the key is, or else the first free slot for it.
template <std::size_t words>
typename FlowTable<words>::Found FlowTable<words>::find_to_change(const Key& key, const Place& place) const noexcept {
  Found found = {place.bucket, bucket_count_, slots, false};
  bool has_room = false;
  std::size_t at = place.bucket;
  for (std::size_t looked_at = 0; looked_at < bucket_count_; ++looked_at, at = after(at)) {
    const Bucket& bucket = buckets_[at];
    for (std::uint32_t left = slots_with(bucket, place.tag); left != 0; left &= left - 1) {
      const auto slot = static_cast<std::size_t>(std::countr_zero(left));
      if (equal(at, slot, key)) return {place.bucket, at, slot, true};
    }
    if (const std::uint32_t free = slots_with(bucket, 0); free != 0 && !has_room) {
      has_room = true;
      found.bucket = at;
      found.slot = static_cast<std::size_t>(std::countr_zero(free));
    }
    if (has_room && bucket.passed.load(std::memory_order_relaxed) == 0) break;  // relaxed: this thread writes it
  }
  return found;
}

template <std::size_t words>
void FlowTable<words>::set_tag(Bucket& bucket, std::size_t slot, std::uint16_t tag) noexcept {
  std::atomic<std::uint64_t>& word = bucket.tags[slot / tags_a_word];
  const auto shift = static_cast<unsigned>(slot % tags_a_word * 16);
  const std::uint64_t others = word.load(std::memory_order_relaxed) & ~(std::uint64_t{0xffff} << shift);
  // release: the key comes before its tag.
  word.store(others | std::uint64_t{tag} << shift, std::memory_order_release);
}

/// Adds `by` (one, or minus one) to what the buckets from `from` up to but without `to` count.
template <std::size_t words>
void FlowTable<words>::change_passed(std::size_t from, std::size_t to, std::uint32_t by) noexcept {
  for (std::size_t at = from; at != to; at = after(at)) {
    std::atomic<std::uint32_t>& passed = buckets_[at].passed;
    // relaxed: a lookup that does not see it yet (or any more) ran while the key was being changed.
    passed.store(passed.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
}

template <std::size_t words>
Inserted FlowTable<words>::insert(const Key& key) noexcept {
  const Place place = place_of(key);
  const Found found = find_to_change(key, place);
  if (found.present) return Inserted::present;
  if (found.slot == slots) return Inserted::full;
  Bucket& bucket = buckets_[found.bucket];
  // release: whoever sees this version sees that the slot's tag is 0.
  bucket.version.store(bucket.version.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  std::uint64_t* const stored = key_at(found.bucket, found.slot);
  for (std::size_t word = 0; word < words; ++word) {
    // release: whoever sees this word sees the version above.
    std::atomic_ref(stored[word]).store(key[word], std::memory_order_release);
  }
  change_passed(found.home, found.bucket, 1);
  set_tag(bucket, found.slot, place.tag);
  return Inserted::added;
}

template <std::size_t words>
bool FlowTable<words>::erase(const Key& key) noexcept {
  const Found found = find_to_change(key, place_of(key));
  if (!found.present) return false;
  set_tag(buckets_[found.bucket], found.slot, 0);
  change_passed(found.home, found.bucket, ~std::uint32_t{0});
  return true;
}

template <std::size_t words>
void FlowTable<words>::clear() noexcept {
  for (Bucket& bucket : std::span(buckets_, bucket_count_)) {
    // relaxed: no key is published by it, and all that are there are going.
    for (auto& word : bucket.tags) word.store(0, std::memory_order_relaxed);
    bucket.passed.store(0, std::memory_order_relaxed);
  }
}

template class FlowTable<1>;
template class FlowTable<2>;
template class FlowTable<5>;

}  // namespace ixcap::filter
