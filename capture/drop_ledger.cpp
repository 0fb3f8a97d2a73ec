#include <fmt/format.h>

#include <string_view>

#include <ixcap/capture/drop_ledger.hpp>

namespace ixcap::capture {
namespace {

std::string number(DropLedger::Count count) {
  return count.has_value() ? fmt::format("{}", *count) : std::string("not available");
}

void add_line(std::string& text, DropLedger::Count count, std::string_view name, std::string_view remedy) {
  if (count == 0u) return;
  text += fmt::format("{:>14}  {}", number(count), name);
  if (!remedy.empty()) text += fmt::format(" ({})", remedy);
  text += '\n';
}

}  // namespace

std::uint64_t DropLedger::no_descriptor_total() const noexcept {
  std::uint64_t total = 0;
  for (const Count& queue : no_descriptor) total += queue.value_or(0);
  return total;
}

std::uint64_t DropLedger::lost() const noexcept {
  return missed.value_or(0) + no_descriptor_total() + lost_in_card + malformed + lost_by_reader;
}

std::uint64_t DropLedger::accounted_for() const noexcept {
  return rejected_by_mac.value_or(0) + not_admitted.value_or(0) + missed.value_or(0) + no_descriptor_total() +
         lost_in_card + malformed + filtered_by_card + filtered + lost_by_reader + delivered + counted + left_unread +
         in_descriptors.value_or(0);
}

bool DropLedger::balanced() const noexcept {
  return on_wire == accounted_for();
}

std::string DropLedger::to_string() const {
  std::string text = fmt::format("{:>14}  frames on the wire, of which\n", number(on_wire));
  add_line(text, rejected_by_mac, "rejected by the MAC",
           "CRC or length errors, or longer than 15.5 KiB: check cable and module, or the sender's offloads");
  add_line(text, not_admitted, "not for this card", "an address or VLAN filter is on");
  add_line(text, missed, "missed, no packet buffer", "all queues were full: use more queues or a faster filter");
  for (std::size_t queue = 0; queue < no_descriptor.size(); ++queue) {
    add_line(text, no_descriptor[queue], fmt::format("dropped on queue {}, no free descriptor", queue),
             "filter more, write to a faster disk, or give more room with -B and --descriptors");
  }
  add_line(text, lost_in_card, "lost in the card", "it was reset, or could not reach memory: the capture said why");
  add_line(text, malformed, "malformed descriptors", "report this: the card described a frame that cannot be");
  add_line(text, filtered_by_card, "rejected by the filter, in the card", "");
  add_line(text, filtered, "rejected by the filter", "");
  add_line(text, lost_by_reader, "lost by the reader", "read, but writing failed: see the error");
  if (counted == 0 || delivered != 0) text += fmt::format("{:>14}  delivered\n", delivered);
  add_line(text, counted, "counted, and delivered to nobody", "");
  if (running) {
    add_line(text, left_unread, "not read yet", "");
    add_line(text, in_descriptors, "in descriptors", "");
  } else {
    add_line(text, left_unread, "left unread", "accepted, but the capture stopped before them");
    add_line(text, in_descriptors, "left in descriptors", "received, but the capture stopped before them");
  }
  if (received.size() > 1) {
    for (std::size_t queue = 0; queue < received.size(); ++queue) {
      text += fmt::format("{:>14}  of these came through queue {}\n", received[queue], queue);
    }
  }
  std::string_view verdict = "the sum is right";
  if (!balanced()) verdict = running ? "taken while frames came: the sum is off by those" : "the sum is NOT right";
  return text + fmt::format("{:16}{}\n", "", verdict);
}

}  // namespace ixcap::capture
