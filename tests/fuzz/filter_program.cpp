// Whatever the bytes: the verifier refuses them with an Error, or libpcap takes the programs too and every engine that
// this CPU runs gives what bpf_filter gives, for the programs one by one and as a set.
//
// Input: the number of instructions (the low six bits of one byte; the high two: how many more programs follow), their
// bytes in host order; more programs in the same way; the rest is the frame. It is tried whole and cut short; its wire
// length is its length plus the first program's instructions.

#include <pcap/pcap.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/engines.hpp>

#include "tests/filter/guarded_frames.hpp"
#include "tests/filter/oracle.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using ixcap::Frame;
using ixcap::filter::Instruction;
using ixcap::filter::Program;
using ixcap::test::require;

// Frames of one input: enough for a batch engine to work on several at once and have some left over.
constexpr std::size_t frame_count = 19;
constexpr std::size_t longest = 4096;

// Its own number of instructions off the input's front; nothing if the input ends before them.
std::optional<std::vector<Instruction>> take_instructions(ixcap::test::Input& input, std::uint8_t header) {
  std::vector<Instruction> instructions(header & 0x3f);
  const std::size_t size = instructions.size() * sizeof(Instruction);
  if (input.size < size) return std::nullopt;
  if (size != 0) std::memcpy(instructions.data(), input.data, size);
  input.data += size;
  input.size -= size;
  return instructions;
}

std::optional<Program> verified(const std::vector<Instruction>& instructions) {
  try {
    return Program::verify(instructions);
  } catch (const ixcap::Error&) {
    return std::nullopt;
  }
}

// libpcap 1.10 takes shifts by constants of 32 and more; later ones refuse them, so nothing is held against us there.
bool libpcap_takes(const std::vector<Instruction>& instructions) {
  for (const auto& [code, jump_true, jump_false, k] : instructions) {
    if (k >= 32 && (code == (BPF_ALU | BPF_LSH | BPF_K) || code == (BPF_ALU | BPF_RSH | BPF_K))) return true;
  }
  const auto* const raw = reinterpret_cast<const bpf_insn*>(instructions.data());
  return bpf_validate(raw, static_cast<int>(instructions.size())) != 0;
}

// The whole frame first; then cut by one byte more at a time, and lastly at a quarter, a half, ... of its length.
std::array<Frame, frame_count> cut_frames(ixcap::filter::GuardedFrames& places, std::span<const std::uint8_t> bytes,
                                          std::uint32_t more_on_wire) {
  std::array<Frame, frame_count> frames;
  for (std::size_t f = 0; f < frame_count; ++f) {
    const std::size_t captured =
        f < 15 ? bytes.size() - std::min(f, bytes.size()) : bytes.size() * (f - 14) / (frame_count - 14);
    frames[f] = f % 2 == 0 ? places.at_end(f, bytes, captured) : places.at_start(f, bytes, captured);
    frames[f].wire_length = static_cast<std::uint32_t>(bytes.size()) + more_on_wire;
  }
  return frames;
}

void compare(std::span<const Program> programs, std::span<const Frame> frames,
             std::span<const std::uint64_t> expected) {
  for (const ixcap::filter::EngineKind kind : ixcap::filter::available_engines()) {
    std::array<std::uint64_t, frame_count> answers = {};
    ixcap::filter::tried = name_of(kind);
    make_engine(kind, programs)->match(frames, answers);
    require(std::ranges::equal(answers, expected));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static ixcap::filter::GuardedFrames places(frame_count, longest);
  static const bool reported = (ixcap::filter::report_faults(), true);
  static_cast<void>(reported);

  ixcap::test::Input input = {data, size};
  std::vector<Program> programs;
  const auto header = input.take<std::uint8_t>();
  for (int more = header >> 6; more >= 0; --more) {
    const auto instructions = take_instructions(input, programs.empty() ? header : input.take<std::uint8_t>());
    if (!instructions) return 0;
    const std::optional<Program> program = verified(*instructions);
    if (!program) return 0;
    require(libpcap_takes(*instructions));
    programs.push_back(*program);
  }
  const std::span bytes(input.data, std::min(input.size, longest));
  const std::array<Frame, frame_count> frames = cut_frames(places, bytes, header & 0x3f);

  std::array<std::uint64_t, frame_count> together = {};
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const ixcap::filter::Oracle oracle(programs[i].instructions());
    std::array<std::uint64_t, frame_count> alone = {};
    for (std::size_t f = 0; f < frame_count; ++f) {
      alone[f] = oracle.run(frames[f]) != 0 ? 1 : 0;
      together[f] |= alone[f] << i;
    }
    compare(std::span(programs).subspan(i, 1), frames, alone);
  }
  if (programs.size() > 1) compare(programs, frames, together);
  return 0;
}
