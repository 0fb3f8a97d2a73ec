#pragma once

/// Steps that are all taken, whatever becomes of one of them, as at the end of a capture; the first failure is kept.

#include <fmt/format.h>

#include <cstdio>
#include <optional>

#include <ixcap/driver/error.hpp>

namespace ixcap::tools {

class Attempts {
 public:
  template <typename Step>
  void take(const Step& step) {
    try {
      step();
    } catch (const Error& error) {
      note(error);
    }
  }
  void note(const std::optional<Error>& failure) {
    if (!first_) first_ = failure;
  }

  bool failed() const noexcept { return first_.has_value(); }
  /// One line on standard error, if something failed.
  void report() const {
    if (first_) fmt::print(stderr, "ixcap: {}\n", first_->what());
  }

 private:
  std::optional<Error> first_;
};

}  // namespace ixcap::tools
