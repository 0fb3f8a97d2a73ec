#include "tools/emulate_statistics.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <iterator>
#include <vector>

namespace ixcap::tools {
namespace {

void add_queues(std::string& text, const std::string& name, const char* direction,
                const std::vector<emulator::QueueCounts>& queues) {
  for (std::size_t queue = 0; queue < queues.size(); ++queue) {
    const emulator::QueueCounts& counts = queues[queue];
    if (counts.frames == 0) continue;
    fmt::format_to(std::back_inserter(text), "{}: {} queue {}: {} frames, {} bytes with FCS\n", name, direction, queue,
                   counts.frames, counts.bytes);
  }
}

}  // namespace

std::string emulated_statistics(const std::string& name, const emulator::Nic& nic) {
  const emulator::WireCounts received = nic.counts();
  std::string text = fmt::format(
      "{}: {} frames on the wire, {} delivered, {} missed, {} without a descriptor, {} DMA faults, {} rejected, "
      "{} not admitted, {} discarded, {} waiting, {} unheard; {} bytes\n",
      name, received.frames, received.delivered, received.missed, received.no_descriptor, received.dma_faults,
      received.rejected(), received.not_admitted, received.discarded, received.waiting, received.unheard,
      received.bytes);
  const emulator::TransmitCounts sent = nic.transmit_counts();
  if (sent.packets != 0) {
    fmt::format_to(std::back_inserter(text),
                   "{}: {} frames sent of {} packets, {} unsent, {} malformed, {} DMA faults; {} bytes, {} of them "
                   "padding\n",
                   name, sent.frames, sent.packets, sent.unsent, sent.malformed, sent.dma_faults, sent.bytes,
                   sent.padding);
  }
  add_queues(text, name, "receive", nic.receive_queue_counts());
  add_queues(text, name, "transmit", nic.transmit_queue_counts());
  return text;
}

}  // namespace ixcap::tools
