#include <immintrin.h>

#include <algorithm>
#include <array>
#include <atomic>

#include <ixcap/driver/ixgbe/descriptor_vectors.hpp>

#if defined(__SANITIZE_THREAD__)
#define IXCAP_SCALAR_ONLY 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define IXCAP_SCALAR_ONLY 1
#endif
#endif

namespace ixcap::ixgbe {
namespace {

constexpr std::array all_levels = {VectorLevel::scalar, VectorLevel::sse42, VectorLevel::avx2, VectorLevel::avx512};

/// The bits of a second half that ReceiveStatus::plain asks for, but for the length.
constexpr auto status_mask = static_cast<long long>(ReceiveStatus::plain_mask);
constexpr auto status_wanted = static_cast<long long>(ReceiveStatus::plain_bits);
/// Subtracted with saturation from 16-bit words: of the second half it leaves how much the length is too long, and of
/// everything else nothing.
constexpr long long no_excess = -1;
constexpr long long length_excess = static_cast<long long>(~(std::uint64_t{0xFFFF - buffer_bytes} << 32));
/// Byte positions of a descriptor in the two lengths of its Frame; -1 is a zero byte.
constexpr long long no_bytes = -1;
constexpr long long length_twice = static_cast<long long>(0xFFFF0D0CFFFF0D0Cu);

constexpr std::uint32_t group = 4;

std::uint32_t take_scalar(const ReceiveDescriptor* run, std::uint32_t count, const std::uint8_t* buffer,
                          Frame* frames) noexcept {
  for (std::uint32_t i = 0; i < count; ++i, buffer += buffer_stride) {
    const ReceiveStatus status = run[i].load_status();
    if (!status.plain(buffer_bytes)) return i;
    __builtin_prefetch(buffer);
    frames[i] = {buffer, status.length(), status.length()};
  }
  return count;
}

void arm_scalar(ReceiveDescriptor* run, std::uint32_t count, std::uint64_t io_address) noexcept {
  for (std::uint32_t i = 0; i < count; ++i, io_address += buffer_stride) run[i].arm(io_address);
}

/// What is left of a run after whole groups, or in a group that was not all plain. What vector loads read before is
/// older than the frames' bytes: x86 keeps loads in order, and here the compiler has to as well.
std::uint32_t take_rest(const ReceiveDescriptor* run, std::uint32_t count, const std::uint8_t* buffer, Frame* frames,
                        std::uint32_t taken) noexcept {
  std::atomic_signal_fence(std::memory_order_acquire);
  return taken + take_scalar(run + taken, std::min(count - taken, group), buffer, frames + taken);
}

void prefetch_group(const std::uint8_t* buffer) noexcept {
  for (std::uint32_t i = 0; i < group; ++i) __builtin_prefetch(buffer + i * buffer_stride);
}

[[gnu::target("sse4.2")]] std::uint32_t take_sse42(const ReceiveDescriptor* run, std::uint32_t count,
                                                   const std::uint8_t* buffer, Frame* frames) noexcept {
  const __m128i mask = _mm_set_epi64x(status_mask, 0);
  const __m128i wanted = _mm_set_epi64x(status_wanted, 0);
  const __m128i excess = _mm_set_epi64x(length_excess, no_excess);
  const __m128i lengths = _mm_set_epi64x(length_twice, no_bytes);
  const __m128i stride = _mm_set_epi64x(0, buffer_stride);
  __m128i data = _mm_set_epi64x(0, reinterpret_cast<long long>(buffer));
  std::uint32_t taken = 0;
  for (; count - taken >= group; taken += group, buffer += group * buffer_stride) {
    __m128i d[group];
    __m128i wrong = _mm_setzero_si128();
    for (std::uint32_t i = 0; i < group; ++i) {
      d[i] = _mm_load_si128(reinterpret_cast<const __m128i*>(run + taken + i));
      wrong = _mm_or_si128(wrong, _mm_xor_si128(_mm_and_si128(d[i], mask), wanted));
      wrong = _mm_or_si128(wrong, _mm_subs_epu16(d[i], excess));
    }
    if (!_mm_testz_si128(wrong, wrong)) break;
    prefetch_group(buffer);
    for (std::uint32_t i = 0; i < group; ++i) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(frames + taken + i),
                       _mm_or_si128(_mm_shuffle_epi8(d[i], lengths), data));
      data = _mm_add_epi64(data, stride);
    }
  }
  return take_rest(run, count, buffer, frames, taken);
}

