#include <algorithm>
#include <cstring>
#include <utility>

#include <ixcap/capture/pcap_writer.hpp>

namespace ixcap::capture {
namespace {

struct FileHeader {
  std::uint32_t magic;
  std::uint16_t major = 2;
  std::uint16_t minor = 4;
  std::uint32_t time_zone = 0;
  std::uint32_t accuracy = 0;
  std::uint32_t snaplen;
  std::uint32_t link_type = 1;  // LINKTYPE_ETHERNET
};
static_assert(sizeof(FileHeader) == 24);

struct PacketHeader {
  std::uint32_t seconds;
  std::uint32_t fraction;
  std::uint32_t captured_length;
  std::uint32_t wire_length;
};
static_assert(sizeof(PacketHeader) == 16);

constexpr std::uint32_t no_limit = 262144;  // what readers take as a header's longest snapshot length
constexpr std::uint64_t ns_per_second = 1'000'000'000;

}  // namespace

PcapWriter::PcapWriter(OutputFile file, FileWriterOptions options, TimePrecision precision, std::uint32_t snaplen)
    : file_(std::move(file), options, &count_whole_packets),
      ns_per_unit_(precision == TimePrecision::nano ? 1 : 1000),
      snaplen_(snaplen == 0 ? UINT32_MAX : snaplen) {
  const FileHeader header = {.magic = precision == TimePrecision::nano ? 0xa1b23c4d : 0xa1b2c3d4,
                             .snaplen = std::min(snaplen_, no_limit)};
  std::memcpy(file_.reserve(sizeof header), &header, sizeof header);
  file_.commit(sizeof header, 0);
}

void PcapWriter::write(const Record& record) {
  if (record.is_loss()) [[unlikely]]
    return;
  const std::uint32_t captured = std::min(record.captured_length, snaplen_);
  const PacketHeader header = {static_cast<std::uint32_t>(record.timestamp_ns / ns_per_second),
                               static_cast<std::uint32_t>(record.timestamp_ns % ns_per_second) / ns_per_unit_, captured,
                               record.wire_length};
  const std::size_t length = sizeof header + captured;
  std::uint8_t* const out = file_.reserve(length);
  std::memcpy(out, &header, sizeof header);
  std::memcpy(out + sizeof header, record.data(), captured);
  file_.commit(length, 1);
}

WholeBlocks count_whole_packets(const std::uint8_t* bytes, std::size_t count, bool at_start) noexcept {
  WholeBlocks whole;
  if (at_start) {
    if (count < sizeof(FileHeader)) return whole;
    whole.bytes = sizeof(FileHeader);
  }
  while (count - whole.bytes >= sizeof(PacketHeader)) {
    PacketHeader header;
    std::memcpy(&header, bytes + whole.bytes, sizeof header);
    if (header.captured_length > count - whole.bytes - sizeof header) break;
    whole.bytes += sizeof header + header.captured_length;
    ++whole.frames;
  }
  return whole;
}

}  // namespace ixcap::capture
