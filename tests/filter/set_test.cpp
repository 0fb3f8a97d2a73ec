// A Set answers for every frame of a batch which of its filters match, and without filters that all frames do.

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/interpreter.hpp>
#include <ixcap/filter/set.hpp>

#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

constexpr std::uint64_t untouched = 0xdeadbeef;

TEST(Set, MatchesEverythingWithBitZeroWhenEmpty) {
  const Set everything;
  const Frame frame = {nullptr, 0, 0};
  std::array<std::uint64_t, 3> match_sets = {untouched, untouched, untouched};
  everything.match(std::array{frame, frame}, match_sets);
  EXPECT_EQ(match_sets, (std::array<std::uint64_t, 3>{1, 1, untouched}));
  EXPECT_EQ(everything.size(), 0U);
  EXPECT_EQ(Set(std::vector<Program>{}).size(), 0U);
}

TEST(Set, SetsOneBitAFilterForEveryFrameOfABatch) {
  std::vector<Program> programs;
  for (const std::string_view expression : sample_expressions().last(most_filters)) {
    programs.push_back(compile(expression));
  }
  const Set set(programs);
  EXPECT_EQ(set.size(), most_filters);

  const std::vector<Bytes> samples = sample_frames();
  for (std::size_t count = 0; count <= batch_size; ++count) {
    std::vector<Frame> frames;
    for (std::size_t f = 0; f < count; ++f) {
      const Bytes& bytes = samples[f % samples.size()];
      const auto length = static_cast<std::uint32_t>(bytes.size());
      frames.push_back({bytes.data(), length, length});
    }
    std::array<std::uint64_t, batch_size + 1> match_sets;
    match_sets.fill(untouched);
    set.match(frames, match_sets);
    for (std::size_t f = 0; f < count; ++f) {
      for (std::size_t i = 0; i < programs.size(); ++i) {
        ASSERT_EQ((match_sets[f] >> i & 1) != 0, Interpreter(programs[i]).run(frames[f]) != 0) << f << ' ' << i;
      }
    }
    ASSERT_EQ(match_sets[count], untouched) << "it wrote behind the last frame";
  }
}

TEST(Set, RefusesMoreFiltersThanBits) {
  EXPECT_NO_THROW(Set(std::vector<Program>(most_filters, compile("ip"))));
  EXPECT_THROW(Set(std::vector<Program>(most_filters + 1, compile("ip"))), Error);
}

TEST(Set, OutlivesItsProgramsAndItsCopies) {
  Set copy;
  {
    const Set original(std::vector<Program>{compile("len = 0")});
    copy = original;
  }
  const Frame frame = {nullptr, 0, 0};
  std::uint64_t match_set = untouched;
  copy.match(std::span(&frame, 1), std::span(&match_set, 1));
  EXPECT_EQ(match_set, 1U);
}

}  // namespace
}  // namespace ixcap::filter
