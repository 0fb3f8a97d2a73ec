// The ring's synchronisation holds in every interleaving tried, and no memory order in it is stronger than it must be:
// weakened by one step, each of them is found out. The table below is the list of these mutants and of what becomes
// of the ring with them.
//
//     ring_model [ITERATIONS]
//
// ITERATIONS: of the unchanged ring; a mutant gets as many and ends at its first failure. Exit status 0 if all is as
// in the table. A program of its own, because Relacy replaces operator new.

#include "tests/capture/ring_model.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace {

using ixcap::capture::RingOrder;
using ixcap::test::RingVerdict;

struct Mutant {
  RingOrder order;
  const char* change;
  const char* outcome;
};

constexpr const char* release = "release -> relaxed";
constexpr const char* acquire = "acquire -> relaxed";
constexpr const char* seq_cst = "seq_cst fence -> acq_rel";
constexpr const char* race = "DATA RACE";            // the lossless reader's bytes are being written
constexpr const char* wrong = "USER ASSERT FAILED";  // a wrong record is believed, or a wrong count told
constexpr const char* asleep = "LIVELOCK";           // nobody wakes a reader, and the producer waits for it

constexpr std::array<Mutant, ixcap::capture::ring_orders> mutants = {{
    {RingOrder::publish, release, race},
    {RingOrder::see_published, acquire, race},
    {RingOrder::release_cursor, release, race},
    {RingOrder::see_cursor, acquire, race},
    {RingOrder::admit, release, wrong},
    {RingOrder::see_start, acquire, wrong},
    {RingOrder::overwrite, "release fence -> none", wrong},
    {RingOrder::check, "acquire fence -> none", wrong},
    {RingOrder::see_oldest, acquire, wrong},
    {RingOrder::wake, seq_cst, asleep},
    {RingOrder::sleep, seq_cst, asleep},
}};

bool check(const char* name, const char* change, std::optional<RingOrder> order, const char* outcome,
           unsigned iterations) {
  const RingVerdict verdict = ixcap::test::run_ring_model(order, iterations);
  const bool as_expected = std::strcmp(verdict.result, outcome) == 0;
  std::printf("%-15s %-25s %-19s iteration %u%s%s\n", name, change, verdict.result, verdict.iteration,
              as_expected ? "" : "   EXPECTED ", as_expected ? "" : outcome);
  return as_expected;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::array<const char*, ixcap::capture::ring_orders> names = {
      "publish",   "see_published", "release_cursor", "see_cursor", "admit", "see_start",
      "overwrite", "check",         "see_oldest",     "wake",       "sleep"};
  const unsigned iterations = argc > 1 ? static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10)) : 200'000;
  bool good = check("as it is", "", std::nullopt, "SUCCESS", iterations);
  for (std::size_t i = 0; i < mutants.size(); ++i) {
    good &= mutants[i].order == static_cast<RingOrder>(i);
    good &= check(names[i], mutants[i].change, mutants[i].order, mutants[i].outcome, iterations);
  }
  return good ? 0 : 1;
}