[[gnu::target("sse4.2")]] void arm_sse42(ReceiveDescriptor* run, std::uint32_t count,
                                         std::uint64_t io_address) noexcept {
  const __m128i stride = _mm_set_epi64x(0, buffer_stride);
  __m128i armed = _mm_set_epi64x(0, static_cast<long long>(io_address));
  for (std::uint32_t i = 0; i < count; ++i) {
    _mm_store_si128(reinterpret_cast<__m128i*>(run + i), armed);
    armed = _mm_add_epi64(armed, stride);
  }
}

[[gnu::target("avx2")]] std::uint32_t take_avx2(const ReceiveDescriptor* run, std::uint32_t count,
                                                const std::uint8_t* buffer, Frame* frames) noexcept {
  const __m256i mask = _mm256_set_epi64x(status_mask, 0, status_mask, 0);
  const __m256i wanted = _mm256_set_epi64x(status_wanted, 0, status_wanted, 0);
  const __m256i excess = _mm256_set_epi64x(length_excess, no_excess, length_excess, no_excess);
  const __m256i lengths = _mm256_set_epi64x(length_twice, no_bytes, length_twice, no_bytes);
  const __m256i two_strides = _mm256_set_epi64x(0, 2 * buffer_stride, 0, 2 * buffer_stride);
  const auto first = reinterpret_cast<long long>(buffer);
  __m256i data = _mm256_set_epi64x(0, first + buffer_stride, 0, first);
  std::uint32_t taken = 0;
  for (; count - taken >= group; taken += group, buffer += group * buffer_stride) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(run + taken));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(run + taken + 2));
    const __m256i bits_wrong = _mm256_or_si256(_mm256_xor_si256(_mm256_and_si256(low, mask), wanted),
                                               _mm256_xor_si256(_mm256_and_si256(high, mask), wanted));
    const __m256i too_long = _mm256_or_si256(_mm256_subs_epu16(low, excess), _mm256_subs_epu16(high, excess));
    const __m256i wrong = _mm256_or_si256(bits_wrong, too_long);
    if (!_mm256_testz_si256(wrong, wrong)) break;
    prefetch_group(buffer);
    auto* const out = reinterpret_cast<__m256i*>(frames + taken);
    _mm256_storeu_si256(out, _mm256_or_si256(_mm256_shuffle_epi8(low, lengths), data));
    data = _mm256_add_epi64(data, two_strides);
    _mm256_storeu_si256(out + 1, _mm256_or_si256(_mm256_shuffle_epi8(high, lengths), data));
    data = _mm256_add_epi64(data, two_strides);
  }
  return take_rest(run, count, buffer, frames, taken);
}

[[gnu::target("avx2")]] void arm_avx2(ReceiveDescriptor* run, std::uint32_t count, std::uint64_t io_address) noexcept {
  const __m256i two_strides = _mm256_set_epi64x(0, 2 * buffer_stride, 0, 2 * buffer_stride);
  const auto first = static_cast<long long>(io_address);
  __m256i armed = _mm256_set_epi64x(0, first + buffer_stride, 0, first);
  std::uint32_t i = 0;
  for (; count - i >= 2; i += 2) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(run + i), armed);
    armed = _mm256_add_epi64(armed, two_strides);
  }
  if (i < count) run[i].arm(io_address + std::uint64_t{i} * buffer_stride);
}

