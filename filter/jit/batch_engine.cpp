#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <utility>

#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/graph_builder.hpp>
#include <ixcap/filter/graph_optimizer.hpp>
#include <ixcap/filter/jit/batch_compiler.hpp>
#include <ixcap/filter/jit/batch_engine.hpp>
#include <ixcap/filter/jit/single_compiler.hpp>

namespace ixcap::filter {
namespace {

constexpr unsigned widest_field = 4;        // bytes, a lane
constexpr std::size_t prefetch_ahead = 16;  // frames

/// From a word a filter, with a bit a frame, to a match set a frame, with a bit a filter. `match_sets`: `frames` of
/// them, a multiple of 8.
[[gnu::target("avx512f")]] void spread_wide(std::span<const std::uint64_t> words, std::span<const std::uint64_t> bits,
                                            std::size_t frames, std::uint64_t* match_sets) noexcept {
  for (std::size_t first = 0; first < frames; first += 8) {
    __m512i sets = _mm512_setzero_si512();
    for (std::size_t i = 0; i < bits.size(); ++i) {
      const auto matched = static_cast<__mmask8>(words[i] >> first);
      sets = _mm512_mask_or_epi64(sets, matched, sets, _mm512_set1_epi64(static_cast<std::int64_t>(bits[i])));
    }
    _mm512_storeu_si512(match_sets + first, sets);
  }
}

/// The same with AVX2.
[[gnu::target("avx2")]] void spread(std::span<const std::uint64_t> words, std::span<const std::uint64_t> bits,
                                    std::size_t frames, std::uint64_t* match_sets) noexcept {
  for (std::size_t first = 0; first < frames; first += 4) {
    const __m256i frame_bits = _mm256_slli_epi64(_mm256_setr_epi64x(1, 2, 4, 8), static_cast<int>(first));
    __m256i sets = _mm256_setzero_si256();
    for (std::size_t i = 0; i < bits.size(); ++i) {
      const __m256i word = _mm256_set1_epi64x(static_cast<std::int64_t>(words[i]));
      const __m256i matched = _mm256_cmpeq_epi64(_mm256_and_si256(word, frame_bits), frame_bits);
      const __m256i bit = _mm256_set1_epi64x(static_cast<std::int64_t>(bits[i]));
      sets = _mm256_or_si256(sets, _mm256_and_si256(matched, bit));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(match_sets + first), sets);
  }
}

}  // namespace

BatchEngine::BatchEngine(EngineKind kind, std::span<const Program> programs)
    : one_frame_(programs), lanes_(kind == EngineKind::avx512 ? 16 : 8) {
  Graph graph;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    add_program(graph, programs[i]);
    bits_.push_back(std::uint64_t{1} << i);
  }
  optimize(graph, widest_field);
  const bool wide = kind == EngineKind::avx512;
  std::optional<jit::Code> single =
      jit::compile_single(graph, wide ? jit::SimdLevel::avx512_8_lanes : jit::SimdLevel::avx2);
  const bool is_single = single.has_value();
  code_ = std::make_unique<const jit::Code>(
      single ? std::move(*single) : jit::compile_batch(graph, wide ? jit::SimdLevel::avx512 : jit::SimdLevel::avx2));
  if (is_single) {
    single_ = code_->entry<jit::SingleFunction>();
  } else if (code_->memory) {
    several_ = code_->entry<jit::BatchFunction>();
  } else {
    instead_.emplace(programs);
  }
}

BatchEngine::~BatchEngine() = default;

void BatchEngine::match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept {
  match_ahead(frames, match_sets, {});
}

void BatchEngine::match_ahead(std::span<const Frame> frames, std::span<std::uint64_t> match_sets,
                              std::span<const Frame> next) const noexcept {
  if (frames.empty()) return;
  if (instead_) return instead_->match(frames, match_sets);
  if ((frames.size() & (lanes_ - 1)) != 0) return match_padded(frames, match_sets);
  match_groups(frames, match_sets.data(), next.size() == batch_size ? next.data() : nullptr);
}

void BatchEngine::match_padded(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept {
  // Whole groups: frames of one byte, which may be read beyond it, stand for missing ones.
  alignas(jit::longest_reach) static constexpr std::array<std::uint8_t, jit::longest_reach> nothing = {};
  std::array<Frame, batch_size> padded;
  std::array<std::uint64_t, batch_size> padded_sets;
  const std::size_t count = (frames.size() + lanes_ - 1) / lanes_ * lanes_;
  std::ranges::copy(frames, padded.begin());
  std::fill_n(padded.begin() + static_cast<std::ptrdiff_t>(frames.size()), count - frames.size(),
              Frame{nothing.data(), 1, 1});
  match_groups({padded.data(), count}, padded_sets.data(), nullptr);
  std::copy_n(padded_sets.begin(), frames.size(), match_sets.begin());
}

void BatchEngine::match_groups(std::span<const Frame> frames, std::uint64_t* match_sets,
                               const Frame* next) const noexcept {
  jit::LaneScratch scratch;
  if (next != nullptr) {
    scratch.prefetch = next;
    scratch.prefetch_end = next + batch_size;
  } else {
    scratch.prefetch = frames.data() + std::min(frames.size(), prefetch_ahead);
    scratch.prefetch_end = frames.data() + frames.size();
  }
  if (single_ != nullptr) {
    std::uint64_t undecided = single_(frames.data(), frames.size(), match_sets, &scratch);
    undecided >>= batch_size - frames.size();
    for (; undecided != 0; undecided &= undecided - 1) {
      const std::size_t frame = jit::frame_of_bit(static_cast<std::size_t>(std::countr_zero(undecided)));
      match_sets[frame] = one_frame_.match(frames[frame]);
    }
    return;
  }
  std::array<std::uint64_t, most_filters + 1> words;
  several_(frames.data(), frames.size(), words.data(), &scratch);
  (lanes_ == 16 ? spread_wide : spread)(words, bits_, frames.size(), match_sets);
  std::uint64_t undecided = words[bits_.size()];
  if (frames.size() < batch_size) undecided &= (std::uint64_t{1} << frames.size()) - 1;
  for (; undecided != 0; undecided &= undecided - 1) {
    const auto frame = static_cast<std::size_t>(std::countr_zero(undecided));
    match_sets[frame] = one_frame_.match(frames[frame]);
  }
}

NativeCode BatchEngine::native_code() const noexcept {
  return instead_ ? instead_->native_code() : code_->view();
}

}  // namespace ixcap::filter
