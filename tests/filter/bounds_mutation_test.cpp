// Every check of bounds in native code is needed, and the tests would miss it: with any single one weakened by one
// byte, some frame is answered wrongly.
//
// The frames go on in memory behind what is captured of them, so that a check that is one byte short reads what the
// frame would have there, or bytes made up to be another answer.
//
// An engine that answers for batches has scalar code besides, for frames that lanes cannot decide. Its bounds are tried
// with the scalar engine, where every frame comes by them; here only those of the batch code are.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <ixcap/filter/engines.hpp>
#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/jit/bounds.hpp>

#include "tests/filter/guarded_frames.hpp"
#include "tests/filter/oracle.hpp"
#include "tests/filter/samples.hpp"

namespace ixcap::filter {
namespace {

struct Subject {
  std::string_view expression;
  // Checks that could be one byte short, in scalar code and in batch code, because another one always refuses what they
  // would let through.
  std::size_t scalar_in_vain = 0;
  std::size_t batch_in_vain = 0;
  std::size_t single_in_vain = batch_in_vain;  // in batch code for this program alone
};

// Nearly every load has a way to match behind it: so a load that wrongly succeeds shows. In "tcp port 80" it would not,
// since a frame that is too short for the first load is also too short for the last. An expression with "not" matches
// as soon as one part of it fails.
//
// In vain are:
//   - in scalar code without branches, the check for what lies before and in the IPv4 header, if the one for what lies
//     behind the header asks for more even where the header has no length. It stands there because the latter reads the
//     header's length, for which a byte less would do;
//   - in batch code, which may read what is not captured, the check for the byte with the header's length, in front of
//     one that asks for more; and one behind which scalar code decides, checking all anew. So is, in batch code for one
//     program, the check that all frames of a group are long, if scalar code decides about those that are not.
constexpr std::array subjects = std::to_array<Subject>({
    {"ip"},
    {"not ip"},
    {"ether[0] & 1 = 0"},
    {"ether[0] = 0 or ether[10:2] = 1 or ether[20:4] = 0"},
    {"ether[0:4] = 0x02000000 or ether[12:2] = 0x0806 or ether[30] = 10 or ether[36:2] != 0"},
    {"ether[ether[14] & 0x3f : 2] != 0", 0, 1, 2},
    {"ether[ether[14] & 0x3f : 4] = 0", 0, 1, 2},
    {"ether[len - 1] = 0"},
    {"ether[len - 4 : 4] = 0"},
    {"not (src net 10.0.0.0/8 and dst net 192.168.0.0/16)"},
    {"not (ip6 and tcp dst port 443)"},
    {"not (vlan and ip)"},
    {"not (pppoes and ip)"},
    {"not (ip[2:2] > 60 and ip[8] < 64)"},
    {"not llc"},
    {"ether host 02:00:00:00:00:01"},
    {"not ether host 02:00:00:00:00:01"},
    {"not (tcp port 80)"},
    {"not (udp dst port 53)"},
    {"not host 10.0.0.1"},
    {"not host 2001:db8::1"},
    {"not (host 10.0.0.1 or host 10.0.0.2 or host 10.0.0.3)"},
    {"not (mpls 1000 and mpls 16)"},
    {"not (tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn)", 1, 0},
    {"not (tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420)", 0, 1, 2},
    {"not (icmp[icmptype] = icmp-echo)"},
    {"not (ip[((ip[0] & 0xf) << 2):2] = 40000)", 0, 1},
});

constexpr std::size_t longest = 130;

// Where frames lie in their page: not at its start, for batch code looks at copies of short frames there, behind which
// nothing goes on.
constexpr std::size_t offset = 64;

std::vector<Bytes> frames_for_mutation() {
  std::vector<Bytes> frames;
  for (Bytes& frame : sample_frames()) {
    if (frame.size() > longest) continue;
    frames.push_back(frame);
    // What lies behind a cut decides: so the same frame also with every byte turned.
    for (std::uint8_t& byte : frame) byte = static_cast<std::uint8_t>(~byte);
    frames.push_back(std::move(frame));
  }
  return frames;
}

// The frame up to the cut; behind it, bytes of another frame.
Bytes spliced(const Bytes& frame, const Bytes& other, std::size_t cut) {
  Bytes result = frame;
  for (std::size_t i = cut; i < result.size() && i < other.size(); ++i) result[i] = other[i];
  return result;
}

// The frame with every byte turned from `before` bytes in front of the cut on.
Bytes turned_from(const Bytes& frame, std::size_t cut, std::size_t before) {
  Bytes result = frame;
  for (std::size_t i = cut - std::min(cut, before); i < result.size(); ++i) {
    result[i] = static_cast<std::uint8_t>(~result[i]);
  }
  return result;
}

// Whether the engine reads beyond the end of some frame: in a process of its own, which that ends.
bool faults(const Engine& engine, const std::vector<Bytes>& frames) {
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    GuardedFrames places(1, longest);
    for (const Bytes& frame : frames) {
      for (std::size_t cut = 0; cut < frame.size(); ++cut) {
        // As many as fill vectors: a group that is not full is never taken for one of long frames.
        std::array<Frame, 16> group;
        std::array<std::uint64_t, group.size()> answers;
        group.fill(places.at_end(0, frame, cut));
        engine.match(group, answers);
      }
    }
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

// Whether bpf_filter and the engine answer differently for some frame, cut at some length.
bool disagree(const Engine& engine, const Oracle& oracle, const std::vector<Bytes>& frames) {
  GuardedFrames places(batch_size, offset + longest);
  std::array<Frame, batch_size> batch;
  std::size_t filled = 0;
  const auto flush = [&] {
    std::array<std::uint64_t, batch_size> answers = {};
    engine.match(std::span(batch).first(filled), answers);
    bool differs = false;
    for (std::size_t f = 0; f < filled; ++f) differs |= ((answers[f] & 1) != 0) != (oracle.run(batch[f]) != 0);
    filled = 0;
    return differs;
  };
  for (std::size_t number = 0; number < frames.size(); ++number) {
    const Bytes& frame = frames[number];
    const Bytes& other = frames[(number + 1) % frames.size()];
    for (std::size_t cut = 0; cut < frame.size(); ++cut) {
      for (const Bytes& bytes :
           {frame, spliced(frame, other, cut), turned_from(frame, cut, 1), turned_from(frame, cut, 3)}) {
        batch[filled] = places.at_start(filled, bytes, cut, offset);
        if (++filled == batch_size && flush()) return true;
      }
    }
  }
  return flush();
}

// An engine of which the bound with that number is weakened, and how many bounds its code has.
std::pair<std::unique_ptr<const Engine>, std::size_t> make_weakened(EngineKind kind, std::span<const Program> programs,
                                                                    std::size_t bound = jit::weaken_none) {
  jit::emitted_bounds = 0;
  jit::weakened_bound = bound;
  auto engine = make_engine(kind, programs);
  jit::weakened_bound = jit::weaken_none;
  return {std::move(engine), jit::emitted_bounds};
}

class BoundsMutation : public testing::TestWithParam<EngineKind> {
 protected:
  void TearDown() override { jit::weakened_bound = jit::weaken_none; }
};

TEST_P(BoundsMutation, IsNoticedForEveryCheck) {
  if (GetParam() == EngineKind::interpreter) GTEST_SKIP() << "it is not translated";
  const std::vector<Bytes> frames = frames_for_mutation();
  const bool batches = GetParam() != EngineKind::scalar;
  const Program without_checks = compile("greater 1000");
  std::size_t tried_bounds = 0;
  // One program may have code of another kind than two.
  for (const bool alone : {true, false}) {
    for (const auto& [expression, scalar_in_vain, batch_in_vain, single_in_vain] : subjects) {
      std::vector<Program> programs = {compile(expression)};
      const Oracle oracle(programs[0].instructions());
      if (!alone) programs.push_back(without_checks);
      const std::size_t first = batches ? make_weakened(EngineKind::scalar, programs).second : 0;
      const auto [sound, bounds] = make_weakened(GetParam(), programs);
      ASSERT_FALSE(disagree(*sound, oracle, frames)) << expression;
      EXPECT_GT(bounds, 0U) << expression << " loads, and nothing is checked";
      std::vector<std::size_t> unnoticed;
      for (std::size_t bound = first; bound < bounds; ++bound) {
        const auto engine = make_weakened(GetParam(), programs, bound).first;
        if (!disagree(*engine, oracle, frames) && !faults(*engine, frames)) unnoticed.push_back(bound - first);
      }
      const bool is_single = alone && batches;
      EXPECT_EQ(unnoticed.size(), is_single ? single_in_vain
                                  : batches ? batch_in_vain
                                            : scalar_in_vain)
          << name_of(GetParam()) << ", " << expression << (alone ? ", " : ", one of two, ") << bounds - first
          << " checks: nobody notices when one of these is one byte short: " << testing::PrintToString(unnoticed);
      tried_bounds += bounds - first;
    }
  }
  EXPECT_GT(tried_bounds, 2 * subjects.size());
  RecordProperty("bounds", static_cast<int>(tried_bounds));
}

INSTANTIATE_TEST_SUITE_P(, BoundsMutation, testing::ValuesIn(available_engines().begin(), available_engines().end()),
                         [](const auto& engine) { return std::string(name_of(engine.param)); });

}  // namespace
}  // namespace ixcap::filter
