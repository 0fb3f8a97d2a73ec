#pragma once

/// Whether a program can match any frame of a class: frames of which only some bytes are known.
///
///     FrameClass tcp;                                  // IPv4 in Ethernet II, a TCP packet
///     tcp.set(12, 0x0800, 2);
///     tcp.set(23, 6, 1);
///     may_match(filter::compile("udp port 53"), tcp)   // false: all of them may be dropped
///
/// The program is run once with what is known of every bit of A, X and M[], both ways where a condition is not decided
/// (abstract interpretation). So "false" is certain, whatever the other bytes and the lengths are; "true" means only
/// that nothing speaks against it. What cannot be told of single bits is not known: sums, for instance, of numbers
/// that are not.
///
/// Threads: any. Errors: none. Costs some nanoseconds an instruction; nothing that the program does for a frame takes
/// longer.

#include <array>
#include <cstdint>
#include <vector>

#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

class FrameClass {
 public:
  /// Bytes from the frame's beginning that can be known; programs look at few behind them at a fixed place.
  static constexpr std::uint32_t most_bytes = 64;

  /// The `count` (1 to 4) bytes at `offset` are `value`, big-endian, in the bits of `mask`; what was known of other
  /// bits stays so. offset + count is at most most_bytes.
  void set(std::uint32_t offset, std::uint32_t value, std::uint32_t count, std::uint32_t mask = 0xFFFFFFFF);

  /// The word at `offset` is none of `values`: what a program compares it with whole is found false. Of at most two
  /// words, by `slot`: 0 or 1.
  void exclude(std::size_t slot, std::uint32_t offset, std::vector<std::uint32_t> values = {});

 private:
  friend class ClassRun;

  struct Excluded {
    std::uint32_t offset = 0xFFFFFFFF;
    std::vector<std::uint32_t> values;  // sorted
  };

  std::array<std::uint8_t, most_bytes> known_{};  // bits that are
  std::array<std::uint8_t, most_bytes> value_{};  // theirs, 0 elsewhere
  std::array<Excluded, 2> excluded_;
};

bool may_match(const Program& program, const FrameClass& frames);

/// What `program`, running on `frames`, may compare for equality with each of the words that exclude() names: by slot,
/// sorted. With these excluded, too, the class may be one that it does not match.
std::array<std::vector<std::uint32_t>, 2> compared(const Program& program, const FrameClass& frames);

}  // namespace ixcap::filter
