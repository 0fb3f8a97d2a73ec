// Every engine that this CPU runs answers what libpcap's bpf_filter answers: for all sample expressions, optimised and
// not, alone and in sets; for every frame cut at every length, beside memory that faults; in batches of any size; on
// real traffic and on random programs.
//
// Under a sanitizer, which makes engines slow, only every eighth of the cut frames, captured frames and random programs
// is tried, always the same ones.

#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <ixcap/filter/engines.hpp>
#include <ixcap/filter/expression.hpp>

#include "tests/files.hpp"
#include "tests/filter/guarded_frames.hpp"
#include "tests/filter/oracle.hpp"
#include "tests/filter/random_trials.hpp"
#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t scale = 8;
#else
constexpr std::size_t scale = 1;
#endif

constexpr std::uint64_t untouched = 0x5a5a5a5a5a5a5a5a;

using MatchSets = std::array<std::uint64_t, batch_size + 1>;

// A frame, and how much of it is captured.
struct Case {
  const Bytes* frame;
  std::size_t captured;
};

// The sample programs and cases, with bpf_filter's answer for every pair of them. Made once.
class Material {
 public:
  static const Material& get() {
    static const Material material;
    return material;
  }

  const std::vector<Program>& programs() const { return programs_; }
  const std::vector<Case>& cases() const { return cases_; }
  const std::string& name(std::size_t program) const { return names_[program]; }
  bool matches(std::size_t program, std::size_t number) const {
    return (sets_[program / most_filters][number] >> program % most_filters & 1) != 0;
  }

 private:
  Material() {
    for (const std::string_view expression : sample_expressions()) {
      for (const bool optimize : {true, false}) {
        programs_.push_back(compile(expression, 262144, optimize));
        names_.push_back(std::string(optimize ? "optimized: " : "not optimized: ").append(expression));
      }
    }
    std::size_t count = 0;
    for (const Bytes& frame : frames_) {
      for (std::size_t captured = 0; captured <= frame.size(); ++captured) {
        if (captured == frame.size() || count++ % scale == 0) cases_.push_back({&frame, captured});
      }
    }
    sets_.assign((programs_.size() + most_filters - 1) / most_filters, std::vector<std::uint64_t>(cases_.size()));
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      const Oracle oracle(programs_[i].instructions());
      std::vector<std::uint64_t>& sets = sets_[i / most_filters];
      for (std::size_t number = 0; number < cases_.size(); ++number) {
        const auto& [frame, captured] = cases_[number];
        const Frame lent = {frame->data(), static_cast<std::uint32_t>(captured),
                            static_cast<std::uint32_t>(frame->size())};
        sets[number] |= std::uint64_t{oracle.run(lent) != 0} << i % most_filters;
      }
    }
  }

  std::vector<Bytes> frames_ = sample_frames();
  std::vector<Program> programs_;
  std::vector<std::string> names_;
  std::vector<Case> cases_;
  std::vector<std::vector<std::uint64_t>> sets_;  // [program / 64][case], one bit for each of the 64
};

// An engine for some of the sample programs.
class Trial {
 public:
  Trial(EngineKind kind, std::vector<std::size_t> programs) : programs_(std::move(programs)) {
    std::vector<Program> chosen;
    for (const std::size_t i : programs_) chosen.push_back(Material::get().programs()[i]);
    note_.append(name_of(kind)).append(programs_.size() == 1 ? ", " : ", a set that begins with ");
    note_.append(Material::get().name(programs_[0]));
    engine_ = make_engine(kind, chosen);
  }

  // `cases`: the numbers of those that `frames` hold.
  void expect_answers(std::span<const Frame> frames, std::span<const std::size_t> cases) const {
    MatchSets answers;
    answers.fill(untouched);
    tried = note_;
    engine_->match(frames, answers);
    for (std::size_t f = 0; f < frames.size(); ++f) {
      std::uint64_t expected = 0;
      for (std::size_t bit = 0; bit < programs_.size(); ++bit) {
        expected |= std::uint64_t{Material::get().matches(programs_[bit], cases[f])} << bit;
      }
      if (answers[f] != expected) return fail(frames, cases, f, answers[f] ^ expected);
    }
    if (answers[frames.size()] != untouched) ADD_FAILURE() << note_ << " writes behind the last match set";
  }

