#pragma once

/// Reading and making capture files in tests.

#include <pcap/pcap.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::test {

struct CapturedFrame {
  std::vector<std::uint8_t> bytes;
  std::uint32_t wire_length;

  bool operator==(const CapturedFrame&) const = default;
};

struct CaptureFile {
  int link_type;
  std::vector<CapturedFrame> frames;
};

/// The whole of a file, as libpcap reads it.
inline CaptureFile read_capture(const std::string& path) {
  char message[PCAP_ERRBUF_SIZE];
  pcap_t* file = pcap_open_offline(path.c_str(), message);
  if (file == nullptr) throw std::runtime_error(path + ": " + message);
  CaptureFile result{pcap_datalink(file), {}};
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  int outcome;
  while ((outcome = pcap_next_ex(file, &header, &data)) == 1) {
    result.frames.push_back({{data, data + header->caplen}, header->len});
  }
  const std::string failure = outcome == -1 ? pcap_geterr(file) : "";
  pcap_close(file);
  if (!failure.empty()) throw std::runtime_error(path + ": " + failure);
  return result;
}

inline void write_capture(const std::string& path, const std::vector<CapturedFrame>& frames,
                          int link_type = DLT_EN10MB) {
  pcap_t* handle = pcap_open_dead(link_type, 262144);
  pcap_dumper_t* file = pcap_dump_open(handle, path.c_str());
  if (file == nullptr) throw std::runtime_error(path + ": " + pcap_geterr(handle));
  bpf_u_int32 second = 0;
  for (const CapturedFrame& frame : frames) {
    pcap_pkthdr header{};
    header.ts.tv_sec = second++;
    header.caplen = static_cast<bpf_u_int32>(frame.bytes.size());
    header.len = frame.wire_length;
    pcap_dump(reinterpret_cast<u_char*>(file), &header, frame.bytes.data());
  }
  pcap_dump_close(file);
  pcap_close(handle);
}

/// A capture file made from the software NIC's own traffic.
inline void write_traffic(const std::string& path, const std::string& traffic) {
  const auto source = emulator::open_traffic(emulator::parse_traffic(traffic));
  std::vector<CapturedFrame> frames;
  while (const emulator::WireFrame* frame = source->next()) {
    frames.push_back({{frame->bytes, frame->bytes + frame->captured_length}, frame->wire_length});
  }
  write_capture(path, frames);
}

}  // namespace ixcap::test
