#pragma once

/// Which engines there are, which of them this CPU runs, and how to make one.
///
/// The environment variable IXCAP_SIMD (scalar, avx2, avx512, or interpreter where no executable memory is to be had)
/// is what best_engine() chooses; a level that the CPU does not have, or another word, is refused with an Error.
///
/// Threads: all of it may be called from any.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

/// In ascending order of speed.
enum class EngineKind : std::uint8_t {
  interpreter,
  scalar,  ///< native code for one frame after the other: any x86-64
  avx2,    ///< native code for 8 frames at once
  avx512,  ///< native code for 16 frames at once (AVX-512 F, BW, DQ and VL); 8 if there is one small program
};

/// `interpreter`, `scalar`, `avx2` or `avx512`.
std::string_view name_of(EngineKind kind) noexcept;

/// The engines that this CPU runs: always the interpreter, and first.
std::span<const EngineKind> available_engines();

/// The fastest that the CPU has and IXCAP_SIMD allows. Throws Error if IXCAP_SIMD is wrong.
EngineKind best_engine();

/// What best_engine() answers for IXCAP_SIMD = `simd`.
EngineKind engine_for(std::optional<std::string_view> simd);

/// Program i answers in bit i. `programs`: at most most_filters, of which nothing is kept. Throws Error if the CPU does
/// not run that engine, or if there is no memory for its code.
std::unique_ptr<const Engine> make_engine(EngineKind kind, std::span<const Program> programs);

}  // namespace ixcap::filter
