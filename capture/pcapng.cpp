#include <algorithm>

#include <ixcap/capture/pcapng.hpp>

namespace ixcap::capture::pcapng {
namespace {

constexpr std::uint16_t end_of_options = 0;
constexpr std::uint16_t comment_option = 1;
constexpr std::size_t longest_option = UINT16_MAX;

void append_u16(std::vector<std::uint8_t>& out, std::uint16_t value) {
  out.push_back(static_cast<std::uint8_t>(value));
  out.push_back(static_cast<std::uint8_t>(value >> 8));
}

void append_u32(std::vector<std::uint8_t>& out, std::uint32_t value) {
  append_u16(out, static_cast<std::uint16_t>(value));
  append_u16(out, static_cast<std::uint16_t>(value >> 16));
}

void append_u64(std::vector<std::uint8_t>& out, std::uint64_t value) {
  append_u32(out, static_cast<std::uint32_t>(value));
  append_u32(out, static_cast<std::uint32_t>(value >> 32));
}

// A time stamp is two 32-bit numbers, the upper half first.
void append_time(std::vector<std::uint8_t>& out, std::uint64_t time_ns) {
  append_u32(out, static_cast<std::uint32_t>(time_ns >> 32));
  append_u32(out, static_cast<std::uint32_t>(time_ns));
}

void append_option(std::vector<std::uint8_t>& out, std::uint16_t code, std::string_view value) {
  append_u16(out, code);
  append_u16(out, static_cast<std::uint16_t>(value.size()));
  out.insert(out.end(), value.begin(), value.end());
  out.resize(out.size() + (detail::padded(value.size()) - value.size()));
}

// Cut between two characters: a byte 10xxxxxx continues one.
std::string_view fitting(std::string_view text, std::size_t longest) noexcept {
  if (text.size() <= longest) return text;
  while (longest > 0 && (static_cast<std::uint8_t>(text[longest]) & 0xc0) == 0x80) --longest;
  return text.substr(0, longest);
}

void append_text(std::vector<std::uint8_t>& out, std::uint16_t code, std::string_view text) {
  if (!text.empty()) append_option(out, code, fitting(text, longest_option));
}

void append_count(std::vector<std::uint8_t>& out, std::uint16_t code, const std::optional<std::uint64_t>& count) {
  if (!count) return;
  append_u16(out, code);
  append_u16(out, 8);
  append_u64(out, *count);
}

void append_time_option(std::vector<std::uint8_t>& out, std::uint16_t code,
                        const std::optional<std::uint64_t>& time_ns) {
  if (!time_ns) return;
  append_u16(out, code);
  append_u16(out, 8);
  append_time(out, *time_ns);
}

// Writes a block's type, leaves its length open, and remembers where it starts.
std::size_t begin_block(std::vector<std::uint8_t>& out, std::uint32_t type) {
  const std::size_t start = out.size();
  append_u32(out, type);
  append_u32(out, 0);
  return start;
}

void end_block(std::vector<std::uint8_t>& out, std::size_t start) {
  append_u16(out, end_of_options);
  append_u16(out, 0);
  const auto length = static_cast<std::uint32_t>(out.size() - start + 4);
  append_u32(out, length);
  detail::put_u32(&out[start + 4], length);
}

}  // namespace

void append_section_header(std::vector<std::uint8_t>& out, const Section& section) {
  const std::size_t start = begin_block(out, section_header_block);
  append_u32(out, 0x1a2b3c4d);  // tells the byte order
  append_u16(out, 1);           // version 1.0
  append_u16(out, 0);
  append_u64(out, ~std::uint64_t{0});  // length of the section: not given
  append_text(out, comment_option, section.comment);
  append_text(out, 2, section.hardware);
  append_text(out, 3, section.operating_system);
  append_text(out, 4, section.application);
  end_block(out, start);
}

void append_interface_description(std::vector<std::uint8_t>& out, const InterfaceDescription& description) {
  const std::size_t start = begin_block(out, interface_description_block);
  append_u16(out, 1);  // LINKTYPE_ETHERNET
  append_u16(out, 0);
  append_u32(out, description.snaplen);
  append_text(out, 2, description.name);
  append_text(out, 3, description.description);
  if (description.mac) append_option(out, 6, {reinterpret_cast<const char*>(description.mac->data()), 6});
  append_count(out, 8, description.speed_bits_per_second);
  append_option(out, 9, "\x09");  // time stamps count 10^-9 s
  if (!description.filter.empty()) {
    std::string filter(1, '\0');  // a string as libpcap takes it
    filter += fitting(description.filter, longest_option - 1);
    append_option(out, 11, filter);
  }
  append_text(out, 12, description.operating_system);
  append_option(out, 13, {reinterpret_cast<const char*>(&description.fcs_bytes), 1});
  append_text(out, 15, description.hardware);
  end_block(out, start);
}

void append_interface_statistics(std::vector<std::uint8_t>& out, const InterfaceStatistics& statistics,
                                 const std::vector<std::string>& comments) {
  const std::size_t start = begin_block(out, interface_statistics_block);
  append_u32(out, 0);  // interface
  append_time(out, statistics.timestamp_ns);
  for (const std::string& comment : comments) append_text(out, comment_option, comment);
  append_text(out, comment_option, statistics.comment);
  append_time_option(out, 2, statistics.start_ns);
  append_time_option(out, 3, statistics.end_ns);
  append_count(out, 4, statistics.received);
  append_count(out, 5, statistics.dropped_by_interface);
  append_count(out, 6, statistics.accepted_by_filter);
  append_count(out, 7, statistics.dropped_by_system);
  append_count(out, 8, statistics.delivered);
  end_block(out, start);
}

WholeBlocks count_whole_blocks(const std::uint8_t* blocks, std::size_t count, bool /*at_start*/) noexcept {
  WholeBlocks whole;
  while (count - whole.bytes >= 8) {
    std::uint32_t type = 0;
    std::uint32_t length = 0;
    std::memcpy(&type, blocks + whole.bytes, 4);
    std::memcpy(&length, blocks + whole.bytes + 4, 4);
    if (length < 12 || length > count - whole.bytes) break;
    whole.bytes += length;
    if (type == enhanced_packet_block) ++whole.frames;
  }
  return whole;
}

namespace detail {

std::size_t rare_options_length(const EnhancedPacket& packet) noexcept {
  std::size_t length = 0;
  if (packet.dropped != 0) length += 12;
  if (!packet.comment.empty()) length += 4 + padded(fitting(packet.comment, longest_option).size());
  return length;
}

std::uint8_t* put_rare_options(std::uint8_t* out, const EnhancedPacket& packet) noexcept {
  if (packet.dropped != 0) {
    put_u32(out, 4 | 8u << 16);
    put_u64(out + 4, packet.dropped);
    out += 12;
  }
  if (!packet.comment.empty()) {
    const std::string_view comment = fitting(packet.comment, longest_option);
    const auto size = static_cast<std::uint32_t>(comment.size());
    put_u32(out + padded(size), 0);  // the padding's bytes; what it hits besides is written next
    put_u32(out, comment_option | size << 16);
    std::memcpy(out + 4, comment.data(), comment.size());
    out += 4 + padded(size);
  }
  return out;
}

}  // namespace detail
}  // namespace ixcap::capture::pcapng
