#pragma once

/// A sink that writes past the page cache (O_DIRECT) and without waiting for the disk (io_uring): blocks of pages,
/// those that are full on their way to the disk one after the other, while the next is being filled.
///
///     file   | block 0 | block 1 | ...  | pages of a whole buffer each, in order, so that a process which is killed
///                                         leaves no gap
///     end    | ..... what flush() and close() find in the buffer; written plainly, because it is no whole page
///
/// What flush() has written plainly is written once more with its whole buffer. Where a file system turns out to take
/// no such writes, the sink goes on with plain ones.

#include <cstddef>
#include <memory>
#include <string>

#include <ixcap/capture/file_sink.hpp>

namespace ixcap::capture {

/// nullptr: that is not possible with this file, here or now, and `why_not` says why. `buffer_bytes` is rounded up to
/// whole pages.
std::unique_ptr<FileSink> make_direct_sink(int descriptor, std::size_t buffer_bytes, BlockCounter count_blocks,
                                           std::string& why_not);

}  // namespace ixcap::capture
