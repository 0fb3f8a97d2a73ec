#include <fmt/format.h>

#include <ixcap/capture/record_notes.hpp>

namespace ixcap::capture {

std::string note_on(const Record& record) {
  constexpr std::uint64_t second_ns = 1'000'000'000;
  std::string note;
  if (const auto stamp_ns = record.card_stamp_ns(); stamp_ns.has_value()) {
    note = fmt::format("time stamp of the card: {}.{:09}", *stamp_ns / second_ns, *stamp_ns % second_ns);
  }
  if ((record.flags & record_bad_length) != 0) {
    note += fmt::format("{}the length field is not the length", note.empty() ? "" : "; ");
  }
  return note;
}

}  // namespace ixcap::capture
