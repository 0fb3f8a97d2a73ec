// Whatever the bytes of a frame, its key is read from the captured ones alone, and cutting the frame short never
// changes what is still found.
//
// Input: a byte that makes the ethertype plausible, then the frame.

#include <cstdint>
#include <vector>

#include <ixcap/filter/flow_key.hpp>

#include "tests/fuzz/input.hpp"

namespace {

using namespace ixcap;
using namespace ixcap::filter;
using test::Input;
using test::require;

/// A copy of its own, so that the sanitizer sees a read beyond it.
FrameKey key_of(FrameKey (*read)(const Frame&) noexcept, const std::uint8_t* data, std::size_t size) {
  const std::vector<std::uint8_t> bytes(data, data + size);
  const auto length = static_cast<std::uint32_t>(size);
  return read({bytes.data(), length, length});
}

/// What `part` has, `whole` has, too.
void require_same(const FrameKey& part, const FrameKey& whole) {
  require(!part.has_source || (whole.has_source && part.flow.source == whole.flow.source));
  require(!part.has_destination || (whole.has_destination && part.flow.destination == whole.flow.destination));
  require(!part.has_ports || (whole.has_ports && part.flow == whole.flow));
  require(!part.has_ports || (part.has_source && part.has_destination));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input = {data, size};
  const auto shape = input.take<std::uint8_t>();
  std::vector<std::uint8_t> frame(input.data, input.data + input.size);
  constexpr std::uint16_t ethertypes[] = {0x0800, 0x86dd, 0x8100, 0x88a8, 0x0806, 0x8035};
  if (frame.size() >= 15 && shape < 6) {
    frame[12] = static_cast<std::uint8_t>(ethertypes[shape] >> 8);
    frame[13] = static_cast<std::uint8_t>(ethertypes[shape]);
    if (shape < 2) frame[14] = static_cast<std::uint8_t>(frame[14] % 16 | (shape == 0 ? 0x40 : 0x60));
  }
  for (const auto read : {frame_key, host_key}) {
    const FrameKey whole = key_of(read, frame.data(), frame.size());
    require_same(whole, whole);
    for (std::size_t length = 0; length < frame.size(); ++length) {
      require_same(key_of(read, frame.data(), length), whole);
    }
  }
  return 0;
}
