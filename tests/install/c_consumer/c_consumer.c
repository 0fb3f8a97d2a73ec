/* The C functions as somebody else's program uses them, C11 and nothing more. Each step says what it wants to see. */

#include <stdio.h>
#include <string.h>

#include <ixcap/capture/ixcap.h>

#define WANT(condition)                                                                   \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      fprintf(stderr, "line %d: not so: %s (%s)\n", __LINE__, #condition, ixcap_error()); \
      return 1;                                                                           \
    }                                                                                     \
  } while (0)

static int errors_are_told(void) {
  WANT(strcmp(ixcap_error(), "") == 0);
  WANT(ixcap_open("emulator:mix", "tcp prot 80", NULL) == NULL);
  WANT(strstr(ixcap_error(), "tcp prot 80") != NULL);
  WANT(ixcap_open("no such interface", NULL, NULL) == NULL);
  WANT(strstr(ixcap_error(), "no such interface") != NULL);
  ixcap_close(NULL);
  return 0;
}

static int packets_come_one_by_one(void) {
  ixcap_options options = {0};
  options.queues = 2;
  options.snaplen = 100;
  ixcap_session* session = ixcap_open("emulator:mix?count=24000", NULL, &options);
  WANT(session != NULL);
  ixcap_breakloop(session);
  WANT(ixcap_next(session, -1) == NULL && ixcap_state(session) == ixcap_reading_open);
  WANT(ixcap_start(session) == 0);
  unsigned packets = 0;
  unsigned broadcasts = 0;
  for (const ixcap_record* record; (record = ixcap_next(session, -1)) != NULL;) {
    WANT(!ixcap_is_loss(record) && record->match_set == 1 && record->captured_length <= 100);
    ++packets;
    broadcasts += ixcap_data(record)[0] == 0xff;
  }
  WANT(ixcap_state(session) == ixcap_reading_ended && ixcap_failed(session) == 0);
  WANT(packets == 24000 && broadcasts > 0);
  ixcap_ledger ledger;
  ixcap_statistics(session, &ledger);
  WANT(ledger.on_wire == 24000 && ledger.delivered + ledger.in_descriptors == 24000);
  ixcap_close(session);
  return 0;
}

static int filters_change_and_batches_come(void) {
  ixcap_session* session = ixcap_open("emulator:mix?count=24000", "arp", NULL);
  WANT(session != NULL);
  WANT(ixcap_add_filter(session, "udp port 53") == 1);
  WANT(ixcap_add_filter(session, "tcp prot 80") == -1);
  WANT(ixcap_replace_filter(session, 0, "arp and ether broadcast") == 0);
  WANT(ixcap_replace_filter(session, 0, "arp") == 0);
  WANT(ixcap_add_filter(session, "icmp") == 2 && ixcap_remove_filter(session, 2) == 0);
  WANT(ixcap_remove_filter(session, 2) == -1);
  WANT(ixcap_start(session) == 0);
  unsigned of_filter[2] = {0, 0};
  const ixcap_record* const* records;
  for (size_t count; (count = ixcap_next_batch(session, &records, 10000)) != 0;) {
    for (size_t i = 0; i < count; ++i) ++of_filter[records[i]->match_set == 2];
  }
  ixcap_release(session);
  WANT(ixcap_next(session, 0) == NULL && ixcap_state(session) == ixcap_reading_ended);
  WANT(of_filter[0] == 1200 && of_filter[1] == 3200);
  ixcap_close(session);
  return 0;
}

static int counting_delivers_nothing(void) {
  ixcap_options options = {0};
  options.count_only = 1;
  ixcap_session* session = ixcap_open("emulator:mix?count=24000", "arp", &options);
  WANT(session != NULL && ixcap_start(session) == 0);
  WANT(ixcap_next(session, -1) == NULL && ixcap_state(session) == ixcap_reading_ended);
  uint64_t packets = 0;
  uint64_t bytes = 0;
  WANT(ixcap_filter_count(session, 0, &packets, &bytes) == 0 && packets == 1200 && bytes >= 1200 * 60);
  WANT(ixcap_filter_count(session, 1, &packets, &bytes) == -1);
  ixcap_close(session);
  return 0;
}

static int a_capture_without_end_is_stopped(void) {
  ixcap_session* session = ixcap_open("emulator:mix", NULL, NULL);
  WANT(session != NULL && ixcap_start(session) == 0);
  WANT(ixcap_next(session, -1) != NULL);
  WANT(ixcap_stop(session) == 0);
  while (ixcap_next(session, -1) != NULL) {
  }
  WANT(ixcap_state(session) == ixcap_reading_ended);
  ixcap_close(session);
  return 0;
}

int main(void) {
  if (errors_are_told() || packets_come_one_by_one() || filters_change_and_batches_come() ||
      counting_delivers_nothing() || a_capture_without_end_is_stopped())
    return 1;
  puts("C: all is well");
  return 0;
}
