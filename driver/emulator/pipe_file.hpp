#pragma once

/// A pipe as a FILE whose reader can be called off while it waits for the writer.

#include <atomic>
#include <cstdio>

namespace ixcap::emulator {

/// Takes over `descriptor`; closed with the FILE. Once `cancelled` is true (set by any thread), a read that waits ends
/// within a tenth of a second, as at the end of the file. `cancelled` must outlive the FILE. nullptr for want of
/// memory.
std::FILE* open_pipe_file(int descriptor, const std::atomic<bool>& cancelled);

}  // namespace ixcap::emulator
