#pragma once

/// What the engines are tried on: filter expressions, frames and random programs.

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

using Bytes = std::vector<std::uint8_t>;

/// The same numbers for the same seed everywhere.
class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  std::uint32_t operator()() { return static_cast<std::uint32_t>(engine_()); }

 private:
  std::mt19937 engine_;
};

/// More than 500 different pcap-filter(7) expressions that compile for Ethernet, sample_lists() among them.
std::span<const std::string_view> sample_expressions();

/// Lists as scripts write them, "host A or host B or ...": long chains of comparisons with one value.
std::vector<std::string> sample_lists();

/// More than 100 frames of the protocols that the expressions speak of, with addresses and ports that many of them
/// name. Most have some 80 bytes, the shortest none and the longest 1514 or so.
std::vector<Bytes> sample_frames();

/// Up to 96 random bytes, zero and small values being frequent.
Bytes random_frame(Random& random);

/// Instructions that the verifier accepts: mostly up to 40, once in a while up to longest_program. Among them programs
/// of any opcodes, programs that calculate, chains of comparisons, branches that meet again with different A, X and
/// M[], loads behind headers of variable length, offsets around the end of a frame and around 2^32, and changed sample
/// expressions.
std::vector<Instruction> random_instructions(Random& random);

/// `original` with up to three instructions changed, as the verifier accepts it.
std::vector<Instruction> changed(Random& random, std::vector<Instruction> original);

/// The same program, but where it would return A it returns whether A (& `mask`) == `value`. So an engine, of which
/// only whether it matches is seen, has to get A right. `instructions` end in BPF_RET | BPF_A; of the others some
/// become jumps to the end. Empty if the result would be longer than longest_program.
std::vector<Instruction> comparing(std::vector<Instruction> instructions, std::uint32_t mask, std::uint32_t value);

}  // namespace ixcap::filter
