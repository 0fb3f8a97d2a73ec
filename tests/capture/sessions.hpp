#pragma once

/// Reading a session to its end, and holding its ledger against what the software NIC knows.

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>

#include <ixcap/capture/session.hpp>

namespace ixcap::capture {

struct Read {
  std::uint64_t frames = 0;
  std::uint64_t lost = 0;  ///< sum of the loss records
  std::uint64_t last_timestamp_ns = 0;
  bool in_order = true;
};

/// Reads until the session ends; `visit` sees every frame.
template <typename Visit>
Read read_all(Session& session, Visit visit) {
  Read read;
  while (session.reader().state() == RingState::open) {
    while (const Record* record = session.reader().next()) {
      if (record->is_loss()) {
        read.lost += record->lost_frames;
        continue;
      }
      read.in_order = read.in_order && record->timestamp_ns > read.last_timestamp_ns;
      read.last_timestamp_ns = record->timestamp_ns;
      visit(*record);
      ++read.frames;
    }
    session.reader().release();
    std::this_thread::yield();
  }
  session.stop();
  return read;
}

inline Read read_all(Session& session) {
  return read_all(session, [](const Record&) {});
}

inline void expect_ledger_tells_the_truth(Session& session) {
  const DropLedger ledger = session.ledger();
  const emulator::WireCounts wire = *session.interface().wire_counts();
  EXPECT_TRUE(ledger.balanced()) << ledger.to_string();
  EXPECT_EQ(ledger.on_wire, wire.frames);
  EXPECT_EQ(ledger.rejected_by_mac, wire.rejected());
  EXPECT_EQ(ledger.not_admitted, wire.not_admitted);
  EXPECT_EQ(ledger.missed, wire.missed);
  EXPECT_EQ(ledger.no_descriptor_total(), wire.no_descriptor);
  EXPECT_EQ(ledger.lost_in_card, wire.dma_faults + wire.discarded);
  EXPECT_EQ(ledger.malformed + ledger.filtered + ledger.lost_by_reader + ledger.delivered + ledger.left_unread +
                ledger.in_descriptors.value_or(0),
            wire.delivered);
}

}  // namespace ixcap::capture
