#ifndef IXCAP_CAPTURE_IXCAP_H
#define IXCAP_CAPTURE_IXCAP_H

/*
 * ixcap for C (C11), and for every language that calls C: a capture from one interface.
 *
 *     ixcap_session *session = ixcap_open("emulator:mix?count=1000", "udp port 53", NULL);
 *     if (session == NULL || ixcap_start(session) != 0) { fprintf(stderr, "%s\n", ixcap_error()); exit(1); }
 *     for (const ixcap_record *packet; (packet = ixcap_next(session, -1)) != NULL;) {
 *       if (!ixcap_is_loss(packet)) use(ixcap_data(packet), packet->captured_length);
 *     }
 *     ixcap_close(session);
 *
 * This is capture/session.hpp with other clothes on; what interfaces, filters, bits, records and losses are is said
 * there, in filters.hpp and in record.hpp. Compile and link with pkg-config --cflags --libs ixcap.
 *
 * Errors: functions that can fail return NULL or -1, and ixcap_error() then has one line: what failed, on what, why,
 * and what to do about it. It is the calling thread's own and stays until that thread's next failure.
 *
 * Threads: one reads (ixcap_next, ixcap_next_batch, ixcap_release, ixcap_state); any thread calls the rest. ixcap_close
 * comes when nobody else is inside. ixcap_breakloop may also be called by a signal handler.
 *
 * Ownership: what ixcap_open gives belongs to the caller, until ixcap_close. Records stay the session's; each is valid
 * until the reading thread's next call of ixcap_next, ixcap_next_batch or ixcap_release.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ixcap_session ixcap_session;

/* One captured frame, or one gap: struct Record of record.hpp. The frame's bytes follow it in memory. */
typedef struct ixcap_record {
  uint32_t length;          /* bytes of the whole record; nothing to a user of these functions */
  uint32_t captured_length; /* bytes of the frame that are there; 0 of a loss */
  uint32_t wire_length;     /* bytes it had on the wire, without FCS */
  uint16_t queue;           /* receive queue */
  uint16_t flags;           /* record.hpp */
  uint64_t timestamp_ns;    /* UTC nanoseconds since 1970 */
  union {
    uint64_t match_set;   /* bit i: filter i matched */
    uint64_t lost_frames; /* of a loss: how many frames are missing here */
  };
} ixcap_record;

/* Whether a record tells of lost frames and has none itself. */
static inline int ixcap_is_loss(const ixcap_record* record) {
  return record->flags & 1;
}

/* The frame's captured_length bytes, destination address first. */
static inline const uint8_t* ixcap_data(const ixcap_record* record) {
#ifdef __cplusplus
  return reinterpret_cast<const uint8_t*>(record + 1);
#else
  return (const uint8_t*)(record + 1);
#endif
}

/* Set to zero what shall be as usual: ixcap_options options = {0}; */
typedef struct ixcap_options {
  uint32_t snaplen;     /* bytes kept of a frame; 0: 262144 */
  uint32_t queues;      /* receive queues, each with a thread; 0: 1 */
  uint32_t descriptors; /* of each queue, a power of two; 0: 2048 */
  uint32_t vlan_aware;  /* not 0: expressions look behind VLAN tags */
  uint32_t keep_fcs;    /* not 0: frames end with their FCS */
  uint32_t bad_frames;  /* not 0: frames with errors are captured, too */
  uint32_t count_only;  /* not 0: statistics mode, nothing is delivered: ixcap_filter_count() */
  uint32_t reserved;
  uint64_t ring_bytes; /* a power of two; 0: 64 MiB */
} ixcap_options;

/* Opens an interface, compiles the filter and waits for the link. `expression`: pcap-filter(7); NULL or empty: every
 * frame. `options`: NULL: as usual. NULL if it fails. */
ixcap_session* ixcap_open(const char* interface_name, const char* expression, const ixcap_options* options);

/* Receives from now on. 0, or -1 if it fails. */
int ixcap_start(ixcap_session* session);

/* The next record. Waits for it, at most `timeout_ms` (0: not at all, negative: without end). NULL: the time is over,
 * ixcap_breakloop() was called, or there will be no more, and ixcap_state() tells. */
const ixcap_record* ixcap_next(ixcap_session* session, int timeout_ms);

/* The same for up to 64 records at once: how many, and in *records where pointers to them are. */
size_t ixcap_next_batch(ixcap_session* session, const ixcap_record* const** records, int timeout_ms);

/* Gives back every record at once. Those who go on reading need not: the next call does it. */
void ixcap_release(ixcap_session* session);

enum ixcap_reading {
  ixcap_reading_open = 0,   /* there may be more */
  ixcap_reading_ended = 1,  /* the capture is over and everything has been read */
  ixcap_reading_broken = 2, /* a record is damaged, and reading stopped there */
};
enum ixcap_reading ixcap_state(ixcap_session* session);

/* Wakes who waits in ixcap_next or ixcap_next_batch, now or the next time. */
void ixcap_breakloop(ixcap_session* session);

/* Receives no more. What was received by now can still be read; then the state is ixcap_reading_ended. 0, or -1. */
int ixcap_stop(ixcap_session* session);

/* Why the traffic or the capture ended early: 1, and ixcap_error() tells; 0 while it goes on and after a regular end.
 */
int ixcap_failed(const ixcap_session* session);

/* Stops, throws away what has not been read, and frees everything. NULL is allowed. */
void ixcap_close(ixcap_session* session);

/* One more filter: what it matches is captured, too. Its bit in match sets, or -1. The expression given to ixcap_open
 * has bit 0. A change holds when the call returns; no frame is lost by it. */
int ixcap_add_filter(ixcap_session* session, const char* expression);
/* The filter of that bit becomes another; 0, or -1. */
int ixcap_replace_filter(ixcap_session* session, unsigned bit, const char* expression);
/* Nothing matches that bit any more; 0, or -1. */
int ixcap_remove_filter(ixcap_session* session, unsigned bit);
/* With count_only: what the filter of that bit has matched so far; 0, or -1 if there is none. */
int ixcap_filter_count(const ixcap_session* session, unsigned bit, uint64_t* packets, uint64_t* bytes);

/* Where every frame went (drop_ledger.hpp), in frames. ixcap_not_available: the interface cannot tell. */
#define ixcap_not_available UINT64_MAX
typedef struct ixcap_ledger {
  uint64_t on_wire; /* the sum of all that follow */
  uint64_t rejected_by_mac;
  uint64_t not_admitted;
  uint64_t missed;        /* no room in the card */
  uint64_t no_descriptor; /* no room in memory: this program was too slow */
  uint64_t malformed;
  uint64_t filtered;
  uint64_t delivered;
  uint64_t counted;
  uint64_t left_unread;
  uint64_t in_descriptors;
  uint64_t lost_in_card; /* when it was reset, or could not reach memory */
} ixcap_ledger;
void ixcap_statistics(const ixcap_session* session, ixcap_ledger* ledger);

/* This thread's last failure, in one line; an empty one if there was none. */
const char* ixcap_error(void);

#ifdef __cplusplus
}
#endif

#endif