[[gnu::target("avx512f,avx512bw")]] std::uint32_t take_avx512(const ReceiveDescriptor* run, std::uint32_t count,
                                                              const std::uint8_t* buffer, Frame* frames) noexcept {
  const __m512i mask = _mm512_set_epi64(status_mask, 0, status_mask, 0, status_mask, 0, status_mask, 0);
  const __m512i wanted = _mm512_set_epi64(status_wanted, 0, status_wanted, 0, status_wanted, 0, status_wanted, 0);
  const __m512i excess = _mm512_set_epi64(length_excess, no_excess, length_excess, no_excess, length_excess, no_excess,
                                          length_excess, no_excess);
  const __m512i lengths =
      _mm512_set_epi64(length_twice, no_bytes, length_twice, no_bytes, length_twice, no_bytes, length_twice, no_bytes);
  const __m512i strides =
      _mm512_set_epi64(0, 4 * buffer_stride, 0, 4 * buffer_stride, 0, 4 * buffer_stride, 0, 4 * buffer_stride);
  const auto first = reinterpret_cast<long long>(buffer);
  __m512i data =
      _mm512_set_epi64(0, first + 3 * buffer_stride, 0, first + 2 * buffer_stride, 0, first + buffer_stride, 0, first);
  std::uint32_t taken = 0;
  for (; count - taken >= group; taken += group, buffer += group * buffer_stride) {
    const __m512i four = _mm512_loadu_si512(run + taken);
    const __m512i bits_wrong = _mm512_xor_si512(_mm512_and_si512(four, mask), wanted);
    const __m512i wrong = _mm512_or_si512(bits_wrong, _mm512_subs_epu16(four, excess));
    if (_mm512_test_epi64_mask(wrong, wrong) != 0) break;
    prefetch_group(buffer);
    _mm512_storeu_si512(frames + taken, _mm512_or_si512(_mm512_shuffle_epi8(four, lengths), data));
    data = _mm512_add_epi64(data, strides);
  }
  return take_rest(run, count, buffer, frames, taken);
}

[[gnu::target("avx512f")]] void arm_avx512(ReceiveDescriptor* run, std::uint32_t count,
                                           std::uint64_t io_address) noexcept {
  const __m512i strides =
      _mm512_set_epi64(0, 4 * buffer_stride, 0, 4 * buffer_stride, 0, 4 * buffer_stride, 0, 4 * buffer_stride);
  const auto first = static_cast<long long>(io_address);
  __m512i armed =
      _mm512_set_epi64(0, first + 3 * buffer_stride, 0, first + 2 * buffer_stride, 0, first + buffer_stride, 0, first);
  std::uint32_t i = 0;
  for (; count - i >= group; i += group) {
    _mm512_storeu_si512(run + i, armed);
    armed = _mm512_add_epi64(armed, strides);
  }
  for (; i < count; ++i) run[i].arm(io_address + std::uint64_t{i} * buffer_stride);
}

constexpr std::array<DescriptorVectors, all_levels.size()> vectors = {{
    {take_scalar, arm_scalar},
    {take_sse42, arm_sse42},
    {take_avx2, arm_avx2},
    {take_avx512, arm_avx512},
}};

/// How many of all_levels the CPU runs.
std::size_t levels_of_this_cpu() noexcept {
#ifdef IXCAP_SCALAR_ONLY
  return 1;
#else
  if (!__builtin_cpu_supports("sse4.2")) return 1;
  if (!__builtin_cpu_supports("avx2")) return 2;
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") ? 4 : 3;
#endif
}

}  // namespace

std::string_view name_of(VectorLevel level) noexcept {
  constexpr std::array<std::string_view, all_levels.size()> names = {"scalar", "sse4.2", "avx2", "avx512"};
  return names[static_cast<std::size_t>(level)];
}

std::span<const VectorLevel> available_vector_levels() noexcept {
  static const std::size_t count = levels_of_this_cpu();
  return std::span(all_levels).first(count);
}

const DescriptorVectors& descriptor_vectors(VectorLevel level) noexcept {
  return vectors[static_cast<std::size_t>(level)];
}

}  // namespace ixcap::ixgbe
