/* Counts packets and bytes that an expression matches, in C.
 *
 *     count [INTERFACE [EXPRESSION]]
 */

#include <inttypes.h>
#include <stdio.h>

#include <ixcap/capture/ixcap.h>

int main(int argc, char** argv) {
  const char* interface_name = argc > 1 ? argv[1] : "emulator:mix?count=100000";
  ixcap_session* session = ixcap_open(interface_name, argc > 2 ? argv[2] : "udp port 53", NULL);
  if (session == NULL || ixcap_start(session) != 0) {
    fprintf(stderr, "%s\n", ixcap_error());
    ixcap_close(session);
    return 1;
  }
  uint64_t packets = 0;
  uint64_t bytes = 0;
  for (const ixcap_record* record; (record = ixcap_next(session, -1)) != NULL;) {
    if (ixcap_is_loss(record)) continue;
    ++packets;
    bytes += record->wire_length;
  }
  ixcap_ledger ledger;
  ixcap_statistics(session, &ledger);
  printf("%" PRIu64 " packets, %" PRIu64 " bytes, of %" PRIu64 " on the wire\n", packets, bytes, ledger.on_wire);
  const int failed = ixcap_failed(session);
  if (failed) fprintf(stderr, "%s\n", ixcap_error());
  ixcap_close(session);
  return failed;
}
