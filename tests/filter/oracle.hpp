#pragma once

/// libpcap's bpf_filter as the judge of every engine.

#include <cstdint>
#include <span>
#include <vector>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

/// One program, run by libpcap. What bpf_filter leaves undefined it is not asked: a preamble clears the scratch memory,
/// and A &= 0 stands for shifts by constants of 32 and more.
class Oracle {
 public:
  explicit Oracle(std::span<const Instruction> instructions);

  std::uint32_t run(const Frame& frame) const;

 private:
  std::vector<Instruction> instructions_;
};

}  // namespace ixcap::filter
