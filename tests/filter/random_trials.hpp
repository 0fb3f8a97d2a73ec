#pragma once

/// Random programs through engines and libpcap's bpf_filter at once.

#include <cstdint>
#include <span>
#include <string>

#include <ixcap/filter/engines.hpp>

namespace ixcap::filter {

struct TrialResult {
  std::uint64_t programs = 0;
  std::uint64_t frames = 0;  ///< frames that programs were asked about: the answers compared for each engine
  std::string disagreement;  ///< empty: none; else everything there is to know about the first one
};

/// Makes at least `programs` random programs from `seed`, alone and in sets of up to 64, and compares what the engines
/// of `kinds` answer for 4 and more frames with what bpf_filter answers. Ends at the first disagreement. The same seed
/// and number make the same programs and frames everywhere. Threads: any.
TrialResult try_random_programs(std::span<const EngineKind> kinds, std::uint32_t seed, std::uint64_t programs);

}  // namespace ixcap::filter
