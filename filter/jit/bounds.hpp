#pragma once

/// A way for tests to break the compilers: the n-th captured length that this thread's compilations compare with is
/// taken to be one byte less. A test that weakens each bound in turn shows that none could be wrong unseen.

#include <cstddef>
#include <cstdint>
#include <limits>

namespace ixcap::filter::jit {

inline constexpr std::size_t weaken_none = std::numeric_limits<std::size_t>::max();

/// The bounds that this thread's compilations emitted since a test last set this to 0. Some engines compile more than
/// once; the scalar code is always the first.
inline thread_local std::size_t emitted_bounds = 0;

/// The number of the bound that is weakened, counted as emitted_bounds counts; for tests only.
inline thread_local std::size_t weakened_bound = weaken_none;

}  // namespace ixcap::filter::jit
