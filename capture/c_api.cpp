// ixcap.h: the C functions, each a few lines around capture::Session. No exception gets past them.

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <utility>

#include <ixcap/capture/ixcap.h>
#include <ixcap/capture/session.hpp>

namespace capture = ixcap::capture;

struct ixcap_session {
  explicit ixcap_session(capture::SessionOptions options) : session(std::move(options)) {}
  capture::Session session;
  unsigned taken = 0;  ///< records since they were given back
};

namespace {

static_assert(sizeof(ixcap_record) == sizeof(capture::Record));
static_assert(offsetof(ixcap_record, captured_length) == offsetof(capture::Record, captured_length));
static_assert(offsetof(ixcap_record, wire_length) == offsetof(capture::Record, wire_length));
static_assert(offsetof(ixcap_record, queue) == offsetof(capture::Record, queue));
static_assert(offsetof(ixcap_record, flags) == offsetof(capture::Record, flags));
static_assert(offsetof(ixcap_record, timestamp_ns) == offsetof(capture::Record, timestamp_ns));
static_assert(offsetof(ixcap_record, match_set) == offsetof(capture::Record, match_set));
static_assert(capture::record_is_loss == 1, "ixcap_is_loss() knows");

constexpr unsigned batch = 64;  // records given back at once

std::string& last_error() {
  thread_local std::string text;
  return text;
}

/// Runs `step`; what it throws becomes ixcap_error() and `failed`.
template <typename Result, typename Step>
Result attempt(Result failed, const Step& step) noexcept {
  try {
    return step();
  } catch (const std::exception& error) {
    try {
      last_error() = error.what();
    } catch (...) {
      last_error().clear();  // no memory for the text either
    }
    return failed;
  }
}

const char* text_or_empty(const char* text) {
  return text == nullptr ? "" : text;
}

capture::SessionOptions session_options(const char* interface_name, const char* expression,
                                        const ixcap_options* given) {
  capture::SessionOptions options{.interface = text_or_empty(interface_name), .expression = text_or_empty(expression)};
  if (given == nullptr) return options;
  if (given->snaplen != 0) options.snaplen = given->snaplen;
  if (given->queues != 0) options.queues = given->queues;
  if (given->descriptors != 0) options.descriptors = given->descriptors;
  if (given->ring_bytes != 0) options.ring_bytes = given->ring_bytes;
  options.vlan_aware = given->vlan_aware != 0;
  options.keep_fcs = given->keep_fcs != 0;
  options.bad_frames = given->bad_frames != 0;
  options.count_only = given->count_only != 0;
  return options;
}

void give_back(ixcap_session& handle) noexcept {
  handle.session.reader().release();
  handle.taken = 0;
}

/// What `look` finds, a pointer or a number; it looks again as long as there is nothing and the time is not over.
template <typename Look>
auto wait_for(ixcap_session& handle, int timeout_ms, const Look& look) noexcept {
  using Clock = std::chrono::steady_clock;
  capture::SessionReader& reader = handle.session.reader();
  const Clock::time_point due = Clock::now() + std::chrono::milliseconds(std::max(timeout_ms, 0));
  while (true) {
    auto found = look(reader);
    if (found) return found;
    give_back(handle);
    if (reader.state() != capture::RingState::open || timeout_ms == 0) return found;
    std::chrono::milliseconds left{-1};
    if (timeout_ms > 0) {
      left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now());
      if (left.count() <= 0) return found;
    }
    if (!reader.wait(left)) return found;
  }
}

}  // namespace

ixcap_session* ixcap_open(const char* interface_name, const char* expression, const ixcap_options* options) {
  return attempt<ixcap_session*>(
      nullptr, [&] { return new ixcap_session(session_options(interface_name, expression, options)); });
}

int ixcap_start(ixcap_session* session) {
  return attempt(-1, [&] {
    session->session.start();
    return 0;
  });
}

const ixcap_record* ixcap_next(ixcap_session* session, int timeout_ms) {
  if (session->taken == batch) give_back(*session);
  const capture::Record* record =
      wait_for(*session, timeout_ms, [](capture::SessionReader& reader) { return reader.next(); });
  if (record != nullptr) ++session->taken;
  return reinterpret_cast<const ixcap_record*>(record);
}

size_t ixcap_next_batch(ixcap_session* session, const ixcap_record* const** records, int timeout_ms) {
  give_back(*session);
  return wait_for(*session, timeout_ms, [&](capture::SessionReader& reader) {
    const auto found = reader.next_batch();
    *records = reinterpret_cast<const ixcap_record* const*>(found.data());
    return found.size();
  });
}

void ixcap_release(ixcap_session* session) {
  give_back(*session);
}

ixcap_reading ixcap_state(ixcap_session* session) {
  switch (session->session.reader().state()) {
    case capture::RingState::open:
      return ixcap_reading_open;
    case capture::RingState::ended:
      return ixcap_reading_ended;
    case capture::RingState::broken:
      break;
  }
  return ixcap_reading_broken;
}

void ixcap_breakloop(ixcap_session* session) {
  session->session.reader().breakloop();
}

int ixcap_stop(ixcap_session* session) {
  return attempt(-1, [&] {
    session->session.finish();
    return 0;
  });
}

int ixcap_failed(const ixcap_session* session) {
  return attempt(1, [&] {
    const auto failure = session->session.failure();
    if (failure.has_value()) throw *failure;
    return 0;
  });
}

void ixcap_close(ixcap_session* session) {
  delete session;
}

int ixcap_add_filter(ixcap_session* session, const char* expression) {
  return attempt(-1, [&] { return static_cast<int>(session->session.filters().add(text_or_empty(expression))); });
}

int ixcap_replace_filter(ixcap_session* session, unsigned bit, const char* expression) {
  return attempt(-1, [&] {
    session->session.filters().replace(bit, text_or_empty(expression));
    return 0;
  });
}

int ixcap_remove_filter(ixcap_session* session, unsigned bit) {
  return attempt(-1, [&] {
    session->session.filters().remove(bit);
    return 0;
  });
}

int ixcap_filter_count(const ixcap_session* session, unsigned bit, uint64_t* packets, uint64_t* bytes) {
  return attempt(-1, [&] {
    for (const capture::FilterCount& count : session->session.counts()) {
      if (count.bit != bit) continue;
      *packets = count.packets;
      *bytes = count.bytes;
      return 0;
    }
    throw ixcap::Error("cannot tell what has matched", "bit " + std::to_string(bit), "no filter has it",
                       "give a bit that ixcap_add_filter() returned");
  });
}

void ixcap_statistics(const ixcap_session* session, ixcap_ledger* ledger) {
  const capture::DropLedger now = session->session.ledger();
  const auto number = [](capture::DropLedger::Count count) { return count.value_or(ixcap_not_available); };
  *ledger = {.on_wire = number(now.on_wire),
             .rejected_by_mac = number(now.rejected_by_mac),
             .not_admitted = number(now.not_admitted),
             .missed = number(now.missed),
             .no_descriptor = now.no_descriptor_total(),
             .malformed = now.malformed,
             .filtered = now.filtered,
             .delivered = now.delivered,
             .counted = now.counted,
             .left_unread = now.left_unread,
             .in_descriptors = number(now.in_descriptors),
             .lost_in_card = now.lost_in_card};
}

const char* ixcap_error(void) {
  return last_error().c_str();
}
