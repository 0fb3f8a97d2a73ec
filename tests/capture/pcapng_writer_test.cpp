// A file that PcapngWriter wrote says to libpcap and to Wireshark what went into the ring: every frame, every
// nanosecond, every loss, and the counts that are known.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include <ixcap/capture/pcapng_writer.hpp>
#include <ixcap/capture/ring.hpp>

#include "tests/files.hpp"
#include "tests/process.hpp"

namespace ixcap::capture {
namespace {

using test::on_path;
using test::output_of;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t start_ns = 1'700'000'000'123'456'789;

const pcapng::InterfaceDescription description = {
    .name = "0000:03:00.0",
    .description = "port 1",
    .mac = pcapng::MacAddress{2, 0, 0, 0, 0, 1},
    .speed_bits_per_second = 10'000'000'000,
    .filter = "udp port 53",
    .hardware = "Intel 82599",
    .snaplen = 9000,
};

struct Ring {
  RingMemory memory{{.size_bytes = RingMemory::smallest_size_bytes}};
  RingProducer producer{memory};
  RingReader reader{memory};

  void drain_to(PcapngWriter& writer) {
    producer.publish();
    while (const Record* record = reader.next()) writer.write(*record);
    reader.release();
  }
};

TEST(PcapngWriter, WritesWhatLibpcapReadsBack) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  const test::TemporaryFolder folder;
  Ring ring;
  PcapngWriter writer(folder.file("x.pcapng"), description);
  std::mt19937 random(seed);
  std::vector<std::vector<std::uint8_t>> frames;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    std::vector<std::uint8_t>& frame = frames.emplace_back(random() % (i % 10 == 0 ? 9000 : 128));
    for (std::uint8_t& byte : frame) byte = static_cast<std::uint8_t>(random());
    const auto length = static_cast<std::uint32_t>(frame.size());
    ASSERT_TRUE(ring.producer.append({frame.data(), length, length + 5}, start_ns + i, 1, 0, record_time_nic_clock));
    ring.drain_to(writer);
  }
  writer.close();
  EXPECT_EQ(writer.file().frames_written(), frames.size());

  char error[PCAP_ERRBUF_SIZE] = "";
  pcap_t* pcap =
      pcap_open_offline_with_tstamp_precision(folder.file("x.pcapng").c_str(), PCAP_TSTAMP_PRECISION_NANO, error);
  ASSERT_NE(pcap, nullptr) << error;
  EXPECT_EQ(pcap_datalink(pcap), DLT_EN10MB);
  EXPECT_EQ(pcap_snapshot(pcap), 9000);
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_EQ(pcap_next_ex(pcap, &header, &data), 1) << i << ": " << pcap_geterr(pcap);
    ASSERT_EQ(std::vector<std::uint8_t>(data, data + header->caplen), frames[i]);
    ASSERT_EQ(header->len, frames[i].size() + 5);
    // With this precision libpcap puts nanoseconds into tv_usec.
    ASSERT_EQ(
        static_cast<std::uint64_t>(header->ts.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(header->ts.tv_usec),
        start_ns + i);
  }
  EXPECT_EQ(pcap_next_ex(pcap, &header, &data), PCAP_ERROR_BREAK);
  pcap_close(pcap);
}

TEST(PcapngWriter, AddsUpLossesUntilAFrameCarriesThem) {
  const test::TemporaryFolder folder;
  Ring ring;
  PcapngWriter writer(folder.file("x.pcapng"), description);
  const std::vector<std::uint8_t> frame(60, 1);
  ASSERT_TRUE(ring.producer.append_loss(3, start_ns, 0));
  ASSERT_TRUE(ring.producer.append_loss(4, start_ns, 1));
  ring.drain_to(writer);
  EXPECT_EQ(writer.losses_since_last_frame(), 7u);
  ASSERT_TRUE(ring.producer.append({frame.data(), 60, 60}, start_ns, 1, 0, 0));
  ring.drain_to(writer);
  EXPECT_EQ(writer.losses_since_last_frame(), 0u);
  writer.close();
  EXPECT_EQ(writer.file().frames_written(), 1u);
}

TEST(PcapngWriter, TellsWiresharkAllItKnows) {
  if (!on_path("tshark") || !on_path("capinfos")) GTEST_SKIP() << "tshark and capinfos are not installed";
  const test::TemporaryFolder folder;
  const std::string path = folder.file("x.pcapng");
  Ring ring;
  PcapngWriter writer(path, description, "a test");
  std::vector<std::uint8_t> frame(60);
  frame[0] = 2;
  frame[5] = 1;
  ASSERT_TRUE(ring.producer.append({frame.data(), 60, 60}, start_ns, 1, 3, record_time_nic_clock));
  ASSERT_TRUE(ring.producer.append_loss(7, start_ns, 3));
  frame[5] = 2;
  ASSERT_TRUE(ring.producer.append({frame.data(), 60, 1500}, start_ns + 1, 1, 4, record_time_nic_clock));
  ASSERT_TRUE(ring.producer.append_loss(9, start_ns, 4));
  ring.drain_to(writer);
  writer.write_statistics(
      {.timestamp_ns = start_ns, .start_ns = start_ns, .received = 123, .dropped_by_interface = 16});
  writer.close();

  EXPECT_THAT(output_of("tshark -r " + path +
                        " -T fields -E separator=, -e frame.time_epoch -e frame.interface_queue -e frame.packet_flags"
                        " -e frame.drop_count -e frame.cap_len -e frame.len"),
              HasSubstr("1700000000.123456789,3,0x00000005,,60,60\n"
                        "1700000000.123456790,4,0x00000011,7,60,1500\n"));
  EXPECT_THAT(output_of("tshark -r " + path + " -T json"), HasSubstr("\"frame.drop_count\": \"7\""));

  const std::string information = output_of("capinfos " + path);
  for (const char* line : {"Filter string = udp port 53", "Name = 0000:03:00.0", "Speed = 10000000000",
                           "Time precision = nanoseconds (9)", "Number of stat entries = 1", "Number of packets = 2",
                           "Capture comment:     a test", "Capture application: ixcap "})
    EXPECT_THAT(information, HasSubstr(line));

  // Wireshark dissects the file itself: every option by name, and a complaint about each that is malformed.
  const std::string dissected = output_of("tshark -r " + path + " -V -X 'read_format:MIME Files Format'");
  for (const char* line : {"MAC Address: 02:00:00:00:00:01", "Hardware: Intel 82599", "FCS Length: 0",
                           "frames lost after the last packet before this block: 9", "Start Time",
                           "Number of Received Packets = 123", "Number of Dropped Packets = 16"})
    EXPECT_THAT(dissected, HasSubstr(line));
  for (const char* absent : {"Malformed", "Expert Info", "Accepted by Filter", "by OS", "Delivered"})
    EXPECT_THAT(dissected, Not(HasSubstr(absent)));
}

}  // namespace
}  // namespace ixcap::capture
