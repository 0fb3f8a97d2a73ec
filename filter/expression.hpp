#pragma once

/// Filter expressions in pcap-filter(7)'s language, compiled by libpcap for Ethernet.
///
/// Host, network and port names are looked up while compiling, which may ask a name server and so may take seconds.
/// Threads: any may compile; libpcap's compiler runs one at a time.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

/// An expression that cannot be compiled. The reason is libpcap's message; for what the verifier refuses (protochain's
/// loops, inbound and outbound, more than 4,096 instructions) it is the verifier's.
class ExpressionError : public Error {
 public:
  ExpressionError(std::string expression, std::size_t column, std::string reason, std::string mend);

  /// Where the mistake is: bytes from the start of the expression; its size if something is missing at the end, 0 if
  /// the expression as a whole is at fault.
  std::size_t column() const noexcept { return column_; }

  /// Two lines without a newline at the end: the expression, and a caret under the mistake.
  ///
  ///     tcp prot 80
  ///         ^
  std::string picture() const;

 private:
  std::string expression_;
  std::size_t column_;
};

/// The program for `expression`, verified; an empty expression matches every frame. It returns `snaplen` (bytes) for a
/// frame that matches and 0 for others. `optimize` is what `tcpdump -O` turns off. Throws ExpressionError.
Program compile(std::string_view expression, std::uint32_t snaplen = 262144, bool optimize = true);

}  // namespace ixcap::filter
