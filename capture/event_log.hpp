#pragma once

/// What happened to a session's interface, in the order of its happening and in words: each event is a time and a
/// sentence. Whoever takes them says them to people, or writes them into the file.
///
/// Threads: any. Errors: none; of events that nobody takes the latest are kept.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace ixcap::capture {

struct SessionEvent {
  enum class Kind : std::uint8_t {
    link_down,
    link_up,
    module_out,
    module_in,
    hang,            ///< a receive queue, or all of them, took no more frames
    dma_error,       ///< the card could not reach memory
    memory_error,    ///< the card's own memory has an error
    reset_by_other,  ///< somebody else has reset the card, or stopped a queue
    restarted,       ///< the card was reset because of one of the four before, and the capture goes on
    failed,          ///< the capture ends early: Session::failure()
  };

  std::uint64_t time_ns = 0;  ///< UTC nanoseconds since 1970, by the system's clock
  Kind kind = Kind::failed;
  std::string sentence = {};  ///< without a full stop
};

class EventLog {
 public:
  static constexpr std::size_t most_kept = 256;

  void add(SessionEvent::Kind kind, std::string sentence);

  /// The events since the last call, oldest first. Costs a load if there are none.
  std::vector<SessionEvent> take();

 private:
  std::atomic<bool> any_ = false;  ///< a hint: relaxed, for the mutex orders the rest
  std::mutex mutex_;
  std::vector<SessionEvent> events_;
};

}  // namespace ixcap::capture