 private:
  void fail(std::span<const Frame> frames, std::span<const std::size_t> cases, std::size_t f,
            std::uint64_t wrong) const {
    const auto bit = static_cast<std::size_t>(__builtin_ctzll(wrong));
    const auto& [frame, captured] = Material::get().cases()[cases[f]];
    std::string bytes;
    for (const std::uint8_t byte : *frame) {
      constexpr const char* digits = "0123456789abcdef";
      bytes.append({digits[byte >> 4], digits[byte & 15], ' '});
    }
    FAIL() << note_ << ": bit " << bit << " of " << programs_.size() << " is wrong, "
           << (bit < programs_.size() ? Material::get().name(programs_[bit]) : "of no program") << ", for frame " << f
           << " of " << frames.size() << ", " << captured << " bytes of " << bytes;
  }

  std::vector<std::size_t> programs_;
  std::string note_;
  std::unique_ptr<const Engine> engine_;
};

class EngineTest : public testing::TestWithParam<EngineKind> {
 protected:
  static void SetUpTestSuite() { report_faults(); }

  std::vector<Trial> single_programs() const {
    std::vector<Trial> trials;
    for (std::size_t i = 0; i < Material::get().programs().size(); ++i) trials.emplace_back(GetParam(), std::vector{i});
    return trials;
  }
};

enum class Place { at_end, at_start, anywhere };

// Every case through every trial: in their order and batches of 64, or, if `seed` is not 0, shuffled and in batches of
// 1, 2, ... 64, 1, ... frames.
void expect_agreement(const std::vector<Trial>& trials, Place place, std::uint32_t seed) {
  const std::vector<Case>& cases = Material::get().cases();
  std::vector<std::size_t> order(cases.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(seed);
  if (seed != 0) {
    for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random() % (i + 1)]);
  }
  GuardedFrames places(batch_size, 2048);
  std::array<Frame, batch_size> frames;
  std::size_t size = seed == 0 ? batch_size : 1;
  for (std::size_t first = 0; first < order.size();) {
    const std::size_t count = std::min(size, order.size() - first);
    for (std::size_t f = 0; f < count; ++f) {
      const auto& [frame, captured] = cases[order[first + f]];
      const bool ends = place == Place::at_end || (place == Place::anywhere && random() % 2 == 0);
      const std::size_t offset = place == Place::anywhere ? (first + f) % 64 : 0;
      frames[f] = ends ? places.at_end(f, *frame, captured) : places.at_start(f, *frame, captured, offset);
    }
    for (const Trial& trial : trials) {
      trial.expect_answers(std::span(frames).first(count), std::span(order).subspan(first, count));
      if (testing::Test::HasFailure()) return;
    }
    first += count;
    if (seed != 0) size = size % batch_size + 1;
  }
}

TEST_P(EngineTest, AgreesOnFramesCutAtEveryLengthBeforeAPageThatFaults) {
  expect_agreement(single_programs(), Place::at_end, 0);
}

TEST_P(EngineTest, AgreesOnFramesCutAtEveryLengthBehindAPageThatFaults) {
  expect_agreement(single_programs(), Place::at_start, 0);
}

TEST_P(EngineTest, AgreesInBatchesOfAnySizeAtAnyAlignment) {
  expect_agreement(single_programs(), Place::anywhere, 1);
}

TEST_P(EngineTest, AgreesInSetsOfSixtyFour) {
  std::vector<Trial> trials;
  const std::size_t count = Material::get().programs().size();
  for (std::size_t first = 0; first < count; first += most_filters) {
    std::vector<std::size_t> programs(std::min(most_filters, count - first));
    std::iota(programs.begin(), programs.end(), first);
    trials.emplace_back(GetParam(), programs);
  }
  expect_agreement(trials, Place::at_end, 0);
  expect_agreement(trials, Place::at_start, 0);
  expect_agreement(trials, Place::anywhere, 2);
}

TEST_P(EngineTest, AgreesInSetsOfAnySize) {
  Random random(3);
  std::vector<Trial> trials;
  for (std::size_t size = 1; size <= most_filters; ++size) {
    std::vector<std::size_t> programs;
    while (programs.size() < size) programs.push_back(random() % Material::get().programs().size());
    trials.emplace_back(GetParam(), programs);
  }
  expect_agreement(trials, Place::anywhere, 3);
}

