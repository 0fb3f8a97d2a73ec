// Which engine is chosen, and how a wrong choice is refused.

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <vector>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/engines.hpp>
#include <ixcap/filter/expression.hpp>

#include "tests/filter/guarded_frames.hpp"
#include "tests/filter/oracle.hpp"
#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

TEST(Engines, BeginWithTheInterpreterAndEndWithTheFastest) {
  const auto kinds = available_engines();
  ASSERT_GE(kinds.size(), 2u);
  EXPECT_EQ(kinds[0], EngineKind::interpreter);
  EXPECT_EQ(kinds[1], EngineKind::scalar);
  EXPECT_TRUE(std::ranges::is_sorted(kinds));
}

TEST(Engines, TheFastestIsChosenUnlessAnotherIsAskedFor) {
  EXPECT_EQ(engine_for(std::nullopt), available_engines().back());
  EXPECT_EQ(engine_for(""), available_engines().back());
  for (const EngineKind kind : available_engines()) EXPECT_EQ(engine_for(name_of(kind)), kind);
}

TEST(Engines, RefuseAWrongChoiceWithTheRightOnes) {
  try {
    engine_for("sse");
    FAIL() << "sse was accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("IXCAP_SIMD=sse"));
    EXPECT_THAT(error.what(), testing::HasSubstr("interpreter, scalar"));
  }
}

TEST(Engines, RefuseALevelThatTheCpuDoesNotHave) {
  if (available_engines().back() == EngineKind::avx512) GTEST_SKIP() << "this CPU has them all";
  EXPECT_THROW(engine_for("avx512"), Error);
  EXPECT_THROW(make_engine(EngineKind::avx512, {}), Error);
}

TEST(Engines, AnswerTheSameWhateverComesNext) {
  const std::vector<Bytes> bytes = sample_frames();
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < 2 * batch_size; ++i) {
    const Bytes& frame = bytes[i % bytes.size()];
    const auto length = static_cast<std::uint32_t>(frame.size());
    frames.push_back({frame.data(), length, length});
  }
  const auto batch = std::span<const Frame>(frames).first(batch_size);
  const auto after = std::span<const Frame>(frames).subspan(batch_size);
  const std::vector<Program> programs = {compile("tcp port 80"), compile("not ip")};
  for (const EngineKind kind : available_engines()) {
    for (const std::size_t count : {1u, 2u}) {
      const auto engine = make_engine(kind, std::span(programs).first(count));
      std::array<std::uint64_t, batch_size> expected;
      engine->match(batch, expected);
      for (const std::size_t coming : {0u, 1u, 63u, 64u}) {
        std::array<std::uint64_t, batch_size> answers = {};
        engine->match_ahead(batch, answers, after.first(coming));
        EXPECT_EQ(answers, expected) << name_of(kind) << ", " << count << " programs, " << coming << " frames to come";
      }
    }
  }
}

TEST(Engines, ReadNoPageBeyondTheFramesForAHeaderLengthFarBehind) {
  GuardedFrames places(1, 200);
  for (const char* expression : {"ether[(ether[124] & 0xf) << 2] = 1", "ether[(ether[126] & 0xf) << 2] = 1",
                                 "ether[((ether[127] & 0xf) << 2) + 1] = 1"}) {
    const Program program = compile(expression);
    const Oracle oracle(program.instructions());
    for (std::size_t length = 120; length < 140; ++length) {
      std::array<Frame, 16> frames;
      frames.fill(places.at_end(0, Bytes(length, 1), length));
      for (const EngineKind kind : available_engines()) {
        std::array<std::uint64_t, frames.size()> answers;
        make_engine(kind, std::span(&program, 1))->match(frames, answers);
        EXPECT_EQ(answers[0], oracle.run(frames[0]) != 0 ? 1u : 0u) << name_of(kind) << ", " << length;
      }
    }
  }
}

}  // namespace
}  // namespace ixcap::filter
