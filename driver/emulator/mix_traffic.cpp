#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include <ixcap/driver/emulator/frame_mixer.hpp>
#include <ixcap/driver/emulator/mix_traffic.hpp>
#include <ixcap/driver/emulator/random.hpp>

namespace ixcap::emulator {
namespace {

constexpr std::size_t deck_size = 240;
constexpr std::size_t most_decks = 17;
constexpr std::size_t pool_size = 1024 * 1024;  // bytes of a pool of more than one deck: what a core's L2 holds
constexpr std::uint32_t fcs_length = 4;

constexpr std::size_t frames_of(std::uint8_t FrameShare::*size) {
  std::size_t sum = 0;
  for (const FrameShare& share : deck_shares) sum += share.*size;
  return sum;
}
static_assert(frames_of(&FrameShare::small) == deck_size * 7 / 12);
static_assert(frames_of(&FrameShare::medium) == deck_size * 4 / 12);
static_assert(frames_of(&FrameShare::large) == deck_size * 1 / 12);

struct Card {
  FrameKind kind;
  std::uint32_t length;  // without FCS
};

/// The deck in the order of its table.
std::vector<Card> new_deck(const TrafficSpec& spec) {
  std::vector<Card> deck;
  const auto add = [&](FrameKind kind, std::size_t count, std::uint32_t imix_size) {
    const bool imix = spec.sizes == TrafficSpec::Sizes::imix;
    deck.insert(deck.end(), count, {kind, (imix ? imix_size + tag_bytes(kind) : spec.fixed_size) - fcs_length});
  };
  for (const FrameShare& share : deck_shares) {
    add(share.kind, share.small, 64);
    add(share.kind, share.medium, 594);
    add(share.kind, share.large, 1518);
  }
  return deck;
}

/// Fisher and Yates's shuffle: std::shuffle's result differs between standard libraries.
void shuffle(std::vector<Card>& deck, Random& random) {
  for (std::size_t left = deck.size(); left > 1; --left) {
    std::swap(deck[left - 1], deck[random.below(static_cast<std::uint32_t>(left))]);
  }
}

FramePool make_pool(const TrafficSpec& spec) {
  if (spec.sizes == TrafficSpec::Sizes::fixed &&
      (spec.fixed_size < TrafficSpec::smallest_size || spec.fixed_size > TrafficSpec::largest_size)) {
    throw Error("cannot generate traffic", "mix", fmt::format("no frame has {} bytes with FCS", spec.fixed_size),
                fmt::format("give a size from {} to {}", TrafficSpec::smallest_size, TrafficSpec::largest_size));
  }
  std::vector<Card> deck = new_deck(spec);
  std::size_t footprint = 0;
  for (const Card& card : deck) footprint += FramePool::footprint(card.length);
  // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a deck has cards, and every card a footprint.
  const std::size_t decks = std::clamp<std::size_t>(pool_size / footprint, 1, most_decks);

  Random random(spec.seed);
  FrameMixer mixer(random);
  FramePool pool(decks * footprint);
  for (std::size_t i = 0; i < decks; ++i) {
    shuffle(deck, random);
    for (const Card& card : deck) {
      const Bytes frame = mixer.make(card.kind, card.length);
      pool.add({.bytes = frame.data(), .captured_length = card.length, .wire_length = std::max(card.length, spec.pad)});
    }
  }
  return pool;
}

}  // namespace

MixTraffic::MixTraffic(const TrafficSpec& spec)
    : pool_(make_pool(spec)),
      frames_left_(spec.count == TrafficSpec::forever ? std::numeric_limits<std::uint64_t>::max() : spec.count) {}

}  // namespace ixcap::emulator