TEST_P(EngineTest, AgreesAtEveryAlignment) {
  const std::vector<Trial> trials = single_programs();
  const std::vector<Case>& cases = Material::get().cases();
  GuardedFrames places(batch_size, 2048);
  for (std::size_t number = 0; number < cases.size(); number += 211) {
    std::array<Frame, batch_size> frames;
    std::array<std::size_t, batch_size> same;
    same.fill(number);
    for (std::size_t f = 0; f < batch_size; ++f) {
      frames[f] = places.at_start(f, *cases[number].frame, cases[number].captured, f);
    }
    for (const Trial& trial : trials) {
      trial.expect_answers(frames, same);
      if (HasFailure()) return;
    }
  }
}

// What lanes leave to scalar code: a header's length at an offset that is near 2^32, and, in front of a search in a
// set, a field that lies far behind.
TEST_P(EngineTest, AgreesWhereLanesHaveNoPlaceForAField) {
  const std::vector<Program> programs = {Program::verify({{BPF_LDX | BPF_B | BPF_MSH, 0, 0, 0xfffffffd},
                                                          {BPF_LD | BPF_H | BPF_IND, 0, 0, 14},
                                                          {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 80},
                                                          {BPF_RET | BPF_K, 0, 0, 1},
                                                          {BPF_RET | BPF_K, 0, 0, 0}}),
                                         Program::verify({{BPF_LD | BPF_H | BPF_ABS, 0, 0, 1000},
                                                          {BPF_JMP | BPF_JEQ | BPF_K, 0, 9, 0x0202},
                                                          {BPF_LD | BPF_W | BPF_ABS, 0, 0, 26},
                                                          {BPF_JMP | BPF_JEQ | BPF_K, 6, 0, 0x0a000001},
                                                          {BPF_JMP | BPF_JEQ | BPF_K, 5, 0, 0x0a000002},
                                                          {BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 0x0a000003},
                                                          {BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 0x0a000004},
                                                          {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 0x0a000005},
                                                          {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0x0a000006},
                                                          {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0x02020202},
                                                          {BPF_RET | BPF_K, 0, 0, 1},
                                                          {BPF_RET | BPF_K, 0, 0, 0}})};
  const Bytes long_frame(1200, 2);
  const Bytes short_frame(60, 2);
  std::array<Frame, batch_size> frames;
  for (std::size_t f = 0; f < batch_size; ++f) {
    const Bytes& bytes = f % 3 == 0 ? short_frame : long_frame;
    const auto length = static_cast<std::uint32_t>(bytes.size());
    frames[f] = {bytes.data(), length, length};
  }
  for (const Program& program : programs) {
    MatchSets answers;
    make_engine(GetParam(), std::span(&program, 1))->match(frames, answers);
    const Oracle oracle(program.instructions());
    for (std::size_t f = 0; f < batch_size; ++f)
      EXPECT_EQ(answers[f] != 0, oracle.run(frames[f]) != 0) << "frame " << f;
  }
}

TEST_P(EngineTest, TakesNoFramesAndFramesWithoutBytes) {
  const auto engine = make_engine(GetParam(), std::vector{compile("len = 0"), compile("ip"), compile("not ip")});
  engine->match({}, {});
  const std::vector<Frame> frames(batch_size, Frame{nullptr, 0, 0});
  MatchSets answers;
  answers.fill(untouched);
  engine->match(frames, answers);
  EXPECT_TRUE(std::all_of(answers.begin(), answers.end() - 1, [](std::uint64_t answer) { return answer == 1; }));
  EXPECT_EQ(answers.back(), untouched);
}

TEST_P(EngineTest, AnswersInManyThreadsAtOnce) {
  const Material& material = Material::get();
  std::vector<std::size_t> programs(most_filters);
  std::iota(programs.begin(), programs.end(), std::size_t{0});
  const Trial trial(GetParam(), programs);
  const auto answer_all = [&](std::size_t start) {
    for (std::size_t first = start; first + batch_size <= material.cases().size(); first += batch_size) {
      std::array<Frame, batch_size> frames;
      std::array<std::size_t, batch_size> numbers;
      for (std::size_t f = 0; f < batch_size; ++f) {
        const auto& [frame, captured] = material.cases()[first + f];
        frames[f] = {frame->data(), static_cast<std::uint32_t>(captured), static_cast<std::uint32_t>(frame->size())};
        numbers[f] = first + f;
      }
      trial.expect_answers(frames, numbers);
    }
  };
  std::vector<std::jthread> threads;
  for (std::size_t start = 0; start < 4; ++start) threads.emplace_back(answer_all, start * 17);
}

