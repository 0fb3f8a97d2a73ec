#pragma once

/// Changes a capture of another process, by the name it is shared under: `ixcap control`.
///
///     capture::Control control("lab");
///     const unsigned bit = control.add_filter("udp port 53");
///     control.remove_filter(bit);
///
/// What filters, bits and changes mean: filters.hpp. Only the user who started the capture may, and root.
///
/// Threads: one. Errors: ixcap::Error, also for what the capture's process refuses, and filter::ExpressionError with
/// the place of the mistake. A capture that does not answer within a minute is an error.

#include <string>
#include <string_view>
#include <vector>

#include <ixcap/capture/control_protocol.hpp>
#include <ixcap/capture/filters.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::capture {

class Control {
 public:
  /// `name`: as share_path() takes it.
  explicit Control(std::string_view name);

  /// In the order of their bits, as they were at one moment.
  std::vector<Filters::Entry> filters();
  /// The bit that answers for it. The change holds when the call returns.
  unsigned add_filter(std::string_view expression);
  void replace_filter(unsigned bit, std::string_view expression);
  void remove_filter(unsigned bit);

  /// The drop ledger as it is now, in lines for people.
  std::string statistics();

 private:
  struct Answer {
    ControlMessage header;
    std::string text;
  };

  Answer ask(ControlVerb verb, unsigned bit = 0, std::string_view text = {});
  Answer receive();
  void check(const Answer& answer, std::string_view expression) const;

  std::string path_;
  pci::FileDescriptor socket_;
  std::vector<char> buffer_;
};

}  // namespace ixcap::capture
