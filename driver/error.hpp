#pragma once

/// The one exception that ixcap throws.
///
/// Set-up code throws it; the data path is noexcept and counts instead. Its four parts let a program act on it and a
/// person mend it; what() joins them into the one line that the `ixcap` command prints:
///
///     cannot open capture file 'x.pcap': No such file or directory; give the path of a pcap or pcapng file
///     ^ action                  ^ subject ^ reason                  ^ mend

#include <stdexcept>
#include <string>

namespace ixcap {

class Error : public std::runtime_error {
 public:
  /// `action`: what failed ("cannot open capture file"). `subject`: on what, without quotes; may be empty.
  /// `reason`: why. `mend`: what to do about it, a command to paste wherever there is one.
  Error(std::string action, std::string subject, std::string reason, std::string mend);

  /// The same with the reason taken from an errno value.
  static Error from_errno(std::string action, std::string subject, int error_number, std::string mend);

  const std::string& action() const noexcept { return action_; }
  const std::string& subject() const noexcept { return subject_; }
  const std::string& reason() const noexcept { return reason_; }
  const std::string& mend() const noexcept { return mend_; }

 private:
  std::string action_;
  std::string subject_;
  std::string reason_;
  std::string mend_;
};

}  // namespace ixcap
