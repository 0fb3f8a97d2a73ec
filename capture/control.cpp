#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <ixcap/capture/control.hpp>
#include <ixcap/capture/share_protocol.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/filter/expression.hpp>

namespace ixcap::capture {
namespace {

// Long expressions take a while to compile, and names to look up.
constexpr std::chrono::seconds patience{60};
constexpr const char* cannot_control = "cannot control the capture at";
constexpr const char* same_version = "use the same version of ixcap on both sides";
constexpr int most_looks = 16;  // at a list that keeps changing

std::string mend_for_connect(int error_number) {
  if (error_number == EACCES) return "run this as the user who started the capture, or as root";
  return "start a capture there: ixcap capture --share NAME";
}

/// An Error's four parts as they are sent; empty ones where there are fewer.
std::array<std::string, 4> split(std::string_view text) {
  std::array<std::string, 4> parts;
  for (std::string& part : parts) {
    const std::size_t end = std::min(text.find('\0'), text.size());
    part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

}  // namespace

Control::Control(std::string_view name)
    : path_(share_path(name)),
      socket_(connect_to_share(path_, cannot_control, mend_for_connect, patience)),
      buffer_(sizeof(ControlMessage) + longest_control_text + 1) {}

std::vector<Filters::Entry> Control::filters() {
  std::vector<Filters::Entry> filters;
  std::uint64_t changes = 0;
  int looks = 0;
  for (unsigned from = 0;;) {
    Answer answer = ask(ControlVerb::next_filter, from);
    if (answer.header.changes != changes && from != 0) {  // changed meanwhile: once more from the start
      if (++looks == most_looks)
        throw Error(cannot_control, path_, "its filters change all the time", "try again later");
      filters.clear();
      from = 0;
      continue;
    }
    changes = answer.header.changes;
    if (static_cast<ControlStatus>(answer.header.code) == ControlStatus::none) return filters;
    if (answer.header.bit < from || answer.header.bit >= filter::most_filters)
      throw Error(cannot_control, path_, "its answer is impossible", same_version);
    from = answer.header.bit + 1;
    filters.push_back({answer.header.bit, std::move(answer.text)});
  }
}

unsigned Control::add_filter(std::string_view expression) {
  return ask(ControlVerb::add_filter, 0, expression).header.bit;
}

void Control::replace_filter(unsigned bit, std::string_view expression) {
  ask(ControlVerb::replace_filter, bit, expression);
}

void Control::remove_filter(unsigned bit) {
  ask(ControlVerb::remove_filter, bit);
}

std::string Control::statistics() {
  return ask(ControlVerb::statistics).text;
}

Control::Answer Control::ask(ControlVerb verb, unsigned bit, std::string_view text) {
  if (text.size() > longest_control_text)
    throw Error(cannot_control, path_,
                fmt::format("the expression has {} bytes, more than {}", text.size(), longest_control_text),
                "split it into several filters");
  ControlMessage header = {};
  header.magic = control_magic;
  header.version = control_version;
  header.code = static_cast<std::uint32_t>(verb);
  header.bit = bit;
  header.text_bytes = static_cast<std::uint32_t>(text.size());
  std::memcpy(buffer_.data(), &header, sizeof header);
  text.copy(buffer_.data() + sizeof header, text.size());
  const std::size_t bytes = sizeof header + text.size();
  if (::send(socket_.number(), buffer_.data(), bytes, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes))
    throw Error::from_errno(cannot_control, path_, errno, "see whether the capture is still there, and try again");
  Answer answer = receive();
  check(answer, text);
  return answer;
}

Control::Answer Control::receive() {
  ssize_t count = 0;
  do {
    count = ::recv(socket_.number(), buffer_.data(), buffer_.size(), MSG_TRUNC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) throw Error::from_errno(cannot_control, path_, errno, "end what listens there without answering");
  if (count == 0)
    throw Error(cannot_control, path_, "the capture has ended", "start it again: ixcap capture --share NAME");
  Answer answer = {};
  const auto length = static_cast<std::size_t>(count);
  if (length >= sizeof answer.header) std::memcpy(&answer.header, buffer_.data(), sizeof answer.header);
  if (answer.header.magic != control_magic || length > buffer_.size() - 1 ||
      answer.header.text_bytes != length - sizeof answer.header)
    throw Error(cannot_control, path_, "it takes no commands", same_version);
  answer.text.assign(buffer_.data() + sizeof answer.header, answer.header.text_bytes);
  return answer;
}

/// Throws what went wrong on the other side.
void Control::check(const Answer& answer, std::string_view expression) const {
  const auto [action, subject, reason, mend] = split(answer.text);
  switch (static_cast<ControlStatus>(answer.header.code)) {
    case ControlStatus::done:
    case ControlStatus::none:
      return;
    case ControlStatus::not_allowed:
      throw Error(cannot_control, path_, "it is somebody else's, who only lets you read it",
                  "run this as the user who started the capture, or as root");
    case ControlStatus::busy:
      throw Error(cannot_control, path_, "too many others do so now", "try again later");
    case ControlStatus::failed:
      throw Error(action, subject, reason, mend);
    case ControlStatus::expression:
      throw filter::ExpressionError(std::string(expression),
                                    std::min<std::size_t>(answer.header.bit, expression.size()), reason, mend);
    default:
      throw Error(cannot_control, path_, "it speaks another version of the protocol", same_version);
  }
}

}  // namespace ixcap::capture
