#pragma once

/// Signals as flags that a loop looks at.
///
/// SIGINT and SIGTERM ask to finish cleanly; a second one ends the process at once. SIGUSR1 asks for statistics.
/// SIGXFSZ is ignored, so that a file size limit (ulimit -f) becomes an error with a sentence, for memfds too.

namespace ixcap::tools {

/// Installs the handlers for the rest of the process's life.
void watch_signals() noexcept;

/// Whether SIGINT or SIGTERM has come.
bool finish_requested() noexcept;

/// Whether SIGUSR1 has come since the last call.
bool take_statistics_request() noexcept;

}  // namespace ixcap::tools