// Calls visit(frame, its wire length) for every Ethernet frame of a capture file.
template <typename Visit>
void for_each_frame(const std::string& file, Visit visit) {
  char message[PCAP_ERRBUF_SIZE] = {};
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> handle(pcap_open_offline(file.c_str(), message), pcap_close);
  if (!handle || pcap_datalink(handle.get()) != DLT_EN10MB) return;
  pcap_pkthdr* header = nullptr;
  const std::uint8_t* bytes = nullptr;
  while (pcap_next_ex(handle.get(), &header, &bytes) == 1) visit(std::span(bytes, header->caplen), header->len);
}

// Sets of 64 of the sample programs, and bpf_filter, on the same batches.
class CapturedTraffic {
 public:
  explicit CapturedTraffic(EngineKind kind) : places_(batch_size, longest) {
    const std::vector<Program>& programs = Material::get().programs();
    for (std::size_t first = 0; first < programs.size(); first += most_filters) {
      const auto set = std::span(programs).subspan(first, std::min(most_filters, programs.size() - first));
      engines_.push_back(make_engine(kind, set));
    }
    for (const Program& program : programs) oracles_.emplace_back(program.instructions());
  }

  // The whole frame, and of some, one in four, three cuts within the headers that filters look at.
  void add(std::span<const std::uint8_t> bytes, std::uint32_t wire_length) {
    if (bytes.size() > longest || count_++ % scale != 0) return;
    add_cut(bytes, bytes.size(), wire_length);
    if (random_() % 4 != 0) return;
    for (int cut = 0; cut < 3; ++cut)
      add_cut(bytes, random_() % (std::min<std::size_t>(bytes.size(), 90) + 1), wire_length);
  }

  void finish() {
    for (std::size_t first = 0; first < engines_.size(); ++first) {
      MatchSets answers;
      answers.fill(untouched);
      tried = "a set of 64 on captured traffic";
      engines_[first]->match(std::span(frames_).first(filled_), answers);
      for (std::size_t f = 0; f < filled_; ++f) compare(first * most_filters, frames_[f], answers[f]);
    }
    filled_ = 0;
  }

  std::size_t frames() const { return count_; }

 private:
  static constexpr std::size_t longest = 4032;

  void add_cut(std::span<const std::uint8_t> bytes, std::size_t captured, std::uint32_t wire_length) {
    frames_[filled_] = places_.at_end(filled_, bytes, captured);
    frames_[filled_].wire_length = wire_length;
    if (++filled_ == batch_size) finish();
  }

  void compare(std::size_t first, const Frame& frame, std::uint64_t answer) const {
    const std::size_t count = std::min(most_filters, oracles_.size() - first);
    for (std::size_t bit = 0; bit < count; ++bit) {
      if ((oracles_[first + bit].run(frame) != 0) == ((answer >> bit & 1) != 0)) continue;
      ADD_FAILURE() << Material::get().name(first + bit) << ", " << frame.captured_length << " bytes captured";
    }
    if (count < most_filters && answer >> count != 0) ADD_FAILURE() << "bits beyond the programs are set";
  }

  GuardedFrames places_;
  std::vector<std::unique_ptr<const Engine>> engines_;
  std::vector<Oracle> oracles_;
  std::array<Frame, batch_size> frames_ = {};
  std::size_t filled_ = 0;
  std::size_t count_ = 0;
  Random random_{4};
};

TEST_P(EngineTest, AgreesOnCapturedTraffic) {
  const std::vector<std::string> files = test::real_captures();
  if (files.empty()) GTEST_SKIP() << "IXCAP_CAPTURES names no folder of capture files";
  CapturedTraffic traffic(GetParam());
  for (const std::string& file : files) {
    for_each_frame(file, [&](std::span<const std::uint8_t> bytes, std::uint32_t wire) { traffic.add(bytes, wire); });
    traffic.finish();
    ASSERT_FALSE(HasFailure()) << file;
  }
  EXPECT_GT(traffic.frames(), 0U);
}

TEST_P(EngineTest, AgreesOnRandomPrograms) {
  constexpr std::uint32_t seed = 20240229;
  RecordProperty("seed", seed);
  const EngineKind kind = GetParam();
  const TrialResult result = try_random_programs(std::span(&kind, 1), seed, 20'000 / scale);
  EXPECT_EQ(result.disagreement, "");
  EXPECT_GE(result.frames, 4 * result.programs);
}

INSTANTIATE_TEST_SUITE_P(, EngineTest, testing::ValuesIn(available_engines().begin(), available_engines().end()),
                         [](const auto& engine) { return std::string(name_of(engine.param)); });

}  // namespace
}  // namespace ixcap::filter
