#include <algorithm>
#include <array>

#include <ixcap/driver/emulator/damage.hpp>
#include <ixcap/driver/emulator/faults.hpp>

namespace ixcap::emulator {
namespace {

constexpr std::uint32_t runt_bytes = 40;             // without FCS, of which 60 would be enough
constexpr std::uint32_t oversize_bytes = 16 * 1024;  // more than MAXFRS can sensibly admit

struct Kind {
  double FaultSpec::*share;
  std::uint8_t damage;
};

constexpr std::array<Kind, 9> kinds{{{&FaultSpec::crc_errors, damage::crc},
                                     {&FaultSpec::length_errors, damage::length},
                                     {&FaultSpec::symbol_errors, damage::symbol},
                                     {&FaultSpec::error_bytes, damage::error_byte},
                                     {&FaultSpec::runts, damage::undersize},
                                     {&FaultSpec::fragments, damage::undersize | damage::crc},
                                     {&FaultSpec::oversize, damage::oversize},
                                     {&FaultSpec::jabber, damage::oversize | damage::crc},
                                     {&FaultSpec::dma_faults, damage::unmapped}}};

/// What is damaged in a frame by being longer or shorter is longer or shorter.
WireFrame damaged(WireFrame frame, std::uint8_t damage) {
  if ((damage & damage::undersize) != 0) {
    frame.wire_length = std::min(frame.wire_length, runt_bytes);
    frame.captured_length = std::min(frame.captured_length, runt_bytes);
  }
  // Whether it is too long is for the MAC to find out.
  if ((damage & damage::oversize) != 0) frame.wire_length = std::max(frame.wire_length, oversize_bytes);
  frame.damage = static_cast<std::uint8_t>(damage & ~damage::oversize);
  return frame;
}

}  // namespace

const WireFrame& Faults::arriving(const WireFrame& frame) noexcept {
  if (thrown_) return arrived_;
  thrown_ = true;
  arrived_ = frame;
  double dice = unit(frames_);
  for (const Kind& kind : kinds) {
    const double share = spec_.*kind.share;
    if (dice < share) {
      arrived_ = damaged(frame, kind.damage);
      break;
    }
    dice -= share;
  }
  return arrived_;
}

}  // namespace ixcap::emulator
