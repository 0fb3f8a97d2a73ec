#include <fmt/format.h>

#include <system_error>
#include <utility>

#include <ixcap/driver/error.hpp>

namespace ixcap {
namespace {

std::string sentence(const std::string& action, const std::string& subject, const std::string& reason,
                     const std::string& mend) {
  const std::string quoted = subject.empty() ? "" : fmt::format(" '{}'", subject);
  return fmt::format("{}{}: {}; {}", action, quoted, reason, mend);
}

}  // namespace

Error::Error(std::string action, std::string subject, std::string reason, std::string mend)
    : std::runtime_error(sentence(action, subject, reason, mend)),
      action_(std::move(action)),
      subject_(std::move(subject)),
      reason_(std::move(reason)),
      mend_(std::move(mend)) {}

Error Error::from_errno(std::string action, std::string subject, int error_number, std::string mend) {
  return {std::move(action), std::move(subject), std::generic_category().message(error_number), std::move(mend)};
}

}  // namespace ixcap
