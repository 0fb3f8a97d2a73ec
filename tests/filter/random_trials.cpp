#include "tests/filter/random_trials.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <vector>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/listing.hpp>

#include "tests/filter/guarded_frames.hpp"
#include "tests/filter/oracle.hpp"
#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

constexpr std::uint64_t untouched = 0x5a5a5a5a5a5a5a5a;
constexpr std::size_t longest_random_frame = 200;

class Trials {
 public:
  Trials(std::span<const EngineKind> kinds, std::uint32_t seed)
      : kinds_(kinds), random_(seed), places_(batch_size, 2 * longest_random_frame) {
    for (const EngineKind kind : kinds) notes_.push_back(fmt::format("{}, seed {}", name_of(kind), seed));
    for (Bytes& frame : sample_frames()) {
      if (frame.size() <= longest_random_frame) samples_.push_back(std::move(frame));
    }
  }

  TrialResult run(std::uint64_t programs) {
    for (std::uint64_t trial = 0; result_.programs < programs && result_.disagreement.empty(); ++trial) {
      if (trial % 256 == 0) change_frames();
      choose_frames();
      choose_programs();
      std::ranges::for_each(kinds_, [this](EngineKind kind) { compare(kind); });
      result_.programs += programs_.size();
      result_.frames += programs_.size() * frames_.size();
    }
    return result_;
  }

 private:
  // New frames in all places: random ones, samples, samples cut short and changed.
  void change_frames() {
    for (std::size_t place = 0; place < batch_size; ++place) {
      Bytes bytes = random_() % 2 == 0 ? random_frame(random_) : samples_[random_() % samples_.size()];
      if (!bytes.empty() && random_() % 4 == 0) bytes[random_() % bytes.size()] = static_cast<std::uint8_t>(random_());
      const std::size_t captured = random_() % 4 == 0 ? random_() % (bytes.size() + 1) : bytes.size();
      Frame frame = random_() % 2 == 0 ? places_.at_end(place, bytes, captured)
                                       : places_.at_start(place, bytes, captured, random_() % 2 * (random_() % 64));
      if (random_() % 4 == 0) frame.wire_length += random_() % 64 == 0 ? 0x80000000 : random_() % 1500;
      all_frames_[place] = all_frames_[place + batch_size] = frame;
    }
  }

  void choose_frames() {
    const std::size_t count = random_() % 16 == 0 ? batch_size : 4 + random_() % 13;
    frames_ = std::span(all_frames_).subspan(random_() % batch_size, count);
  }

  // Mostly one program; in a set, some are changes of the first, so that they have beginnings in common.
  void choose_programs() {
    const std::uint32_t kind = random_() % 64;
    const std::size_t count = kind == 0 ? 1 + random_() % most_filters : kind < 12 ? 2 + random_() % 3 : 1;
    programs_.clear();
    expected_.fill(0);
    std::vector<Instruction> first;
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<Instruction> instructions =
          i != 0 && random_() % 2 == 0 ? changed(random_, first) : random_instructions(random_);
      if (i == 0) first = instructions;
      if (instructions.size() > 400 && i > 1) continue;  // few of these, they take long
      add(std::move(instructions));
    }
  }

  void add(std::vector<Instruction> instructions) {
    if (instructions.back().code == (BPF_RET | BPF_A) && random_() % 4 != 0) {
      const std::uint32_t value = Oracle(instructions).run(frames_[random_() % frames_.size()]);
      const std::uint32_t mask = random_() % 2 == 0 ? ~0U : std::uint32_t{1} << random_() % 32;
      std::vector<Instruction> compared = comparing(instructions, mask, value);
      if (!compared.empty()) instructions = std::move(compared);
    }
    const Oracle oracle(instructions);
    for (std::size_t f = 0; f < frames_.size(); ++f) {
      expected_[f] |= std::uint64_t{oracle.run(frames_[f]) != 0} << programs_.size();
    }
    programs_.push_back(Program::verify(std::move(instructions)));
  }

  void compare(EngineKind kind) {
    if (!result_.disagreement.empty()) return;
    tried = notes_[static_cast<std::size_t>(std::ranges::find(kinds_, kind) - kinds_.begin())];
    std::array<std::uint64_t, batch_size + 1> answers;
    answers.fill(untouched);
    make_engine(kind, programs_)->match(frames_, answers);
    for (std::size_t f = 0; f < frames_.size(); ++f) {
      if (answers[f] == expected_[f]) continue;
      result_.disagreement = describe(kind, f, answers[f]);
      return;
    }
    if (answers[frames_.size()] != untouched) {
      result_.disagreement = fmt::format("{} wrote behind the last of {} match sets", name_of(kind), frames_.size());
    }
  }

  std::string describe(EngineKind kind, std::size_t f, std::uint64_t answer) const {
    const Frame& frame = frames_[f];
    const auto i = static_cast<std::size_t>(__builtin_ctzll(answer ^ expected_[f]));
    if (i >= programs_.size()) return fmt::format("{} set bit {} of {} programs", name_of(kind), i, programs_.size());
    const Program& program = programs_[i];
    std::uint64_t alone = 0;
    make_engine(kind, std::span(&program, 1))->match(std::span(&frame, 1), std::span(&alone, 1));
    const auto verdict = [](std::uint64_t matches) { return matches != 0 ? "matches" : "does not match"; };
    return fmt::format(
        "program {} (number {} of a set of {}), frame {} of {}: {}, bpf_filter returns {}\n"
        "{} {} in the set, and {} alone with this frame alone\n"
        "captured {} of {} bytes: {:02x}\n{}",
        result_.programs + i, i, programs_.size(), f, frames_.size(), verdict(expected_[f] >> i & 1),
        Oracle(program.instructions()).run(frame), name_of(kind), verdict(answer >> i & 1), verdict(alone & 1),
        frame.captured_length, frame.wire_length, fmt::join(std::span(frame.data, frame.captured_length), " "),
        list(program, Listing::assembly));
  }

  std::span<const EngineKind> kinds_;
  Random random_;
  GuardedFrames places_;
  std::vector<std::string> notes_;
  std::vector<Bytes> samples_;
  std::array<Frame, 2 * batch_size> all_frames_ = {};  // twice the same, so that any 64 in a row are all of them
  std::span<const Frame> frames_;
  std::vector<Program> programs_;
  std::array<std::uint64_t, batch_size> expected_ = {};
  TrialResult result_;
};

}  // namespace

TrialResult try_random_programs(std::span<const EngineKind> kinds, std::uint32_t seed, std::uint64_t programs) {
  return Trials(kinds, seed).run(programs);
}

}  // namespace ixcap::filter
