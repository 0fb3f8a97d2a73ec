#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include <ixcap/capture/pcapng_writer.hpp>
#include <ixcap/capture/record_notes.hpp>

namespace ixcap::capture {
namespace {

std::string operating_system() {
  utsname system = {};
  if (::uname(&system) != 0) return {};
  return fmt::format("{} {}", system.sysname, system.release);
}

// The processor's name; empty where the kernel does not give one.
std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

}  // namespace

PcapngWriter::PcapngWriter(const std::string& path, pcapng::InterfaceDescription description, std::string comment)
    : PcapngWriter(open_output(path), {}, std::move(description), std::move(comment)) {}

PcapngWriter::PcapngWriter(OutputFile file, FileWriterOptions options, pcapng::InterfaceDescription description,
                           std::string comment)
    : file_(std::move(file), options, &pcapng::count_whole_blocks),
      mac_(description.mac),
      snaplen_(description.snaplen == 0 ? UINT32_MAX : description.snaplen) {
  if (description.operating_system.empty()) description.operating_system = operating_system();
  std::vector<std::uint8_t> block;
  pcapng::append_section_header(block, {.hardware = processor(),
                                        .operating_system = operating_system(),
                                        .application = "ixcap " IXCAP_VERSION,
                                        .comment = std::move(comment)});
  append(block);
  block.clear();
  pcapng::append_interface_description(block, description);
  append(block);
}

void PcapngWriter::write(const Record& record, std::string_view comment) {
  if (record.is_loss()) [[unlikely]] {
    losses_since_last_frame_ += record.lost_frames;
    return;
  }
  std::string note;
  if ((record.flags & record_noted) != 0) [[unlikely]] {
    note = note_on(record);
    if (!note.empty() && !comment.empty()) note += fmt::format("; {}", comment);
    if (!note.empty()) comment = note;
  }
  write(pcapng::EnhancedPacket{
      .timestamp_ns = record.timestamp_ns,
      .data = record.data(),
      .captured_length = std::min(record.captured_length, snaplen_),
      .wire_length = record.wire_length,
      .reception = pcapng::reception_of(record.data(), record.captured_length, mac_),
      .queue = record.queue,
      .dropped = losses_since_last_frame_,
      .comment = comment,
      .errors = link_layer_errors(record.flags),
  });
  losses_since_last_frame_ = 0;
}

void PcapngWriter::write(const pcapng::EnhancedPacket& packet) {
  const std::size_t length = pcapng::enhanced_packet_length(packet);
  pcapng::put_enhanced_packet(file_.reserve(length), packet, length);
  file_.commit(length, 1);
}

void PcapngWriter::write_statistics(const pcapng::InterfaceStatistics& statistics, std::vector<std::string> comments) {
  if (losses_since_last_frame_ != 0)
    comments.push_back(
        fmt::format("frames lost after the last packet before this block: {}", losses_since_last_frame_));
  std::vector<std::uint8_t> block;
  pcapng::append_interface_statistics(block, statistics, comments);
  append(block);
}

void PcapngWriter::append(const std::vector<std::uint8_t>& block) {
  std::copy(block.begin(), block.end(), file_.reserve(block.size()));
  file_.commit(block.size(), 0);
}

}  // namespace ixcap::capture
