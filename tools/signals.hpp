#pragma once

/// Signals as flags that a loop looks at.
///
/// SIGINT, SIGTERM and SIGHUP (unless it was ignored: nohup) ask to finish cleanly. Another one within a second is the
/// same request, sent twice as timeout(1) does; a later one ends the process at once. SIGUSR1 asks for statistics.
/// After let_hangup_rotate(), SIGHUP asks for another file instead.
/// SIGXFSZ is ignored, so that a file size limit (ulimit -f) becomes an error with a sentence, for memfds too.

namespace ixcap::tools {

/// Installs the handlers for the rest of the process's life.
void watch_signals() noexcept;

/// Whether one of the signals that ask to finish has come.
bool finish_requested() noexcept;

/// Whether SIGUSR1 has come since the last call.
bool take_statistics_request() noexcept;

/// From now on SIGHUP, unless it was ignored, is a request of its own.
void let_hangup_rotate() noexcept;

/// Whether SIGHUP has come since the last call.
bool take_rotation_request() noexcept;

}  // namespace ixcap::tools
