#pragma once

/// A sink that compresses. The file is one zstd frame, without a checksum, whose blocks end where each full buffer, and
/// what flush() finds in it, ends: it can be read up to the last of them that is in the file, whatever happens then.
///
/// One frame, because readers of capture files (Wireshark 4.0) stumble over several.

#include <cstddef>
#include <memory>

#include <ixcap/capture/file_sink.hpp>

namespace ixcap::capture {

/// Its bytes_written() are compressed ones. Throws ixcap::Error where ixcap was built without libzstd.
std::unique_ptr<FileSink> make_zstd_sink(int descriptor, std::size_t buffer_bytes);

}  // namespace ixcap::capture
