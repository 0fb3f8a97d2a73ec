// What the card noted of a frame comes through the ring, to every kind of reader, and into the packet's flags and
// comment; an ordinary frame has nothing of the kind, and flags that lie lead nowhere.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include <ixcap/capture/pcapng_writer.hpp>
#include <ixcap/capture/record_notes.hpp>
#include <ixcap/capture/ring.hpp>

#include "tests/files.hpp"
#include "tests/process.hpp"

namespace ixcap::capture {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t time_ns = 1'700'000'000'000'000'123;

TEST(RecordNotes, BringTheCardsStampToEveryReader) {
  RingMemory memory({.size_bytes = RingMemory::smallest_size_bytes});
  RingProducer producer(memory);
  RingReader lossless(memory);
  RingReader lossy(memory, {.policy = ReaderPolicy::lossy});
  for (std::uint32_t length = 0; length <= 64; ++length) {
    const std::vector<std::uint8_t> bytes(length + 1, static_cast<std::uint8_t>(length));
    const Frame frame{bytes.data(), length, length + 10};
    ASSERT_TRUE(producer.append_stamped(frame, time_ns, 5, 2, record_time_hardware, time_ns - length));
    ASSERT_TRUE(producer.append(frame, time_ns, 5, 2, record_time_nic_clock));
    producer.publish();
    for (RingReader* reader : {&lossless, &lossy}) {
      const Record* const stamped = reader->next();
      ASSERT_NE(stamped, nullptr);
      EXPECT_EQ(stamped->card_stamp_ns(), time_ns - length);
      EXPECT_EQ(stamped->flags, record_time_hardware | record_has_stamp);
      EXPECT_EQ(stamped->timestamp_ns, time_ns);
      EXPECT_EQ(stamped->match_set, 5u);
      EXPECT_EQ(stamped->queue, 2u);
      EXPECT_EQ(stamped->captured_length, length);
      EXPECT_EQ(stamped->wire_length, length + 10);
      EXPECT_EQ(std::memcmp(stamped->data(), bytes.data(), length), 0);
      const Record* const ordinary = reader->next();
      ASSERT_NE(ordinary, nullptr);
      EXPECT_EQ(ordinary->card_stamp_ns(), std::nullopt);
      EXPECT_EQ(note_on(*ordinary), "");
      reader->release();
    }
  }
}

TEST(RecordNotes, ReadNoStampThatCannotBeThere) {
  alignas(Record) std::uint8_t memory[sizeof(Record) + 64] = {};
  auto& record = *reinterpret_cast<Record*>(memory);
  record.flags = record_has_stamp;
  record.length = sizeof(Record) + 16;
  record.captured_length = 9;
  EXPECT_EQ(record.card_stamp_ns(), std::nullopt);
  record.captured_length = 8;
  EXPECT_EQ(record.card_stamp_ns(), 0u);
}

TEST(RecordNotes, TellErrorsAsThePcapngDraftNumbersThem) {
  EXPECT_EQ(link_layer_errors(record_time_hardware | record_has_stamp), 0u);
  EXPECT_EQ(link_layer_errors(record_bad_fcs), 1u << 24);
  EXPECT_EQ(link_layer_errors(record_too_long), 1u << 25);
  EXPECT_EQ(link_layer_errors(record_too_short), 1u << 26);
  EXPECT_EQ(link_layer_errors(record_bad_symbol), 1u << 31);
  EXPECT_EQ(link_layer_errors(record_bad_length), 0u) << "there is no bit for it: a comment says so";
  EXPECT_EQ(link_layer_errors(record_bad_mask), 0x87000000u);
}

TEST(RecordNotes, AreInTheFile) {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("x.pcapng");
  RingMemory memory({.size_bytes = RingMemory::smallest_size_bytes});
  RingProducer producer(memory);
  RingReader reader(memory);
  const std::vector<std::uint8_t> bytes(60, 7);
  const Frame frame{bytes.data(), 60, 60};
  ASSERT_TRUE(producer.append_stamped(frame, time_ns + 1, 1, 0, record_time_nic_clock, time_ns));
  ASSERT_TRUE(producer.append(frame, time_ns + 2, 1, 0, record_bad_length | record_bad_fcs));
  ASSERT_TRUE(producer.append(frame, time_ns + 3, 1, 0, 0));
  producer.close();
  PcapngWriter writer(path, {.name = "0000:03:00.0", .fcs_bytes = 4});
  while (const Record* record = reader.next()) writer.write(*record);
  writer.close();
  if (!test::on_path("tshark")) GTEST_SKIP() << "tshark is not installed";
  const std::string text = test::output_of("tshark -r '" + path +
                                           "' -T fields -e frame.comment -e frame.packet_flags"
                                           " -e frame.time_epoch 2>/dev/null");
  EXPECT_EQ(text,
            "time stamp of the card: 1700000000.000000123\t0x00000009\t1700000000.000000124\n"
            "the length field is not the length\t0x01000009\t1700000000.000000125\n"
            "\t0x00000009\t1700000000.000000126\n");
}

}  // namespace
}  // namespace ixcap::capture
