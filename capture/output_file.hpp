#pragma once

/// A file, pipe or device that a writer is about to write to: opened, and named for people.
///
/// Whoever is given one owns its descriptor and closes it, but standard output's.

#include <string>

namespace ixcap::capture {

struct OutputFile {
  int descriptor = -1;
  std::string name;  ///< the path, or "standard output"
  bool is_standard_output = false;
};

/// Creates or empties the file at `path`, or opens the pipe or device that is there; "-" is standard output, which may
/// not be a terminal. Throws ixcap::Error.
OutputFile open_output(const std::string& path);

/// What to do about it when a file could not be opened for writing.
std::string mend_for_open(int error_number);

}  // namespace ixcap::capture
