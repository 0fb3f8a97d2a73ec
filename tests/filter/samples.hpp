#pragma once

/// What the engines are tried on: filter expressions, frames and random programs.

#include <cstdint>
#include <random>
#include <span>
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

/// More than 150 pcap-filter(7) expressions that compile for Ethernet.
std::span<const std::string_view> sample_expressions();

/// Frames of the protocols that the expressions speak of, with addresses and ports that many of them name.
std::vector<Bytes> sample_frames();

/// Up to 96 random bytes, zero and small values being frequent.
Bytes random_frame(Random& random);

/// Up to 40 instructions that the verifier accepts: any opcode, jumps anywhere ahead, offsets around the end of a frame
/// and around 2^32.
std::vector<Instruction> random_instructions(Random& random);

}  // namespace ixcap::filter
