#pragma once

/// The ring's synchronisation (capture/ring_sync.hpp) under a model checker, Relacy: a producer, a lossless reader that
/// may die and come back as another, and a lossy one, on a ring of four records.
///
/// Relacy runs the threads on one processor, chooses at random which goes on at each atomic operation, and answers each
/// load with any value that the memory model allows. It reports data races, stuck threads and failed assertions.

#include <optional>

#include <ixcap/capture/ring_sync.hpp>

namespace ixcap::test {

struct RingVerdict {
  const char* result;  ///< Relacy's: "SUCCESS" if it found nothing
  unsigned iteration;  ///< the one that failed, or how many there were
};

/// Runs the model `iterations` times, with one order a step weaker than the code has it: acquire and release become
/// relaxed, sequentially consistent becomes acquire and release. The verdict is the same every time.
RingVerdict run_ring_model(std::optional<capture::RingOrder> weakened, unsigned iterations);

}  // namespace ixcap::test
